#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "framework/train/shards.hpp"

namespace l2o::framework {

/// The batches of a fixed training set, kept so that each is drawn once; and where its trajectories are in
/// front of the layers that a stage trains: the layers before them do not change, so they are run once.
class TrainingBatches {
  public:
    /// @param memory_bytes  for all that is kept; what does not fit is computed again. 0: no limit.
    explicit TrainingBatches(std::uint64_t memory_bytes) : memory_bytes_(memory_bytes) {}

    /// Starts trajectory number `index` on the batch that begins with instance `first`, and brings it to step
    /// `prefix`. @return false if it diverged on the way; then it is at step 0.
    bool start(Shards& shards, std::uint64_t index, std::uint64_t first, std::int64_t prefix);
    /// The parameters of the first layers have changed, or another stage begins.
    void forget_prefixes();

  private:
    struct Batch {
        ProblemData instances;
        Carried prefix;  ///< empty: not known
    };
    [[nodiscard]] bool fits(std::int64_t bytes) const;

    std::uint64_t memory_bytes_;
    std::int64_t instance_bytes_ = 0, prefix_bytes_ = 0;
    std::map<std::uint64_t, Batch> batches_;  // by first instance
};

}  // namespace l2o::framework
