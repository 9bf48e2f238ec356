#include "framework/export/trials.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "framework/error.hpp"

namespace l2o::framework {
namespace {

std::int64_t whole(double evaluations, const std::string& contestant) {
    if (evaluations == std::floor(evaluations)) return static_cast<std::int64_t>(evaluations);
    throw Error(ExitCode::kUsage,
                fmt::format("'{}' has spent {} evaluations on a start; COCO and IOHprofiler know whole ones "
                            "alone; expected an optimizee with costs of whole evaluations, or --csv",
                            contestant,
                            evaluations));
}

constexpr double kUnreached = 1e6;  // more than any target of COCO, which go up to 100

Trial trial_of(const Curve& curve, std::size_t row, std::int64_t instance, double optimum) {
    Trial trial{.instance = instance};
    const std::int64_t spent = whole(curve.history.evaluations.back()[row], curve.contestant);
    const Staircase& stairs = curve.staircases[row];
    const double first = stairs.empty() ? 0 : stairs.front().f - optimum;
    if (stairs.empty() || stairs.front().reached.evaluations > 1)
        trial.log.emplace_back(1, std::max(kUnreached, 10 * first));
    for (const Stair& stair : stairs) {
        const std::int64_t evaluations =
            std::max<std::int64_t>(1, whole(stair.reached.evaluations, curve.contestant));
        // What one question brings is known at once.
        if (!trial.log.empty() && trial.log.back().first == evaluations) trial.log.pop_back();
        trial.log.emplace_back(evaluations, stair.f - optimum);
    }
    if (trial.log.back().first < spent) trial.log.emplace_back(spent, trial.log.back().second);
    return trial;
}

}  // namespace

std::optional<std::vector<double>> optima_of(const KeptRun& run, const FOpt& f_opt) {
    if (f_opt.source == FOpt::Source::kDeclared) return run.results.optima;
    const std::size_t starts = static_cast<std::size_t>(run.results.judging.starts),
                      rows = run.results.curves.front().history.values.front().size();
    if (f_opt.source == FOpt::Source::kValue) return std::vector<double>(rows / starts, f_opt.value);
    std::vector<double> best(rows / starts, NAN);
    for (const Curve& curve : run.results.curves) {
        for (std::size_t row = 0; row < curve.staircases.size(); ++row)
            if (!curve.staircases[row].empty())
                best[row / starts] = std::fmin(best[row / starts], curve.staircases[row].back().f);
    }
    return best;
}

std::vector<Trials> trials_of(const KeptRun& run, const std::vector<double>& optima) {
    const Judging& judging = run.results.judging;
    if (!judging.is_paid_for)
        throw Error(
            ExitCode::kUsage,
            run.folder.string() + ": the metric that counts is '" + judging.metric +
                "', and COCO and IOHprofiler record the objective that was paid for; expected a run with "
                "'evaluate { metric objective }' on a problem whose points can be compared, or --csv");
    std::vector<Trials> all;
    for (const Curve& curve : run.results.curves) {
        const auto has_paid = [](const Staircase& stairs) { return !stairs.empty(); };
        if (std::ranges::none_of(curve.staircases, has_paid)) continue;
        Trials& one = all.emplace_back(Trials{.contestant = curve.contestant, .curve = &curve});
        for (std::size_t row = 0; row < curve.staircases.size(); ++row) {
            const std::size_t instance = row / static_cast<std::size_t>(judging.starts);
            if (!std::isnan(optima[instance]))
                one.trials.push_back(
                    trial_of(curve, row, static_cast<std::int64_t>(instance), optima[instance]));
        }
    }
    if (all.empty() || all.front().trials.empty())
        throw Error(ExitCode::kUsage,
                    run.folder.string() +
                        ": there is nobody who paid for a value on an instance with a known optimum, so "
                        "there is nothing to record; expected --csv, or --f-opt best");
    return all;
}

}  // namespace l2o::framework
