#include "framework/evaluate/evaluate.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>

#include "framework/cancel.hpp"
#include "framework/error.hpp"
#include "framework/evaluate/shard_run.hpp"
#include "framework/rollout/team.hpp"
#include "framework/text/suggest.hpp"

namespace l2o::framework {
namespace {

constexpr const char* kObjective = "objective";

/// Tells how far all shards are together, at most ten times a second.
class Reporter {
  public:
    Reporter(const ProgressSink& sink, std::string what, std::int64_t total)
        : sink_(sink), progress_{.what = std::move(what), .total = total, .loss = NAN} {}

    void iteration_done() {
        const std::int64_t done = ++done_;
        if (!sink_) return;
        const auto now = std::chrono::steady_clock::now().time_since_epoch();
        const std::int64_t tick = now / std::chrono::milliseconds(100);
        if (last_tick_.exchange(tick) == tick) return;
        report(done);
    }
    void finish() {
        if (sink_) report(progress_.total);
    }

  private:
    void report(std::int64_t done) {
        const std::lock_guard lock(mutex_);
        progress_.done = std::max(progress_.done, done);
        sink_(progress_);
    }

    const ProgressSink& sink_;
    std::mutex mutex_;
    Progress progress_;
    std::atomic<std::int64_t> done_{0}, last_tick_{0};
};

/// The iterations that the curve shows: every metrics_every-th, and the last that any shard reached.
std::vector<std::int64_t> recorded_iterations(const std::vector<ShardRun>& shards,
                                              const EvaluateSettings& settings) {
    std::int64_t last = 0;
    for (const ShardRun& shard : shards)
        last = std::max(last, shard.gave_up ? settings.iterations : shard.records.rbegin()->first);
    std::vector<std::int64_t> iterations;
    for (std::int64_t t = 0; t < last; t += settings.metrics_every) iterations.push_back(t);
    iterations.push_back(last);
    return iterations;
}

/// The numbers of all rows but those without a solution, which become NAN.
/// @param width  numbers of a row
std::vector<double> take_solved(std::vector<double>& rows,
                                std::size_t width,
                                const std::vector<bool>& is_unsolved) {
    std::vector<double> solved;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (is_unsolved[i / width])
            rows[i] = NAN;
        else
            solved.push_back(rows[i]);
    }
    return solved;
}

/// The distribution of a metric over its rows; u and w of a ratio become the ratio of each row.
Distribution summarise(std::vector<double>& rows, std::uint64_t flags, const std::vector<bool>& is_unsolved) {
    const bool is_higher_better = (flags & L2O_SPEC_HIGHER_IS_BETTER) != 0;
    const bool is_ratio = (flags & L2O_SPEC_RATIO) != 0, in_decibel = (flags & L2O_SPEC_DECIBEL) != 0;
    const bool is_whole = (flags & L2O_SPEC_NEEDS_SOLUTION) == 0;
    std::vector<double> counted = is_whole ? rows : take_solved(rows, is_ratio ? 2 : 1, is_unsolved);
    if (!is_ratio) return distribution_of(std::move(counted), is_higher_better);
    rows = ratios_of(rows, in_decibel).rows;
    Ratios ratios = ratios_of(counted, in_decibel);
    Distribution distribution = distribution_of(std::move(ratios.rows), is_higher_better);
    if (distribution.rows > 0)
        distribution.mean = std::isnan(ratios.pooled) ? worst_value(is_higher_better) : ratios.pooled;
    return distribution;
}

}  // namespace

Course course_of(const EvaluateSettings& settings,
                 const Optimizee& optimizee,
                 const Ready& ready,
                 bool by_objective) {
    Course course{.first = {*ready.optimizer, *ready.params, ready.safeguard},
                  .iterations = settings.iterations,
                  .max_evaluations = static_cast<double>(settings.max_evaluations),
                  .answer = settings.answer,
                  .keeps_best = can_keep_best(optimizee),
                  .pays_for_end = by_objective,
                  .keeps_improvements = by_objective && can_keep_best(optimizee),
                  .restarts = ready.restarts};
    if (ready.continue_with != nullptr)
        course.then.emplace(Leg{*ready.continue_with, *ready.continue_params});
    return course;
}

