#pragma once

#include <cstdint>

#include "framework/plugin/optimizee.hpp"
#include "framework/plugin/optimizer.hpp"
#include "framework/rollout/point.hpp"

namespace l2o::framework {

/// A swarm learns from how its particles differ. One that begins in a point and moves on together, without a
/// draw that could part it, is that point alone, and is refused.
class ParticleWatch {
  public:
    /// Of step t, which has been made: the rows of the optimizee before it and after it.
    /// @pre there are several particles
    /// @throw Error kUsage: the particles of an instance are still together
    void watch(const Optimizer& optimizer,
               const Optimizee& optimizee,
               const PointLayout& layout,
               const TensorSet& x_rows,
               const TensorSet& next_rows,
               std::int64_t t);

  private:
    std::int64_t row_ = -1;  // whose particles began in one point; -1: there is none
};

}  // namespace l2o::framework
