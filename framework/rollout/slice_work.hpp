#pragma once

#include <vector>

#include "framework/rollout/slice_call.hpp"

namespace l2o::framework {

/// What a thread needs to take slices through a window. [one thread]
class SliceWork {
  public:
    static constexpr std::int64_t kCotangents = 0, kPoints = 2;  ///< places: two cotangents, then points

    /// @param kept  points of a slice that are kept here.
    SliceWork(const Slices& slices, Dtype dtype, std::int64_t kept);
    /// Of one that is made so.
    [[nodiscard]] static std::int64_t bytes(const Slices& slices, Dtype dtype, std::int64_t kept);

    /// x and state number `index`.
    SliceMemory place(std::int64_t index);
    void zero(std::int64_t index);
    [[nodiscard]] std::int64_t bytes() const { return memory_.bytes(); }

    SliceCall call;

  private:
    Dtype dtype_;
    std::int64_t length_;
    std::vector<std::int64_t> widths_;
    Tensor memory_;
};

}  // namespace l2o::framework
