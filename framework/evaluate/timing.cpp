#include "framework/evaluate/timing.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "framework/cancel.hpp"
#include "framework/error.hpp"
#include "framework/evaluate/paired.hpp"
#include "framework/rollout/rollout.hpp"

namespace l2o::framework {
namespace {

constexpr double kShortestRun = 2e-3, kAllRuns = 0.5;
constexpr std::int64_t kFewestRuns = 3, kMostRuns = 31, kTraces = 5;

/// Processor time of this process, of which nothing else runs: what other processes take is not in it.
double now() {
    timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// A contestant on the first rows.
class Solver {
  public:
    Solver(const Keys& keys,
           const Optimizee& optimizee,
           const ProblemData& data,
           const std::vector<Tensor>& x0,
           const Course& course)
        : course_(course), rollout_(optimizee, data, course_, keys.test_steps, keys.test_start, 0), x0_(x0) {}

    /// @return seconds of each of some solves of the batch.
    double run(std::int64_t solves) {
        const double begin = now();
        for (std::int64_t i = 0; i < solves; ++i) solve([] {});
        return (now() - begin) / static_cast<double>(solves);
    }
    /// @return by iteration: seconds from the start to its end
    std::vector<double> trace() {
        const double begin = now();
        std::vector<double> seconds{0};
        solve([&] { seconds.push_back(now() - begin); });
        return seconds;
    }

  private:
    template <class Stepped>
    void solve(Stepped&& stepped) try {
        for (rollout_.start(x0_); !rollout_.is_over(); rollout_.step(), stepped()) {
            if (cancel_flag().load() != 0) throw Error(ExitCode::kInterrupted, "the timing was interrupted");
        }
    } catch (const Diverged&) {
        // Its solves end here.
    }

    const Course course_;
    Rollout rollout_;
    const std::vector<Tensor>& x0_;
};

/// By iteration the share of the whole: of every step the median of several traces.
std::vector<double> shares_of(Solver& solver) {
    std::vector<std::vector<double>> traces;
    std::size_t points = std::numeric_limits<std::size_t>::max();  // of all: a plugin may be of two minds
    for (std::int64_t i = 0; i < kTraces; ++i) {
        traces.push_back(solver.trace());
        points = std::min(points, traces.back().size());
    }
    std::vector<double> shares{0};
    for (std::size_t t = 1; t < points; ++t) {
        std::vector<double> steps;
        for (const std::vector<double>& trace : traces) steps.push_back(trace[t] - trace[t - 1]);
        std::ranges::sort(steps);
        shares.push_back(shares.back() + quantile(steps, 0.5));
    }
    const double whole = shares.back();
    for (double& share : shares) share = whole > 0 ? share / whole : 1;
    return shares;
}

struct Timed {
    std::unique_ptr<Solver> solver;
    std::int64_t solves = 1, runs = 0;  // in a run; that are made
    std::vector<double> seconds{};
};

}  // namespace

std::vector<SolveTime> time_solves(const EvaluateSettings& settings,
                                   const Keys& keys,
                                   const Optimizee& optimizee,
                                   const ProblemData& data,
                                   const std::vector<Tensor>& x0,
                                   const std::vector<Ready>& contestants,
                                   const ProgressSink& progress) {
    const std::int64_t rows = std::min(settings.shard_rows, data.instances);
    const ProblemData first = slice(data, optimizee, 0, rows);
    std::vector<Tensor> starts;
    for (const Tensor& x : x0) starts.push_back(x.rows(0, rows));

    const bool by_objective = shown_metric(metric_names(optimizee, data), settings.metric) == 0;

    std::vector<Timed> all;
    for (const Ready& ready : contestants) {
        all.push_back({std::make_unique<Solver>(
            keys, optimizee, first, starts, course_of(settings, optimizee, ready, by_objective))});
        Timed& timed = all.back();
        const double once = std::max(timed.solver->run(1), 1e-9);  // a clock may stand still
        timed.solves = std::max<std::int64_t>(1, std::llround(std::ceil(kShortestRun / once)));
        const double run = once * static_cast<double>(timed.solves);
        timed.runs = std::clamp<std::int64_t>(std::llround(kAllRuns / run), kFewestRuns, kMostRuns);
    }
    std::int64_t total = 0, done = 0;
    for (const Timed& timed : all) total += timed.runs;
    while (done < total) {
        for (Timed& timed : all) {
            if (std::ssize(timed.seconds) == timed.runs) continue;
            timed.seconds.push_back(timed.solver->run(timed.solves));
            ++done;
            if (progress) progress({.what = "timing", .done = done, .total = total, .loss = NAN});
        }
    }
    std::vector<SolveTime> times;
    for (Timed& timed : all) {
        std::ranges::sort(timed.seconds);
        const auto per_row = [&](double seconds) { return seconds / static_cast<double>(rows); };
        times.push_back({.median = per_row(quantile(timed.seconds, 0.5)),
                         .low = per_row(quantile(timed.seconds, 0.1)),
                         .high = per_row(quantile(timed.seconds, 0.9)),
                         .runs = timed.runs,
                         .shares = shares_of(*timed.solver)});
    }
    return times;
}

nlohmann::json to_json(const SolveTime& time) {
    if (time.runs == 0) return nullptr;
    return {{"median", time.median}, {"low", time.low}, {"high", time.high}, {"runs", time.runs}};
}

void quote(Curve& curve, const SolveTime& time) {
    curve.time = time;
    const auto at = [&](std::int64_t iteration) {
        const auto last = std::ssize(time.shares) - 1;
        return time.median * time.shares[static_cast<std::size_t>(std::min(iteration, last))];
    };
    for (std::size_t point = 0; point < curve.iteration.size(); ++point) {
        curve.seconds[point] = at(curve.iteration[point]);
        for (double& seconds : curve.history.seconds[point]) seconds = curve.seconds[point];
    }
    for (Staircase& stairs : curve.staircases)
        for (Stair& stair : stairs) stair.reached.seconds = at(stair.reached.iteration + 1);
}

}  // namespace l2o::framework
