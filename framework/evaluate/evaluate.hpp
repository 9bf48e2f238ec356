#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "framework/evaluate/settings.hpp"
#include "framework/plugin/keys.hpp"
#include "framework/plugin/unsolved.hpp"
#include "framework/progress.hpp"
#include "framework/weights/outcome.hpp"

namespace l2o::framework {

/// Distribution of a metric over rows (instances x starts) at one recorded point. Of an L2O_SPEC_RATIO the
/// mean is that of all rows together, sum of u over sum of w; the quantiles are those of u / w.
/// A value that is NAN, or infinite on the worse side, is that of a row that diverged. It counts as the worst
/// there is, worst_value(): a quantile that falls on one is that, and so is the mean if there is any.
struct Distribution {
    double mean = 0, median = 0, q10 = 0, q25 = 0, q75 = 0, q90 = 0;
    std::int64_t finite = 0;  ///< rows that have not diverged
    std::int64_t rows = 0;    ///< all that count: see Judging::counted
};
/// What a row that diverged counts as: inf, or -inf where higher is better.
[[nodiscard]] double worst_value(bool is_higher_better);
/// Linear-interpolation quantiles (type 7) and mean of all values; NAN if there are none.
[[nodiscard]] Distribution distribution_of(std::vector<double> values, bool is_higher_better = false);

/// A ratio metric: u / w of every row, 0 where u is, and the sum of u over the sum of w, NAN if any of them
/// is not finite.
struct Ratios {
    std::vector<double> rows{};
    double pooled = 0;
};
/// @param pairs       u and w of every row, one after the other.
/// @param in_decibel  10 log10 of each.
[[nodiscard]] Ratios ratios_of(const std::vector<double>& pairs, bool in_decibel);

/// When a row first had what was to be reached, and what it had cost by then: of the time an equal share of
/// its shard.
struct Reached {
    std::int64_t iteration = -1;  ///< -1: never
    double evaluations = NAN, seconds = NAN;
};

/// How the best value that a row has paid for came down: a stair per improvement, f falling. `reached` has
/// the iterations that were complete when it was paid for, the evaluations until then with its own, and the
/// seconds at the end of the step that paid for it.
struct Stair {
    double f = NAN;
    Reached reached{};
};
using Staircase = std::vector<Stair>;

/// How the metric that counts went, row by row; see find_reached().
struct History {
    std::int64_t shard_rows = 1;
    std::vector<std::vector<double>> values{}, evaluations{};  ///< [point][row]
    std::vector<std::vector<double>> seconds{};                ///< [point][shard], per row of the shard
};

/// What one solve takes, one instance from one start; see time_solves().
struct SolveTime {
    double median = NAN, low = NAN, high = NAN;  ///< seconds; low and high: from 10 to 90 % of the runs
    std::int64_t runs = 0;                       ///< 0: was not timed
    /// By iteration, of the median: what had been taken by its end; from 0 to 1. Empty where runs <= 1.
    std::vector<double> shares{};
};

/// How the settings of a contestant were chosen: see tune().
struct Tuned {
    using Settings = std::vector<std::pair<std::string, std::string>>;
    Settings chosen{};                                 ///< "optimizer.learning_rate" and its value
    std::vector<std::pair<Settings, double>> tried{};  ///< what each came to
    std::vector<std::string> on_edge{};  ///< keys whose chosen number is the least or greatest that was tried
    std::string metric{};                ///< Judging::centre_name()
    std::int64_t instances = 0;          ///< of the validation
    double evaluations = 0, seconds = 0;  ///< that it cost, all candidates and instances together
};

/// What a contestant did: one entry per recorded point, in order.
struct Curve {
    std::string contestant{};
    /// Of one of those that a contestant of the file stands for: that one's name, and what is swept, each key
    /// with its value; see groups.hpp. Otherwise both are empty.
    std::string group{};
    std::vector<std::pair<std::string, std::string>> swept{};
    std::string optimizer{};                       ///< id of the plugin
    std::map<std::string, std::string> options{};  ///< its own, all of them, each in its one text form
    std::optional<std::uint64_t> training_seed{};  ///< of who is trained by the experiment: `train { seed }`
    std::vector<std::int64_t> iteration{};
    /// Charged up to here, mean over the rows: points at which f, or f and g were asked for; values and
    /// gradients among them.
    std::vector<double> evaluations{}, values{}, gradients{};
    /// Of the steps, with their first state and their evaluations, without recording: mean over the rows,
    /// whatever the number of threads. Where `time` was measured this ends with its median, see quote().
    std::vector<double> seconds{};
    SolveTime time{};
    std::vector<std::string> metrics{};                      ///< "objective", then the optimizee's
    std::vector<std::vector<Distribution>> distributions{};  ///< [metric][point]
    std::vector<std::vector<double>> final_rows{};  ///< [metric][row]: values at the last point; NAN too
                                                    ///< where the metric needs a solution that is missing
    /// The least f that rows have paid for by each point: median over those that have paid for any, NAN if
    /// none has, and [row] at the last point. Empty where the points of the problem cannot be compared.
    std::vector<double> best{}, final_best{};
    /// [row], where reaches_by_payment(): of a method that evaluates nothing there are no stairs.
    std::vector<Staircase> staircases{};
    double training_seconds = 0;                ///< with that of the weights that the training started from;
                                                ///< 0: nothing was trained; NAN: unknown
    double preparation_seconds = 0;             ///< to read the parameters and derive what is derived
    std::optional<TrainingOutcome> training{};  ///< of weights that tell it
    std::optional<Tuned> tuned{};               ///< nothing: its settings are those of the file
    std::string safeguard{};                    ///< id of the classic optimizer; "": none
    double fallback_rate = NAN;                 ///< share of the safeguarded steps that were classic ones
    History history{};                          ///< as long as find_reached() needs it
    std::vector<Reached> reached{};             ///< [row]
};

/// A trained or analytic contestant, ready to run.
struct Ready {
    std::string name;
    std::string place{};  ///< opens messages about it: "contestants.lista"
    const Optimizer* optimizer;
    const TensorSet* params;
    const Optimizer* continue_with = nullptr;
    const TensorSet* continue_params = nullptr;
    std::optional<Safeguard> safeguard{};                  ///< of the steps of `optimizer`
    std::int64_t restarts = 1;                             ///< see Course
    double training_seconds = 0, preparation_seconds = 0;  ///< as in Curve
    std::optional<TrainingOutcome> training{};
};

/// Names of what can be shown of an optimizee: "objective", then its metrics.
[[nodiscard]] std::vector<std::string> metric_names(const Optimizee& optimizee);
/// Of those what can be computed from some data: without solutions not all.
[[nodiscard]] std::vector<std::string> metric_names(const Optimizee& optimizee, const ProblemData& data);

/// Index of the metric that counts: the wanted one; without a wish the optimizee's first, or else the
/// objective.
[[nodiscard]] std::size_t shown_metric(const std::vector<std::string>& metrics, const std::string& wanted);

/// Whether a target is reached by the values that rows pay for, whatever is recorded: where the objective is
/// the metric that counts, and its points can be compared.
[[nodiscard]] bool reaches_by_payment(const std::string& metric, const Optimizee& optimizee);

/// How an evaluation runs a contestant.
/// @param by_objective  the objective is the metric that counts
[[nodiscard]] Course course_of(const EvaluateSettings& settings,
                               const Optimizee& optimizee,
                               const Ready& ready,
                               bool by_objective);

/// Refuses a metric that the optimizee does not have; "" is none. @param where  opens the message
/// @throw Error kUsage
void check_metric(const std::string& where, const std::string& metric, const Optimizee& optimizee);

/// Refuses what cannot be evaluated: more iterations than layers without continue_with, a start other than 0
/// for an optimizer that is defined from 0, a metric that the optimizee does not have. Worth asking before
/// anything is trained; ready.params may still be NULL.
/// @throw Error kUsage
void check_evaluation(const EvaluateSettings& settings,
                      const Optimizee& optimizee,
                      const std::vector<Tensor>& x0,
                      const Ready& ready);

/// Runs one contestant on test instances: the same instances, starting points and budget for
/// everybody. `data` holds instances x starts rows (see repeat()), with solutions or without; metrics that
/// need missing solutions are left out. Shards are fixed: the values do not depend on `threads`.
///
/// Particle 0 of a population starts where everybody starts, the others at points of their own, and what
/// counts is the best point that it has paid for; of others that, or their last iterate, as settings.answer
/// says. Where the metric that counts is the objective, its value at the end is paid for once, and may be
/// the best point where the method evaluates anything by itself. A row does not take a step that would
/// exceed its budget of evaluations, and stays where it is; so does one that the optimizer says is done
/// (L2O_ROW_CONVERGED). One that it says has failed has diverged. A row has diverged where its x is not
/// finite or its objective is NAN or -inf: all its metrics are NAN there, also those that a plugin would
/// give a number (the accuracy of a network of NANs). Where a plugin gives up (L2O_STATUS_NUMERICAL), the
/// rest of its shard is NAN. Metrics that need a solution leave out the rows of instances without one
/// (unsolved_instances), which have not diverged.
/// @throw Error  see check_evaluation; kInterrupted if CallContext::cancel_flag is set.
[[nodiscard]] Curve evaluate(const EvaluateSettings& settings,
                             const Keys& keys,
                             const Optimizee& optimizee,
                             const ProblemData& data,
                             const std::vector<Tensor>& x0,
                             const Ready& ready,
                             int threads,
                             const ProgressSink& progress);

}  // namespace l2o::framework
