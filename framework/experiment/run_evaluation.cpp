#include "framework/experiment/run_evaluation.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <mutex>

#include "framework/error.hpp"
#include "framework/evaluate/curve_file.hpp"
#include "framework/evaluate/results.hpp"
#include "framework/evaluate/results_file.hpp"
#include "framework/evaluate/timing.hpp"
#include "framework/plugin/process_watch.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/hash.hpp"
#include "framework/text/json.hpp"

namespace l2o::framework {
namespace {

/// See Results::instances. The sum is weighted, so that it knows the order.
std::vector<std::pair<double, double>> sums_of(const TestSet& test) {
    std::vector<std::pair<double, double>> sums;
    for (const auto* tensors : {&test.rows.tensors, &test.x0}) {
        for (const Tensor& tensor : *tensors) {
            double sum = 0, size = 0;
            for (std::int64_t i = 0; tensor && i < tensor.size(); ++i) {
                constexpr std::int64_t kWeights = 17;
                const double term = static_cast<double>(i % kWeights + 1) * tensor.value(i);
                if (!std::isfinite(term)) continue;
                sum += term;
                size += std::abs(term);
            }
            sums.emplace_back(std::isfinite(size) ? sum : 0, std::isfinite(size) ? size : 0);
        }
    }
    return sums;
}

std::int64_t dimension_of(const TestSet& test) {
    std::int64_t sum = 0;
    for (const Tensor& block : test.x0) sum += block.size() / test.rows.instances;
    return sum;
}

/// See Results::optima.
std::optional<std::vector<double>> optima_of(const TestSet& test, const Optimizee& optimizee) {
    for (std::size_t i = 0; i < optimizee.data().size(); ++i) {
        const Tensor& tensor = test.instances.tensors[i];
        if (!tensor || !has(*optimizee.data()[i], L2O_SPEC_OPTIMUM)) continue;
        std::vector<double> optima;
        for (std::int64_t k = 0; k < tensor.size(); ++k) optima.push_back(tensor.value(k));
        return optima;
    }
    return std::nullopt;
}

}  // namespace

std::string RunEvaluation::results_hash() const {
    Checksum checksum;
    checksum.add(entrants_hash_);
    for (const auto& file : {state_.folder->curves(),
                             state_.folder->finals(),
                             state_.folder->summary(),
                             state_.folder->results()})
        checksum.add(read_file(file));
    return checksum.hex();
}

bool RunEvaluation::take_up(Results& results) const {
    if (state_.request.finished.empty()) return false;
    try {
        if (results_hash() != state_.request.finished) return false;
        results = read_results(state_.folder->path, state_.experiment.evaluate.shard_rows);
    } catch (const Error&) {
        return false;  // files that are gone are made again
    }
    remove_evaluations();  // a run that was killed behind its results left them
    return true;
}

void RunEvaluation::evaluate(Results& results) {
    std::vector<Curve>& curves = results.curves;
    using Clock = std::chrono::steady_clock;
    Clock::time_point last = Clock::now();
    std::mutex mutex;  // of all that pieces of work share
    std::vector<std::size_t> missing, unkept;
    curves.resize(state_.entrants.size());
    for (std::size_t i = 0; i < state_.entrants.size(); ++i) {
        const std::filesystem::path file = state_.folder->evaluation(state_.entrants[i].contestant->name);
        if (std::optional<Curve> known = kept_.find(file, state_.entrants[i], state_.experiment.evaluate))
            curves[i] = std::move(*known);
        else
            missing.push_back(i);
    }
    std::size_t left = missing.size();
    const auto keep = [&] {
        for (const std::size_t i : unkept)
            write_curve(state_.folder->evaluation(state_.entrants[i].contestant->name),
                        curves[i],
                        kept_.hash_of(state_.entrants[i]));
        unkept.clear();
        last = Clock::now();
    };
    try {
        state_.each(missing, "the evaluation", [&](std::size_t i, int threads, const ProgressSink& progress) {
            Curve curve = framework::evaluate(state_.experiment.evaluate,
                                              state_.keys,
                                              state_.optimizee,
                                              state_.test.rows,
                                              state_.test.x0,
                                              ready(state_.entrants[i]),
                                              threads,
                                              progress);
            const std::lock_guard lock(mutex);
            curves[i] = std::move(curve);
            unkept.push_back(i);
            const std::chrono::duration<double> since = Clock::now() - last;
            if (--left > 0 && since.count() >= state_.experiment.evaluate.checkpoint_every_s) keep();
        });
    } catch (const Error& error) {
        if (error.code() == ExitCode::kInterrupted) keep();
        throw;
    }
    if (state_.experiment.evaluate.keep_rows) {
        keep();
        for (std::size_t i = 0; i < state_.entrants.size(); ++i) {
            const Contestant& contestant = *state_.entrants[i].contestant;
            if (contestant.shown_name() != contestant.name)  // it was tuned
                write_curve(state_.folder->evaluation(contestant.shown_name()),
                            curves[i],
                            kept_.hash_of(state_.entrants[i]));
        }
    }
    for (std::size_t i = 0; i < state_.entrants.size(); ++i) {
        const Contestant& contestant = *state_.entrants[i].contestant;
        Curve& curve = curves[i];
        curve.contestant = contestant.shown_name();
        curve.swept = contestant.shown_swept();
        if (!curve.swept.empty()) curve.group = contestant.group;
        curve.tuned = state_.entrants[i].tuned;
        curve.optimizer = contestant.optimizer.id();
        curve.options = state_.entrants[i].optimizer->options().canonical();
        if (contestant.train) curve.training_seed = contestant.train->seed;
    }
    results.judging = judging_of(state_.experiment.evaluate,
                                 state_.optimizee,
                                 curves.front().metrics,
                                 unsolved_instances(state_.test.instances, state_.optimizee));
    if (state_.experiment.evaluate.timing) quote_times(curves);
    results.files = state_.experiment.files;
    results.instances = sums_of(state_.test);
    results.dimension = dimension_of(state_.test);
    results.optima = optima_of(state_.test, state_.optimizee);
    results.runtimes = runtimes_of(curves, results.judging, results.dimension, results.optima);
    find_reached(curves, results.judging);
    write_curves(state_.folder->curves(), curves);
    write_finals(state_.folder->finals(), results);
    write_summary(state_.folder->summary(), curves, results.judging);
    write_results(state_.folder->results(), results);
    state_.request.finished = results_hash();
    state_.folder->write(state_.request);
    remove_evaluations();
}

/// Alone, so that nothing runs beside it.
void RunEvaluation::quote_times(std::vector<Curve>& curves) const {
    // What takes long is as well timed by its evaluation.
    constexpr double kLongest = 0.5;
    const auto rows =
        static_cast<double>(std::min(state_.experiment.evaluate.shard_rows, state_.test.rows.instances));
    std::vector<Ready> contestants;
    std::vector<Curve*> short_ones;
    for (std::size_t i = 0; i < curves.size(); ++i) {
        const double seconds = curves[i].seconds.back();
        curves[i].time = {.median = seconds, .low = seconds, .high = seconds, .runs = 1};
        if (seconds * rows > kLongest) continue;
        contestants.push_back(ready(state_.entrants[i]));
        short_ones.push_back(&curves[i]);
    }
    const ProcessWatch watch("the timing of one of the contestants");
    const std::vector<SolveTime> times = time_solves(state_.experiment.evaluate,
                                                     state_.keys,
                                                     state_.optimizee,
                                                     state_.test.rows,
                                                     state_.test.x0,
                                                     contestants,
                                                     state_.options.progress);
    for (std::size_t i = 0; i < times.size(); ++i) quote(*short_ones[i], times[i]);
}

void RunEvaluation::remove_evaluations() const {
    std::vector<std::filesystem::path> files = state_.tuning_files;
    for (const Entrant& entrant : state_.entrants) {
        const bool is_kept = state_.experiment.evaluate.keep_rows &&
                             entrant.contestant->shown_name() == entrant.contestant->name;
        if (!is_kept) files.push_back(state_.folder->evaluation(entrant.contestant->name));
    }
    for (const std::filesystem::path& file : files) {
        std::error_code ignored;
        std::filesystem::remove(file, ignored);
    }
}

}  // namespace l2o::framework
