#pragma once

#include <cstdint>

#include "framework/rollout/point.hpp"

namespace l2o::framework {

/// The steps of an optimizer under a safeguard, in place of Stepper::advance. No allocation per step. [one
/// thread]
class Guard {
  public:
    Guard() = default;
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    virtual ~Guard() = default;

    /// The next step is the first of another trajectory.
    virtual void restart() = 0;
    virtual void advance(Point& from, Point& to, std::int64_t t) = 0;
    /// The row is stepped and charged no more.
    virtual void end(std::int64_t row) = 0;
    /// Whether the last step of the row was one of the classic optimizer.
    [[nodiscard]] virtual bool fell_back(std::int64_t row) const = 0;
};

}  // namespace l2o::framework