void check_evaluation(const EvaluateSettings& settings,
                      const Optimizee& optimizee,
                      const std::vector<Tensor>& x0,
                      const Ready& ready) {
    static const TensorSet kNone;
    Ready bound = ready;
    if (bound.params == nullptr) bound.params = &kNone;
    if (bound.continue_params == nullptr) bound.continue_params = &kNone;
    check_course(course_of(settings, optimizee, bound, false), optimizee, ready.place);
    const auto& options = optimizee.entry().component.options;
    const bool has_option = std::any_of(
        options.begin(), options.end(), [](const OptionSchema& o) { return o.key == "init_std"; });
    check_start(*ready.optimizer,
                x0,
                ready.place,
                has_option ? "set optimizee.init_std to 0" : "choose a problem that starts at 0");
    check_metric("evaluate.metric", settings.metric, optimizee);
}

void check_metric(const std::string& where, const std::string& metric, const Optimizee& optimizee) {
    std::vector<std::string> names = metric_names(optimizee);
    if (is_game(optimizee) && (metric == kObjective || (metric.empty() && names.size() == 1))) {
        std::erase(names, kObjective);
        throw Error(
            ExitCode::kUsage,
            where + (metric.empty() ? " is not set" : " is '" + metric + "'") + ", and '" + optimizee.id() +
                "' is a game, whose objective tells no better point from a worse one: what one player "
                "gains the other loses; " +
                (names.empty() ? "expected a game with a metric, such as the norm of its gradients"
                               : fmt::format("expected one of: {}", fmt::join(names, ", "))));
    }
    if (metric.empty() || std::ranges::find(names, metric) != names.end()) return;
    throw Error(
        ExitCode::kUsage,
        where + ": '" + optimizee.id() + "' has no metric '" + metric + "'" + did_you_mean(metric, names));
}

std::vector<std::string> metric_names(const Optimizee& optimizee) {
    std::vector<std::string> names{kObjective};
    for (const l2o_spec* spec : optimizee.metrics()) names.emplace_back(spec->name);
    return names;
}

bool reaches_by_payment(const std::string& metric, const Optimizee& optimizee) {
    return metric == kObjective && can_keep_best(optimizee);
}

std::vector<std::string> metric_names(const Optimizee& optimizee, const ProblemData& data) {
    std::vector<std::string> names{kObjective};
    for (const std::size_t metric : computable_metrics(optimizee, data))
        names.emplace_back(optimizee.metrics()[metric]->name);
    return names;
}

std::size_t shown_metric(const std::vector<std::string>& metrics, const std::string& wanted) {
    if (wanted.empty()) return metrics.size() > 1 ? 1 : 0;
    const auto found = std::find(metrics.begin(), metrics.end(), wanted);
    return found == metrics.end() ? 0 : static_cast<std::size_t>(found - metrics.begin());
}

