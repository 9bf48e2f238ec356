#include "framework/experiment/section_schemas.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "framework/config/sweep_values.hpp"
#include "framework/experiment/experiment.hpp"

namespace l2o::framework {
namespace {

constexpr std::uint64_t kOpenMin = L2O_OPTION_OPEN_MIN, kOpenMax = L2O_OPTION_OPEN_MAX;
constexpr double kNoBound = std::numeric_limits<double>::infinity();

/// A count from `min` on.
OptionSchema count(std::string key, std::int64_t def, double min, std::string doc) {
    return {.type = L2O_OPTION_INT,
            .key = std::move(key),
            .doc = std::move(doc),
            .def = std::to_string(def),
            .min = min,
            .max = kMaxCount};
}

/// A count whose default the doc explains.
OptionSchema derived_count(std::string key, double min, std::string doc) {
    OptionSchema option = count(std::move(key), 0, min, std::move(doc));
    option.def = "";
    return option;
}

OptionSchema seeds() {
    OptionSchema option =
        count("seeds",
              1,
              1,
              "how many trainings, a sweep of seed from its value on. Tables and figures show them as one "
              "contestant, and what they say of it is over training seeds and instances; with one it is "
              "about that training alone");
    option.max = static_cast<double>(kMostSwept);
    return option;
}

OptionSchema real(std::string key, double def, double min, double max, std::uint64_t open, std::string doc) {
    return {.type = L2O_OPTION_REAL,
            .key = std::move(key),
            .doc = std::move(doc),
            .def = format_real(def),
            .min = min,
            .max = max,
            .flags = open};
}

OptionSchema choice(std::string key, std::vector<std::string> choices, std::size_t def, std::string doc) {
    std::string text = choices.at(def);
    return {.type = L2O_OPTION_CHOICE,
            .key = std::move(key),
            .doc = std::move(doc),
            .def = std::move(text),
            .choices = std::move(choices)};
}

template <typename Enum>
std::size_t number(Enum value) {
    return static_cast<std::size_t>(value);
}

/// @param use  its default; nullopt: none.
SectionSchema plugin(std::string key, std::string kind, std::optional<std::string> use, std::string doc) {
    return {.key = std::move(key),
            .doc = std::move(doc),
            .options = {{.type = L2O_OPTION_TEXT, .key = "use", .def = std::move(use)}},
            .plugin = std::move(kind)};
}

OptionSchema decay(Decay def, std::string doc) {
    return choice("decay", {"constant", "linear", "cosine"}, number(def), std::move(doc));
}

SectionSchema multipliers(std::string doc) {
    return {.key = "multipliers",
            .doc = std::move(doc),
            .options = {real(kAnyKey, 1, 0, kNoBound, 0, "factor of the learning rate")},
            .nests = true};
}

SectionSchema stages() {
    SectionSchema stage{
        .key = kAnyKey,
        .doc = "one stage, under a name of your choice; what it does not set is as in the training",
        .options =
            {derived_count("epochs", 1, "trajectories to train on, each of a whole batch"),
             derived_count("horizon", 1, "steps of a trajectory; in a curriculum never fewer than before"),
             derived_count("unroll", 1, "steps of a window"),
             {.type = L2O_OPTION_REAL,
              .key = "imitation",
              .doc = "probability that a trajectory is the teacher's",
              .def = "",
              .min = 0,
              .max = 1},
             real(
                 "rate", StageSettings{}.rate, 0, kNoBound, kOpenMin, "factor of the meta-optimizer's steps"),
             {.type = L2O_OPTION_CHOICE,
              .key = "decay",
              .doc = "how the rates fall over the epochs of this stage",
              .def = "",
              .choices = decay(Decay::kConstant, "").choices}},
        .sections = {plugin("loss", "loss", "", "the meta-loss of this stage"),
                     multipliers("in addition to those of the training, by the same rules")}};
    return {.key = "stages",
            .doc = "the parts of a flat training or of a curriculum, in the order in which they are written",
            .sections = {std::move(stage)}};
}

SectionSchema make_train_schema() {
    const TrainSettings train{};
    SectionSchema schema{
        .key = "train",
        .doc =
            "How learned optimizers are trained. At the top level of an experiment file this is for all of "
            "them, in a contestant for that one, where it wins.",
        .options = {
            choice("schedule",
                   {"flat", "layerwise", "curriculum"},
                   number(train.schedule),
                   "flat: all parameters at once, in stages if there are any; layerwise: one layer after "
                   "another; "
                   "curriculum: each stage lasts until validation no longer improves"),
            choice(
                "estimator",
                {"bptt", "es", "pes", "cma_es"},
                number(train.estimator),
                "where the gradient comes from. bptt: back-propagation through a window; es: evolution "
                "strategies, which need no derivative; pes: persistent ones, unbiased for the whole "
                "trajectory at the same windows (Vicol, Metz & Sohl-Dickstein 2021). es and bptt cannot see "
                "past the end of a window. cma_es: no gradient, but a search by CMA-ES (Hansen 2016) over "
                "whole trajectories, one generation each, for at most 200 numbers; meta_optimizer, decay and "
                "rates of stages mean nothing to it, multipliers are the scales of parameters"),
            count("seed",
                  static_cast<std::int64_t>(train.seed),
                  0,
                  "number of the training, apart from the experiment's seed: another one begins with other "
                  "parameters and learns from other instances, starts and draws; validation, test and what "
                  "all instances share stay. A training set (instances) stays, and is begun with another "
                  "batch"),
            // Expanded before the section is read: see members_of().
            seeds(),
            count("epochs", train.epochs, 1, "trajectories to train on, each of a whole batch"),
            count("horizon", train.horizon, 1, "steps of a trajectory"),
            count(
                "unroll",
                train.unroll,
                1,
                "steps of a window; after each window the parameters move, and the next one continues where "
                "it ended. At most the horizon, which is the default where it is shorter"),
            count("horizon_from",
                  train.horizon_from,
                  0,
                  "horizons are drawn log-uniformly between this and horizon; 0: always horizon"),
            count("unroll_from", train.unroll_from, 0, "the same for windows; 0: always unroll"),
            count("batch", train.batch, 1, "instances that are trained on together"),
            count("instances",
                  train.instances,
                  0,
                  "size of a training set that is drawn once; 0: fresh instances for every trajectory"),
            choice(
                "reduction", {"mean", "sum"}, train.mean ? 0 : 1, "how the losses of a batch are combined"),
            real("clip_norm",
                 train.clip_norm,
                 0,
                 kNoBound,
                 0,
                 "a gradient with a larger norm is scaled down to it; 0: never"),
            choice(
                "second_order",
                {"drop", "exact", "fd"},
                number(train.second_order),
                "the part of the derivative that goes through the gradients a step reads. drop: left out; "
                "exact: from the problem's Hessian-vector products; fd: from differences of its gradients. "
                "A loss that reads gradients always uses the products"),
            real("coordinate_subsample",
                 train.coordinate_subsample,
                 0,
                 1,
                 kOpenMin,
                 "share of the coordinates that each window is differentiated in, drawn anew for every "
                 "window; "
                 "the gradient stays unbiased. For coordinate-wise optimizers"),
            {.type = kOptionBytes,
             .key = "memory",
             .doc = "for the points of a window; those that do not fit are recomputed. 0: unlimited",
             .def = std::to_string(train.memory_bytes)},
            count("shard_rows",
                  train.shard_rows,
                  0,
                  "instances that are computed together; the last bits of results depend on it. 0: 32, or "
                  "half of the batch where a megabyte or more of parameters is trained"),
            decay(train.decay, "how the rates fall over the epochs of a stage"),
            real(
                "average",
                train.average,
                0,
                1,
                kOpenMax,
                "weight of the past in a running mean of the parameters, which is then validated and kept in "
                "their place; 0: no mean"),
            {.type = L2O_OPTION_PATH, .key = "warm_start", .doc = "weights to start from", .def = ""},
            real("random_scaling",
                 train.augmentation.random_scaling,
                 0,
                 kNoBound,
                 0,
                 "R: every coordinate of a training problem is stretched by exp(u), u from U(-R, R). Lv, "
                 "Jiang & Li 2017 use 3. Not for optimizers that read the problem's data"),
            count("convex_term",
                  train.augmentation.convex_term,
                  0,
                  "coordinates of a convex function that is optimized alongside each training problem. Lv, "
                  "Jiang & Li 2017 use 20. Not for optimizers that read the problem's data"),
            real("checkpoint_every_s",
                 train.checkpoint_every_s,
                 0,
                 kNoBound,
                 0,
                 "seconds between checkpoints, from which --resume continues")}};
    const ImitationSettings imitation{};
    schema.sections = {
        plugin("loss", "loss", "trajectory_sum", "the meta-loss: what the training minimises"),
        plugin("meta_optimizer", "optimizer", "adam", "the optimizer that trains the parameters"),
        plugin("optimizee",
               "optimizee",
               "",
               "settings that the training problems have in place of the experiment's"),
        {.key = "validate",
         .doc = "validation on separate instances: every stage ends with the best parameters that it finds",
         .options = {count("every",
                           train.validate_every,
                           0,
                           "epochs between validations (if layerwise, steps of the meta-optimizer); 0: only "
                           "one at the "
                           "end, which measures what the training gained"),
                     count("instances", train.validate_instances, 1, "instances to validate on"),
                     derived_count(
                         "patience",
                         0,
                         "a stage ends after so many validations without an improvement; 0, not for a "
                         "curriculum: it runs to its end. Default: 3 in a curriculum, else 0"),
                     {.type = L2O_OPTION_BOOL,
                      .key = "restore",
                      .doc = "a stage ends with its best parameters, not its last",
                      .def = train.restore ? "true" : "false"}}},
        stages(),
        multipliers(
            "factors of learning rates, by the name of a parameter or the end of it: 'W 0.1' is for all "
            "layers, 'layer.03.W 0.1', or 'layer { 03 { W 0.1 } }', for one. The longer name wins"),
        {.key = "imitation",
         .doc =
             "some trajectories are run by a teacher, whose steps the optimizer learns to predict from the "
             "same gradients (Chen et al. 2020)",
         .options = {real(
             "probability", imitation.probability, 0, 1, 0, "that a trajectory is the teacher's")},
         .sections = {plugin(
             "teacher", "optimizer", std::nullopt, "an optimizer that needs no training, such as adam")}},
        {.key = "evolution",
         .doc = "for the estimators es, pes and cma_es",
         .options = {real("sigma",
                          train.sigma,
                          0,
                          kNoBound,
                          kOpenMin,
                          "standard deviation of the perturbations of the parameters; that with which "
                          "cma_es begins, 0.3 where it is not set"),
                     count("population",
                           train.population,
                           0,
                           "candidates of a generation of cma_es; 0: 4 + floor(3 ln n) for n numbers"),
                     derived_count(
                         "pairs",
                         1,
                         "antithetic pairs, which share the batch evenly; a divisor of batch. Default: the "
                         "largest up to 16")}},
        {.key = "layerwise",
         .doc =
             "for the schedule layerwise: each layer is trained alone, then with those before it, then all "
             "of them gently",
         .options = {count("steps_new", train.steps_new, 0, "steps of the meta-optimizer on the new layer"),
                     count("steps_all", train.steps_all, 0, "on all layers so far"),
                     count("steps_fine", train.steps_fine, 0, "on all layers so far, gently"),
                     real("rate_new",
                          train.rate_new,
                          0,
                          kNoBound,
                          kOpenMin,
                          "factor of the learning rate on the new layer"),
                     real("rate_all", train.rate_all, 0, kNoBound, kOpenMin, "on all layers so far"),
                     real(
                         "rate_fine", train.rate_fine, 0, kNoBound, kOpenMin, "on all layers so far, gently"),
                     real("layer_decay",
                          train.layer_decay,
                          0,
                          kNoBound,
                          0,
                          "factor per layer of age, where all layers are trained"),
                     choice("layer_decay_of",
                            {"rate", "gradient"},
                            number(train.layer_decay_of),
                            "what it reduces: the step of an old layer, or its gradient before the "
                            "meta-optimizer sees it")}},
        {.key = "update_probability",
         .doc =
             "the probability with which a layer of the training problem moves in a step; otherwise the "
             "layer "
             "and its state stay as they are, and nothing is learned from it. HALO (Li et al. 2020) has 0.1, "
             "0.3, 0.5 and the loss jacobian_regularized",
         .options = {real("first",
                          train.update_probability.first,
                          0,
                          1,
                          kOpenMin,
                          "of the first third of the layers"),
                     real("middle", train.update_probability.middle, 0, 1, kOpenMin, "of the second third"),
                     real("last", train.update_probability.last, 0, 1, kOpenMin, "of the last third")}},
        {.key = "self_paced",
         .doc =
             "a curriculum of instances: each window is learned from those rows of a batch alone that have "
             "the least score, which is the sum of the squared norms of their gradients where the windows "
             "of the trajectory began, so far. From trajectory to trajectory more of them count, all of "
             "them after `epochs`. Shen et al. 2021 train Twin-L2O so, with a share of 0.2 and 80 epochs",
         .options = {real("share",
                          train.self_paced.share,
                          0,
                          1,
                          kOpenMin,
                          "of the rows that count in the first trajectory; 1: all, always"),
                     count("epochs", train.self_paced.epochs, 1, "trajectories until all rows count")}}};
    return schema;
}

SectionSchema make_evaluate_schema() {
    const EvaluateSettings evaluate{};
    return {
        .key = "evaluate",
        .doc = "How contestants are compared: all of them on the same instances, starts and budgets.",
        .options = {
            count("instances", evaluate.instances, 1, "problems drawn from the test split"),
            count("starts", evaluate.starts, 1, "starting points of each instance"),
            count("iterations", evaluate.iterations, 1, "steps from each start"),
            {.type = L2O_OPTION_INT,
             .key = "max_evaluations",
             .doc =
                 "evaluations that a start may spend, all particles of a population together; one is a point "
                 "at which f, or f and its gradient, is asked for; 0: no limit",
             .def = std::to_string(evaluate.max_evaluations),
             .min = 0},
            choice("answer",
                   {"last", "best"},
                   0,
                   "the point that table and statistics are about: the last iterate, or the best point that "
                   "was paid for (always that for a population)"),
            count("metrics_every", evaluate.metrics_every, 1, "iterations between recorded points"),
            {.type = L2O_OPTION_TEXT,
             .key = "metric",
             .doc = "the metric of the table; default: the problem's first, or its objective",
             .def = evaluate.metric},
            {.type = L2O_OPTION_TEXT,
             .key = "reference",
             .doc = "the contestant that the others are compared with, of a sweep one such as "
                    "adam.learning_rate=0.01; "
                    "default: the first that is not learned",
             .def = evaluate.reference},
            {.type = L2O_OPTION_REAL,
             .key = "target",
             .doc = "a value of the metric; the table says who reaches it, and when: on the objective with a "
                    "value that was paid for, on another metric at a recorded point. Default: none, see "
                    "tolerance",
             .def = ""},
            real("tolerance",
                 evaluate.tolerance,
                 0,
                 1,
                 kOpenMin | kOpenMax,
                 "without a target, a start has arrived when no more than this share of the way to the best "
                 "value that any contestant found (on the objective: paid for) is left"),
            count("shard_rows",
                  evaluate.shard_rows,
                  1,
                  "starts that are computed together; the last bits of results depend on it"),
            {.type = L2O_OPTION_BOOL,
             .key = "timing",
             .doc =
                 "solves are timed in a pass of their own: one shard on one thread, without recording, all "
                 "contestants in turns, 3 to 31 times each; tables and figures quote the median. Where one "
                 "takes "
                 "over half a second, and without this pass, times are those of the evaluation",
             .def = evaluate.timing ? "true" : "false"},
            {.type = L2O_OPTION_BOOL,
             .key = "keep_rows",
             .doc = "the run folder keeps what every start did, for 'l2o export': 16 bytes per contestant, "
                    "start and recorded point, and 32 per improvement of the objective",
             .def = evaluate.keep_rows ? "true" : "false"},
            real("checkpoint_every_s",
                 evaluate.checkpoint_every_s,
                 0,
                 kNoBound,
                 0,
                 "least number of seconds between saves of finished contestants, for --resume")}};
}

SectionSchema make_safeguard_schema() {
    SectionSchema schema =
        plugin("safeguard",
               "optimizer",
               std::nullopt,
               "In a contestant: every step of its optimizer is tested, start by start, and one "
               "that fails is replaced by a step of a classic optimizer, so that a learned "
               "optimizer converges on problems it was never trained for. The share of replaced "
               "steps is reported, the evaluations of the test are charged. With test ahead, for games, "
               "both have a track of their own, and take turns. Training sees nothing of it. In 'l2o "
               "solve': --safeguard ID, --safeguard-set KEY=VALUE; 'use' is ID there.");
    schema.options.insert(schema.options.end(), safeguard_schema().begin(), safeguard_schema().end());
    return schema;
}

SectionSchema make_tune_schema() {
    const TuneSettings tune{};
    return {
        .key = "tune",
        .doc =
            "In a contestant: what it sweeps is tried on validation instances, and the best takes part in "
            "the test, under the name of the contestant. What is learned is trained with every value, "
            "with all its training seeds. Tables say what was chosen, among how many, and whether that "
            "is the edge of what was tried.",
        .options = {choice("on",
                           {"validation"},
                           0,
                           "the instances to choose on: other ones than those of training and test"),
                    count("instances", tune.instances, 1, "how many of them"),
                    count("starts", tune.starts, 1, "starting points of each"),
                    {.type = L2O_OPTION_TEXT,
                     .key = "metric",
                     .doc = "what the best is judged by, after as many iterations and evaluations as in the "
                            "test: the median over the starts, of several trainings the mean of theirs. "
                            "Default: the metric of the test",
                     .def = tune.metric}}};
}

SectionSchema make_sweep_schema() {
    return {
        .key = "sweep",
        .doc =
            "In place of a value in a contestant or in 'train': 'learning_rate { sweep 0.003 0.01 0.03 "
            "}' "
            "makes a contestant for each of them, adam.learning_rate=0.003 and so on, which is shown, "
            "trained "
            "and named like any other; the name of the contestant in the file stands for all of them. "
            "Several "
            "keys make all combinations. What is swept in the 'train' of the top level is swept for all who "
            "are trained.",
        .options = {
            {.type = L2O_OPTION_TEXT,
             .key = "sweep",
             .doc =
                 "the values, in one line, in quotes where they have blanks; or 'log FROM TO COUNT', so many "
                 "numbers evenly spaced in their logarithm, or 'linear FROM TO COUNT'"},
            {.type = L2O_OPTION_TEXT,
             .key = "zip",
             .doc = "a name that keys share which advance together, with equally many values",
             .def = ""}}};
}

}  // namespace

const SectionSchema& train_schema() {
    static const SectionSchema schema = make_train_schema();
    return schema;
}

const SectionSchema& evaluate_schema() {
    static const SectionSchema schema = make_evaluate_schema();
    return schema;
}

const SectionSchema& safeguard_section_schema() {
    static const SectionSchema schema = make_safeguard_schema();
    return schema;
}

const SectionSchema& tune_schema() {
    static const SectionSchema schema = make_tune_schema();
    return schema;
}

std::span<const SectionSchema* const> section_schemas() {
    static const SectionSchema sweep = make_sweep_schema();
    static const std::array<const SectionSchema*, 5> all{
        &train_schema(), &evaluate_schema(), &safeguard_section_schema(), &sweep, &tune_schema()};
    return all;
}

}  // namespace l2o::framework
