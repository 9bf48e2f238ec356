#include "framework/check/checks.hpp"

namespace l2o::framework {
namespace {

constexpr Check kSchema{
    "schema",
    "every option has a key of its own, a text, a known type and a default that is one of its values; every "
    "value that the schema allows is taken, or refused with a text",
    &check_schema};
constexpr Check kCreates{"creates", "create succeeds with the given options", &check_creates};
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
constexpr Check kDeterministic{
    "deterministic",
    "L2O_DETERMINISTIC: same inputs, shapes and key give the same bits, in any order, on any thread and for "
    "any instance with the same options",
    &check_deterministic};
constexpr Check kRowInvariant{
    "row_invariant",
    "L2O_ROW_INVARIANT: the bits of a row depend neither on the batch nor on the other rows",
    &check_row_invariant};
constexpr Check kThreads{
    "threads", "[pure] functions may run on one instance from two threads at once", &check_threads};
constexpr Check kEnvironment{
    "environment",
    "no call changes the floating-point control word, rounding, locale, working folder, umask or a signal "
    "handler (base.h R6)",
    &check_environment};
constexpr Check kStructSize{
    "struct_size",
    "a larger struct of a newer host, and a smaller one without optional fields, give the same result "
    "(base.h R2)",
    &check_struct_size};

}  // namespace

std::vector<Check> checks_of(Kind kind) {
    std::vector<Check> checks{kSchema, kCreates, kSpecs, kExtensions, kBounds, kInputs, kOutputs};
    const auto add = [&](std::vector<Check> more) { checks.insert(checks.end(), more.begin(), more.end()); };
    add({kDeterministic, kRowInvariant});
    switch (kind) {
        case Kind::kOptimizer:
            add({{"coordinatewise",
                  "L2O_COORDINATEWISE: a step on a slice of coordinates is the slice of the step",
                  &check_coordinatewise},
                 {"params",
                  "without L2O_PARAMS_BY_PROBLEM the shapes of learned parameters do not depend on the "
                  "problem",
                  &check_params},
                 {"resume",
                  "all progress is in state and x: a run that goes on from them, with another instance, has "
                  "the bits of one that was never stopped",
                  &check_resume},
                 {"questions",
                  "questions stay within what info declares and end; a row that is done repeats its bits; "
                  "x_from_q names the question that x' is",
                  &check_questions},
                 {"vjp",
                  "step_vjp and init_state_vjp are the derivative of step and init_state",
                  &check_optimizer_vjp},
                 {"vjp_sums",
                  "vjps are linear in the cotangent, add to what is there, and take NULL entries",
                  &check_optimizer_vjp_sums}});
            break;
        case Kind::kOptimizee:
            add({{"sample",
                  "instance i of a split depends on (key, split, i) only: [0,8) then [8,16) is [0,16)",
                  &check_sample},
                 {"unwanted",
                  "outputs that are NULL are not wanted: solutions in training, and metrics that need them",
                  &check_unwanted},
                 {"splits", "no instance of one split is one of another", &check_splits},
                 {"starts", "the start of row b depends on (key, row0 + b) only", &check_starts},
                 {"parts",
                  "f alone and g alone are those of the fused evaluation, to rounding",
                  &check_parts},
                 {"particles", "row r of x belongs to instance r / rows_per_instance", &check_particles},
                 {"gradient", "g is the derivative of f", &check_gradient},
                 {"hvp", "hvp is the derivative of g along v, and symmetric", &check_hvp},
                 {"prox",
                  "prox is the resolvent of a convex function: it does not expand, and prox of "
                  "u + s (x - u) / tau with step s is u again",
                  &check_prox}});
            break;
        case Kind::kLoss:
            add({{"vjp", "vjp is the derivative of eval", &check_loss_vjp},
                 {"vjp_sums",
                  "vjp is linear in the cotangent, adds to what is there, and takes NULL entries",
                  &check_loss_vjp_sums}});
            break;
    }
    add({kThreads, kStructSize, kEnvironment});
    return checks;
}

}  // namespace l2o::framework