Curve evaluate(const EvaluateSettings& settings,
               const Keys& keys,
               const Optimizee& optimizee,
               const ProblemData& data,
               const std::vector<Tensor>& x0,
               const Ready& ready,
               int threads,
               const ProgressSink& progress) {
    check_evaluation(settings, optimizee, x0, ready);
    const std::int64_t rows = data.instances;
    const std::int64_t n_shards = (rows + settings.shard_rows - 1) / settings.shard_rows;
    const std::vector<std::size_t> metrics = computable_metrics(optimizee, data);
    const std::vector<bool> is_unsolved = unsolved_instances(data, optimizee);
    std::vector<std::string> names = metric_names(optimizee, data);
    const std::size_t shown = shown_metric(names, settings.metric);
    const Course course = course_of(settings, optimizee, ready, shown == 0);

    Reporter reporter(progress, "evaluating " + ready.name, n_shards * settings.iterations);
    const std::function<void()> iteration_done = [&] { reporter.iteration_done(); };
    std::vector<ShardRun> shards(static_cast<std::size_t>(n_shards));
    try {
        Team(threads).each(n_shards, [&](std::int64_t i) {
            const std::int64_t first = i * settings.shard_rows;
            shards[static_cast<std::size_t>(i)] =
                run_shard({.settings = settings,
                           .keys = keys,
                           .optimizee = optimizee,
                           .data = data,
                           .x0 = x0,
                           .course = course,
                           .name = ready.name,
                           .first = first,
                           .count = std::min(settings.shard_rows, rows - first),
                           .metrics = metrics,
                           .iteration_done = iteration_done});
        });
    } catch (const Error& error) {
        if (error.code() != ExitCode::kUsage || ready.place.empty()) throw;
        throw Error(error.code(), ready.place + ": " + error.what());
    }
    reporter.finish();

    Curve curve{.contestant = ready.name,
                .training_seconds = ready.training_seconds,
                .preparation_seconds = ready.preparation_seconds,
                .training = ready.training};
    if (ready.safeguard) {
        double fallbacks = 0, steps = 0;
        for (const ShardRun& shard : shards) {
            fallbacks += static_cast<double>(shard.fallbacks);
            steps += static_cast<double>(shard.safeguarded);
        }
        curve.safeguard = ready.safeguard->classic.id();
        curve.fallback_rate = steps > 0 ? fallbacks / steps : 0;
    }
    curve.metrics = std::move(names);
    curve.distributions.resize(curve.metrics.size());
    curve.history.shard_rows = settings.shard_rows;
    curve.iteration = recorded_iterations(shards, settings);
    for (ShardRun& shard : shards) std::ranges::move(shard.staircases, std::back_inserter(curve.staircases));
    for (const std::int64_t iteration : curve.iteration) {
        if (cancel_flag().load() != 0)
            throw Error(ExitCode::kInterrupted, "the evaluation of '" + ready.name + "' was interrupted");
        Evaluations sum;
        double seconds = 0;
        std::vector<std::vector<double>> all(curve.metrics.size());
        std::vector<double> row_evaluations, shard_seconds, best;
        for (const ShardRun& shard : shards) {
            const ShardRecord record = shard.at(iteration);
            const auto count = static_cast<double>(record.rows[0].size());
            for (std::size_t row = 0; row < record.evaluations.size(); ++row) {
                sum = sum + record.evaluations[row];
                // To tell its objective a row would have had to pay for it.
                row_evaluations.push_back(record.evaluations[row].points +
                                          (shown == 0 ? record.due[row] : 0));
            }
            best.insert(best.end(), record.best.begin(), record.best.end());
            seconds += record.seconds;
            shard_seconds.push_back(record.seconds / count);
            for (std::size_t i = 0; i < all.size(); ++i)
                all[i].insert(all[i].end(), record.rows[i].begin(), record.rows[i].end());
        }
        curve.evaluations.push_back(sum.points / static_cast<double>(rows));
        curve.values.push_back(sum.values / static_cast<double>(rows));
        curve.gradients.push_back(sum.gradients / static_cast<double>(rows));
        curve.seconds.push_back(seconds / static_cast<double>(rows));
        curve.history.evaluations.push_back(std::move(row_evaluations));
        curve.history.seconds.push_back(std::move(shard_seconds));
        for (std::size_t i = 0; i < all.size(); ++i)
            curve.distributions[i].push_back(
                summarise(all[i], i == 0 ? 0 : optimizee.metrics()[metrics[i - 1]]->flags, is_unsolved));
        curve.history.values.push_back(all[shown]);
        if (course.keeps_best) {
            if (iteration == curve.iteration.back()) curve.final_best = best;
            std::erase_if(best, [](double f) { return std::isnan(f); });
            curve.best.push_back(distribution_of(std::move(best)).median);
        }
        if (iteration == curve.iteration.back()) curve.final_rows = std::move(all);
    }
    return curve;
}

}  // namespace l2o::framework
