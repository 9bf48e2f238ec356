#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "framework/experiment/experiment.hpp"
#include "framework/train/outcome.hpp"
#include "framework/unroll/point.hpp"

namespace l2o::framework {

/// How far a long piece of work is; for a progress line.
struct Progress {
    std::string what;  ///< "training lista"
    std::int64_t done = 0, total = 0;
    double loss = 0;  ///< of the last meta-step, NAN if there is none
};
using ProgressSink = std::function<void(const Progress&)>;

/// Where a training keeps its files and how it talks.
struct TrainFiles {
    std::filesystem::path checkpoint{};  ///< state of an unfinished training; read if it exists and `resume`
    std::filesystem::path metrics{};     ///< metrics.jsonl, one record per epoch; "" : none
    bool resume = false;
    std::function<void(const std::string&)> note{};  ///< what the user should know at once; may be empty
};

struct TrainResult : TrainingOutcome {
    TensorSet params{};             ///< best by validation, else the last that gave a finite loss
    double seconds = 0;             ///< over all sessions of a resumed training
    double best_validation = 0;     ///< NAN without validation
    std::int64_t engine_bytes = 0;  ///< recorded points, all shards
};

/// Trains a contestant's optimizer. Same experiment, same bits, for any number of threads, and across
/// resumes. On interruption (CallContext::cancel_flag) a checkpoint is written and Error(kInterrupted) says
/// how to go on.
///
/// A window whose loss, gradient or meta-step is not finite teaches nothing and ends its trajectory. A stage
/// ends with its best parameters by validation; without one with its last, or, if those give no finite
/// validation loss and earlier ones do, with the last that a window was finite with; in diverging windows and
/// no better than its start values, with better ones of before, or those. What is kept is compared
/// with what the training began with, on validation instances, whether it validates or not; draws are named,
/// so that this changes none of the training's.
/// @throw Error kNumerical if nothing can be learned: every window diverges.
[[nodiscard]] TrainResult train(const Experiment& experiment,
                                const Contestant& contestant,
                                const Optimizer& optimizer,
                                const Optimizee& optimizee,
                                const TrainFiles& files,
                                int threads,
                                const ProgressSink& progress);

}  // namespace l2o::framework
