#pragma once

#include <vector>

#include "framework/plugin/call.hpp"
#include "framework/plugin/optimizee.hpp"
#include "framework/plugin/optimizer.hpp"
#include "framework/rollout/point.hpp"

namespace l2o::framework {

/// Stochastic structural sparsity: in every step of a training each layer of the problem is updated with the
/// probability of its third of the layers. 1: always.
struct UpdateProbability {
    double first = 1, middle = 1, last = 1;

    [[nodiscard]] bool is_one() const { return first == 1 && middle == 1 && last == 1; }
};
/// @throw Error kUsage of a probability below 1 for a third in which the problem has no layer.
void check_update_probability(const UpdateProbability& probability, const Optimizee& optimizee);

/// Which blocks stay where they are in a step, together with the state that belongs to them. A layer is the
/// blocks with the same `layer`, or one block where the problem names no layers. The same for all rows.
///
/// Source: Li et al. 2020, "HALO: hardware-aware learning to optimize" (ECCV), section 3.3.
class SparseUpdates {
  public:
    /// State whose name ends with ".BLOCK" belongs to that block, and all state to a block that is alone;
    /// what is left is shared and always moves on.
    SparseUpdates(const Optimizer& optimizer,
                  const Optimizee& optimizee,
                  const UpdateProbability& probability);

    /// In step t of the trajectories with this key.
    [[nodiscard]] bool stays(const Key& key, std::int64_t t, std::size_t block) const;
    [[nodiscard]] bool any_stays(const Key& key, std::int64_t t) const;
    /// Undoes a step for the blocks that stay in it.
    void hold(const Key& key, std::int64_t t, const Point& from, Point& to) const;
    /// The reverse of hold(): moves cotangents of blocks that stay from after the step to before it.
    void hold_back(const Key& key, std::int64_t t, Point& after, Point& before) const;

  private:
    struct Block {
        double probability;
        std::uint64_t layer;
        std::vector<std::size_t> states;
    };
    std::vector<Block> blocks_;  // empty: nothing ever stays
};

}  // namespace l2o::framework
