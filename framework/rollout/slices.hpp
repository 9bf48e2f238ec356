#pragma once

#include <memory>
#include <vector>

#include "framework/plugin/optimizer.hpp"
#include "framework/rollout/point.hpp"

namespace l2o::framework {

/// Coordinates first .. first + count - 1 of a block [B, shape].
struct Slice {
    std::size_t block;
    std::int64_t first, count;
};

/// How a coordinate-wise optimizer is called on many coordinates.
struct Slicing {
    std::int64_t length = 0;  ///< coordinates at a time; 0: all
    int threads = 1;
};

/// A coordinate-wise optimizer on slices of its blocks. An instance of the plugin that was made for one
/// coordinate sees a slice as `count` rows, which in every tensor lie together.
class Slices {
  public:
    /// @param length  coordinates per slice.
    /// @return null for an optimizer that cannot be sliced: it does not promise L2O_OPTIMIZER_COORDINATEWISE,
    /// reads f or data, draws, asks, must not be called by two threads, or has a state that is not one per
    /// coordinate.
    [[nodiscard]] static std::unique_ptr<const Slices> of(const Optimizer& optimizer,
                                                          const PointLayout& layout,
                                                          std::int64_t length);

    [[nodiscard]] const Optimizer& optimizer() const { return *optimizer_; }
    [[nodiscard]] const std::vector<Slice>& all() const { return all_; }
    [[nodiscard]] std::int64_t length() const { return length_; }
    /// Of state tensor i of one coordinate: its number among those of the whole optimizer.
    [[nodiscard]] std::size_t state_of(std::size_t block, std::size_t i) const {
        return state_of_[block * widths_.size() + i];
    }
    /// Elements per coordinate of its state tensors.
    [[nodiscard]] const std::vector<std::int64_t>& widths() const { return widths_; }

  private:
    explicit Slices(std::int64_t length) : length_(length) {}
    std::int64_t length_;
    std::unique_ptr<Optimizer> optimizer_;
    std::vector<Slice> all_;
    std::vector<std::size_t> state_of_;
    std::vector<std::int64_t> widths_;
};

}  // namespace l2o::framework
