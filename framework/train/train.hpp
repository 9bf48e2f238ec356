#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "framework/experiment/experiment.hpp"
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
};

struct TrainResult {
    TensorSet params;                          ///< best by validation, else the last
    std::int64_t meta_steps = 0, skipped = 0;  ///< skipped: windows whose loss or gradient was not finite
    double seconds = 0;                        ///< over all sessions of a resumed training
    double best_validation = 0;                ///< NAN without validation
    std::int64_t engine_bytes = 0;             ///< recorded points, all shards
};

/// Trains a contestant's optimizer. Same experiment, same bits, for any number of threads, and across
/// resumes. On interruption (CallContext::cancel_flag) a checkpoint is written and Error(kInterrupted) says
/// how to go on.
/// @throw Error kNumerical if nothing can be learned: every window diverges.
[[nodiscard]] TrainResult train(const Experiment& experiment,
                                const Contestant& contestant,
                                const Optimizer& optimizer,
                                const Optimizee& optimizee,
                                const TrainFiles& files,
                                int threads,
                                const ProgressSink& progress);

}  // namespace l2o::framework
