#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "framework/evaluate/compare.hpp"
#include "framework/experiment/experiment.hpp"
#include "framework/store/environment.hpp"
#include "framework/train/train.hpp"

namespace l2o::framework {

/// Which part of a run: train what has no weights, evaluate everybody, or first the one and then the other.
enum class RunPart { kAll, kTrain, kEvaluate };

struct RunOptions {
    RunPart part = RunPart::kAll;
    std::filesystem::path root = "runs";  ///< run folders, and weights/ for those found again
    /// A run folder to go on in; "" : a new one. Read the experiment from it, see resumed_experiment().
    std::filesystem::path resume{};
    bool retrain = false;    ///< train even if there are weights of the same hash
    bool untrained = false;  ///< everybody from their start values, except with weights that are given
    int threads = 1;
    BuildInfo build{};  ///< for environment.json
    ProgressSink progress{};
};

/// The weights of one learned contestant.
struct WeightsReport {
    std::string contestant;
    std::filesystem::path file;
    enum class Source { kTrained, kFound, kGiven } source{};
    double seconds = 0;  ///< of the training, whenever it was; 0 if unknown
    /// Of this training; nothing for weights found or given.
    std::optional<std::int64_t> meta_steps{}, skipped{};
};

struct RunResult {
    std::filesystem::path folder;
    std::vector<WeightsReport> weights{};
    Judging judging{};
    std::vector<Curve> curves{};  ///< in the order of the file; empty if nothing was evaluated
    std::int64_t unsolved = 0;    ///< test instances whose solution the optimizee does not vouch for: NaN
};

/// The experiment of a run folder, as it was when the run began. @throw Error kIo, kUsage
[[nodiscard]] Experiment resumed_experiment(const Catalog& catalog, const std::filesystem::path& folder);

/// Runs an experiment: binds every plugin, trains the contestants that need it, evaluates all of them on the
/// same instances and starts, and writes the run folder:
///
///     <root>/<experiment>/<time>-<hash>/  config.info  environment.json  metrics.jsonl  curves.csv
///                                         finals.csv  summary.csv  results.json
///                                         checkpoints/<contestant>.safetensors
///     <root>/weights/<optimizer>-<hash>.safetensors
///
/// A contestant is trained once: weights of the same hash are used again. A killed run goes on from its last
/// checkpoint with `resume`. Everything that can be refused is refused before anything is trained.
/// @throw Error  kPlugin, kUsage: a contestant does not suit the problem; kNumerical: a training diverged;
///               kInterrupted: CallContext::cancel_flag was set, and what is trained so far is kept.
[[nodiscard]] RunResult run_experiment(const Experiment& experiment, const RunOptions& options);

}  // namespace l2o::framework
