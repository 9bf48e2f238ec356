#pragma once

#include "framework/train/estimator.hpp"
#include "framework/train/shards.hpp"

namespace l2o::framework {

/// Back-propagation through time, truncated where a window is shorter than the trajectory.
class BackPropagation : public Estimator {
  public:
    /// @pre the optimizer has a derivative.
    explicit BackPropagation(const Lesson& lesson);

    std::int64_t start(std::uint64_t index) override;
    Unroll::Window window(std::int64_t t, std::int64_t n, double cot, TensorSet& gradient) override;
    [[nodiscard]] TensorRefs carried(std::int64_t t) const override;
    void restore(const TensorFile& file, std::uint64_t index, std::int64_t t) override;
    [[nodiscard]] std::int64_t bytes() const override { return shards_.bytes(); }
    [[nodiscard]] double paid() const override { return shards_.paid(); }

  private:
    const Lesson lesson_;
    const std::int64_t prefix_;
    Shards shards_;
};

}  // namespace l2o::framework
