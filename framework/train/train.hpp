#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "framework/plugin/keys.hpp"
#include "framework/progress.hpp"
#include "framework/rollout/point.hpp"
#include "framework/train/settings.hpp"
#include "framework/weights/outcome.hpp"

namespace l2o::framework {

/// What is to be trained; borrowed.
struct TrainTask {
    const std::string& name;  ///< of the contestant
    const std::string& hash;  ///< names what the training depends on
    const TrainSettings& settings;
    const std::map<std::string, std::string>& builds;  ///< see known_builds()
    std::uint64_t seed = 0;
};

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

/// What train() would refuse before it begins, told before anything is drawn.
/// @throw Error kPlugin, kUsage
void check_training(const TrainTask& task, const Optimizer& optimizer, const Optimizee& optimizee);

/// Trains an optimizer. Same task, same bits, for any number of threads, and across
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
[[nodiscard]] TrainResult train(const TrainTask& task,
                                const Optimizer& optimizer,
                                const Optimizee& optimizee,
                                const TrainFiles& files,
                                int threads,
                                const ProgressSink& progress);

}  // namespace l2o::framework
