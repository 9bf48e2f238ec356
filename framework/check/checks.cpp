#include "framework/check/checks.hpp"

namespace l2o::framework {
namespace {

constexpr Check kSchema{
    "schema",
    "every option has a key of its own, a text, a known type and a default that is one of its values; every "
    "value that the schema allows is taken, or refused with a text",
    &check_schema};
constexpr Check kCreates{"creates", kCreatesRule, &check_creates};
constexpr Check kReads{"reads", "what info.reads does not say is NULL", &check_reads};
constexpr Check kSpecs{"specs",
                       "specs and info are well-formed, the same at every call and for every instance with "
                       "the same options, and "
                       "what the tags claim is there",
                       &check_specs};
constexpr Check kExtensions{
    "extensions", "get_extension of an unknown id is NULL (base.h R5)", &check_extensions};
constexpr Check kOutputs{
    "outputs", "every output is written in full and depends on the inputs alone", &check_outputs};
constexpr Check kBounds{
    "bounds", "nothing is written outside of the outputs and the declared scratch", &check_bounds};
constexpr Check kInputs{"inputs", "inputs are not written to (tensor.h)", &check_inputs};
constexpr Check kDeterministic{"deterministic",
                               "L2O_FLAG_DETERMINISTIC: same inputs, shapes and key give the same bits, in "
                               "any order, on any thread and for "
                               "any instance with the same options",
                               &check_deterministic};
constexpr Check kRowInvariant{
    "row_invariant",
    "L2O_FLAG_ROW_INVARIANT: the bits of a row depend neither on the batch nor on the other rows",
    &check_row_invariant};
constexpr Check kKey{
    "key",
    "without L2O_FLAG_STOCHASTIC neither call->key nor batch_key changes a step or an evaluation",
    &check_key};
constexpr Check kBatch{
    "batch",
    "in a batch of many rows each is what it is alone; to rounding, without L2O_FLAG_ROW_INVARIANT",
    &check_batch};
constexpr Check kFloat32{"float32", "float32 gives what float64 gives, to rounding", &check_float32};
constexpr Check kThreads{
    "threads", "[pure] functions may run on one instance from two threads at once", &check_threads};
constexpr Check kEnvironment{
    "environment",
    "no call changes the floating-point control word, rounding, locale, working folder, umask or a signal "
    "handler (base.h R6)",
    &check_environment};
constexpr Check kLeaves{
    "leaves", "calls, and instances, leave neither memory nor threads behind", &check_leaves};
constexpr Check kStructSize{"struct_size",
                            "descriptions of a newer host, which are longer, and of an older one, without "
                            "fields that are not used, give the "
                            "same result (base.h R2)",
                            &check_struct_size};

}  // namespace

std::vector<Check> checks_of(Kind kind) {
    std::vector<Check> checks{kSchema, kCreates};
    if (kind != Kind::kOptimizee) checks.push_back(kReads);
    const auto add = [&](std::vector<Check> more) { checks.insert(checks.end(), more.begin(), more.end()); };
    add({kSpecs,
         kExtensions,
         kBounds,
         kInputs,
         kOutputs,
         kDeterministic,
         kKey,
         kRowInvariant,
         kBatch,
         kFloat32});
    switch (kind) {
        case Kind::kOptimizer:
            add({{"coordinatewise",
                  "L2O_OPTIMIZER_COORDINATEWISE: a step on a slice of coordinates is the slice of the step",
                  &check_coordinatewise},
                 {"finite",
                  "from a start with finite gradients the first step leads to numbers",
                  &check_finite_step},
                 {"box", "L2O_OPTIMIZER_KEEPS_BOUNDS: x' lies within the bounds of its block", &check_box},
                 {"params",
                  "without L2O_OPTIMIZER_PARAMS_BY_PROBLEM the shapes of learned parameters do not depend on "
                  "the "
                  "problem; L2O_SPEC_DERIVED ones depend on the data alone",
                  &check_params},
                 {"layers", "l2o_spec.layer of a parameter is the first step that uses it", &check_layers},
                 {"resume",
                  "all progress is in state and x: a run that goes on from them, with another instance, has "
                  "the bits of one that was never stopped",
                  &check_resume},
                 {"questions",
                  "questions stay within what info declares and end; a row that wants nothing repeats its "
                  "bits; "
                  "x_is is true",
                  &check_questions},
                 {"rows", "L2O_OPTIMIZER_ENDS_ROWS: row_status is an L2O_ROW_*", &check_rows},
                 {"vjp",
                  "step_vjp and init_state_vjp are the derivative of step and init_state",
                  &check_optimizer_vjp},
                 {"vjp_sums",
                  "vjps are linear in the cotangent, add to what is there, and take NULL entries",
                  &check_optimizer_vjp_sums},
                 {"second_block",
                  "on a problem of two blocks outputs, rows, questions and derivatives are as on one of one "
                  "block",
                  &check_second_block}});
            break;
        case Kind::kOptimizee:
            add({{"sample",
                  "instance i of a split depends on (key, split, i) only, a shared tensor on key only: [0,8) "
                  "then [8,16) is [0,16)",
                  &check_sample},
                 {"unwanted",
                  "outputs that are NULL are not wanted: solutions and shared tensors in training, and "
                  "metrics that need solutions",
                  &check_unwanted},
                 {"splits", "no instance of one split is one of another", &check_splits},
                 {"starts",
                  "the start of row b depends on (key, row0 + b) only, and is within the bounds of its block",
                  &check_starts},
                 {"finite",
                  "f and g are numbers at the starts, and each metric is one at a start of some instance",
                  &check_finite_start},
                 {"parts",
                  "f alone and g alone are those of the fused evaluation, to rounding",
                  &check_parts},
                 {"particles",
                  "row r of x belongs to instance r / rows_per_instance: for f, g, hvp, prox and metrics",
                  &check_particles},
                 {"gradient", "g is the derivative of f", &check_gradient},
                 {"hvp", "hvp is the derivative of g along v, and symmetric", &check_hvp},
                 {"prox",
                  "prox is the resolvent of a convex function: it does not expand, and prox of "
                  "u + s (x - u) / tau with step s is u again",
                  &check_prox},
                 {"optimum", "L2O_SPEC_OPTIMUM: f is nowhere below it", &check_optimum}});
            break;
        case Kind::kLoss:
            add({{"vjp", "vjp is the derivative of eval", &check_loss_vjp},
                 {"vjp_sums",
                  "vjp is linear in the cotangent, adds to what is there, and takes NULL entries",
                  &check_loss_vjp_sums},
                 {"additive",
                  "L2O_LOSS_ADDITIVE: the scores of windows add up to that of the trajectory",
                  &check_additive}});
            break;
    }
    add({kThreads, kStructSize, kEnvironment, kLeaves});
    return checks;
}

}  // namespace l2o::framework
