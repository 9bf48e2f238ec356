#include <algorithm>
#include <chrono>
#include <cmath>
#include <mutex>
#include <span>

#include "framework/error.hpp"
#include "framework/evaluate/curve_file.hpp"
#include "framework/evaluate/results.hpp"
#include "framework/evaluate/results_file.hpp"
#include "framework/evaluate/timing.hpp"
#include "framework/experiment/runner.hpp"
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

std::string Runner::results_hash() const {
    Checksum checksum;
    checksum.add(entrants_hash_.empty() ? entrants_hash() : entrants_hash_);
    for (const auto& file : {folder_->curves(), folder_->finals(), folder_->summary(), folder_->results()})
        checksum.add(read_file(file));
    return checksum.hex();
}

bool Runner::take_results(RunResult& result) const {
    const auto is_to_train = [&](const Entrant& entrant) { return needs_training(entrant); };
    if (std::ranges::any_of(entrants_, is_to_train)) return false;
    if (options_.part != RunPart::kTrain) {
        if (request_.finished.empty()) return false;
        try {
            if (results_hash() != request_.finished) return false;
            result.results = read_results(folder_->path, experiment_.evaluate.shard_rows);
            remove_evaluations();  // a run that was killed behind its results left them
        } catch (const Error&) {
            return false;  // files that are gone are made again
        }
    }
    note(folder_->path.string() + (options_.part == RunPart::kTrain
                                       ? ": nothing is left to train"
                                       : ": this run is finished; what it came to is told as it was stored"));
    result.was_finished = true;
    add_weights(result);
    return true;
}

std::string Runner::entrants_hash() const {
    Checksum checksum;
    for (const Entrant& entrant : entrants_) checksum.add(evaluation_hash(entrant));
    return checksum.hex();
}

std::string Runner::evaluation_hash(const Entrant& entrant) const {
    Checksum checksum;
    for (const std::string& text : {experiment_.hash,
                                    entrant.contestant->name,
                                    options_.build.version,
                                    options_.build.type,
                                    options_.build.flags})
        checksum.add(text);
    const auto add_build = [&](const Catalog::Entry& entry) {
        const Build build = Catalog::build_of(entry);
        checksum.add(build.id + " " + build.content);
    };
    const auto add = [&](std::span<const Tensor> tensors) {
        for (const Tensor& tensor : tensors) {
            if (!tensor) continue;
            checksum.add(name_of(tensor.dtype()) + to_string(tensor.shape()));
            checksum.add({static_cast<const char*>(tensor.data()), static_cast<std::size_t>(tensor.bytes())});
        }
    };
    add_build(optimizee_.entry());
    add(test_.rows.tensors);
    add(test_.x0);
    const auto add_optimizer = [&](const Optimizer* optimizer, const TensorSet& params) {
        if (optimizer == nullptr) return checksum.add("");
        add_build(optimizer->entry());
        checksum.add(optimizer->options().to_json().dump());  // those of given weights are in their file
        add(params.tensors());
    };
    add_optimizer(entrant.optimizer.get(), entrant.params);
    add_optimizer(entrant.continue_with.get(), entrant.continue_params);
    add_optimizer(entrant.classic.get(), entrant.classic_params);
    return checksum.hex();
}

std::optional<Curve> Runner::kept_curve(const std::filesystem::path& file,
                                        const Entrant& entrant,
                                        const EvaluateSettings& settings) const {
    if (options_.resume.empty() || !std::filesystem::exists(file)) return std::nullopt;
    std::optional<Curve> curve = read_curve(file, evaluation_hash(entrant));
    const std::int64_t rows = settings.instances * settings.starts;
    const std::string metric = curve ? curve->metrics[shown_metric(curve->metrics, settings.metric)] : "";
    if (curve &&
        (std::ssize(curve->final_rows.front()) != rows || curve->metrics != metric_names(optimizee_) ||
         curve->staircases.empty() == reaches_by_payment(metric, optimizee_)))
        curve.reset();
    if (!curve)
        note(file.string() + ": not of this configuration, these weights and these plugins; '" +
             entrant.contestant->name + "' is evaluated again");
    return curve;
}

