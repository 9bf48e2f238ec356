#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "framework/evaluate/evaluate.hpp"
#include "framework/rollout/rollout.hpp"

namespace l2o::framework {

/// What one shard looked like at one recorded iteration.
struct ShardRecord {
    std::vector<Evaluations> evaluations;  ///< by row of the shard
    std::vector<double> due{};             ///< by row: see Rollout::View
    std::vector<double> best{};            ///< by row: the best f paid for, NAN: none; empty: not kept
    double seconds = 0;
    std::vector<std::vector<double>> rows;  ///< [metric][row of the shard]; a ratio has u, w, u, w, ...
};

/// All that one shard did.
struct ShardRun {
    std::map<std::int64_t, ShardRecord> records;  ///< by iteration; always 0 and the last one
    std::vector<Staircase> staircases{};          ///< by row; empty: not kept
    std::optional<ShardRecord> gave_up{};         ///< after the last record, if a plugin did: NAN
    std::int64_t safeguarded = 0, fallbacks = 0;  ///< steps of all rows under a safeguard; classic ones

    /// The state at an iteration: after a shard has stopped, that at its end; after a plugin gave up, NAN.
    [[nodiscard]] ShardRecord at(std::int64_t iteration) const;
};

/// Index of an optimizee's metric among Optimizee::metrics(), for those that can be computed from some data.
[[nodiscard]] std::vector<std::size_t> computable_metrics(const Optimizee& optimizee,
                                                          const ProblemData& data);

/// The rows [first, first + count) of an evaluation, run by one thread.
struct ShardTask {
    const EvaluateSettings& settings;
    const Keys& keys;
    const Optimizee& optimizee;
    const ProblemData& data;        ///< of all rows
    const std::vector<Tensor>& x0;  ///< of all rows
    const Course& course;
    const std::string& name;  ///< of the contestant
    std::int64_t first, count;
    const std::vector<std::size_t>& metrics;
    const std::function<void()>& iteration_done;  ///< called from the shard's thread
};
[[nodiscard]] ShardRun run_shard(const ShardTask& task);

}  // namespace l2o::framework