void Runner::evaluate_all(Results& results) {
    std::vector<Curve>& curves = results.curves;
    using Clock = std::chrono::steady_clock;
    Clock::time_point last = Clock::now();
    std::mutex mutex;  // of all that pieces of work share
    std::vector<std::size_t> missing, unkept;
    curves.resize(entrants_.size());
    for (std::size_t i = 0; i < entrants_.size(); ++i) {
        const std::filesystem::path file = folder_->evaluation(entrants_[i].contestant->name);
        if (std::optional<Curve> known = kept_curve(file, entrants_[i], experiment_.evaluate))
            curves[i] = std::move(*known);
        else
            missing.push_back(i);
    }
    std::size_t left = missing.size();
    const auto keep = [&] {
        for (const std::size_t i : unkept)
            write_curve(
                folder_->evaluation(entrants_[i].contestant->name), curves[i], evaluation_hash(entrants_[i]));
        unkept.clear();
        last = Clock::now();
    };
    try {
        each(missing, "the evaluation", [&](std::size_t i, int threads, const ProgressSink& progress) {
            Curve curve = evaluate(experiment_.evaluate,
                                   keys_,
                                   optimizee_,
                                   test_.rows,
                                   test_.x0,
                                   ready(entrants_[i]),
                                   threads,
                                   progress);
            const std::lock_guard lock(mutex);
            curves[i] = std::move(curve);
            unkept.push_back(i);
            const std::chrono::duration<double> since = Clock::now() - last;
            if (--left > 0 && since.count() >= experiment_.evaluate.checkpoint_every_s) keep();
        });
    } catch (const Error& error) {
        if (error.code() == ExitCode::kInterrupted) keep();
        throw;
    }
    if (experiment_.evaluate.keep_rows) {
        keep();
        for (std::size_t i = 0; i < entrants_.size(); ++i) {
            const Contestant& contestant = *entrants_[i].contestant;
            if (contestant.shown_name() != contestant.name)  // it was tuned
                write_curve(
                    folder_->evaluation(contestant.shown_name()), curves[i], evaluation_hash(entrants_[i]));
        }
    }
    for (std::size_t i = 0; i < entrants_.size(); ++i) {
        const Contestant& contestant = *entrants_[i].contestant;
        Curve& curve = curves[i];
        curve.contestant = contestant.shown_name();
        curve.swept = contestant.shown_swept();
        if (!curve.swept.empty()) curve.group = contestant.group;
        curve.tuned = entrants_[i].tuned;
        curve.optimizer = contestant.optimizer.id();
        curve.options = entrants_[i].optimizer->options().canonical();
        if (contestant.train) curve.training_seed = contestant.train->seed;
    }
    results.judging = judging_of(experiment_.evaluate,
                                 optimizee_,
                                 curves.front().metrics,
                                 unsolved_instances(test_.instances, optimizee_));
    if (experiment_.evaluate.timing) quote_times(curves);
    results.files = experiment_.files;
    results.instances = sums_of(test_);
    results.dimension = dimension_of(test_);
    results.optima = optima_of(test_, optimizee_);
    results.runtimes = runtimes_of(curves, results.judging, results.dimension, results.optima);
    find_reached(curves, results.judging);
    write_curves(folder_->curves(), curves);
    write_finals(folder_->finals(), results);
    write_summary(folder_->summary(), curves, results.judging);
    write_results(folder_->results(), results);
    request_.finished = results_hash();
    folder_->write(request_);
    remove_evaluations();
}

/// Alone, so that nothing runs beside it.
void Runner::quote_times(std::vector<Curve>& curves) const {
    // What takes long is as well timed by its evaluation.
    constexpr double kLongest = 0.5;
    const auto rows = static_cast<double>(std::min(experiment_.evaluate.shard_rows, test_.rows.instances));
    std::vector<Ready> contestants;
    std::vector<Curve*> short_ones;
    for (std::size_t i = 0; i < curves.size(); ++i) {
        const double seconds = curves[i].seconds.back();
        curves[i].time = {.median = seconds, .low = seconds, .high = seconds, .runs = 1};
        if (seconds * rows > kLongest) continue;
        contestants.push_back(ready(entrants_[i]));
        short_ones.push_back(&curves[i]);
    }
    const ProcessWatch watch("the timing of one of the contestants");
    const std::vector<SolveTime> times = time_solves(
        experiment_.evaluate, keys_, optimizee_, test_.rows, test_.x0, contestants, options_.progress);
    for (std::size_t i = 0; i < times.size(); ++i) quote(*short_ones[i], times[i]);
}

void Runner::remove_evaluations() const {
    std::vector<std::filesystem::path> files = tuning_files_;
    for (const Entrant& entrant : entrants_) {
        const bool is_kept =
            experiment_.evaluate.keep_rows && entrant.contestant->shown_name() == entrant.contestant->name;
        if (!is_kept) files.push_back(folder_->evaluation(entrant.contestant->name));
    }
    for (const std::filesystem::path& file : files) {
        std::error_code ignored;
        std::filesystem::remove(file, ignored);
    }
}

}  // namespace l2o::framework
