#pragma once

#include <memory>
#include <vector>

#include "framework/train/estimator.hpp"
#include "framework/train/shards.hpp"

namespace l2o::framework {

/// Imitation learning, off-policy (Chen et al. 2020, section 3.2): a teacher runs on the problems, the
/// optimizer is given the teacher's points and gradients and proposes steps of its own, and the gradient is
/// that of sum_t 1/(2 n) |its step - the teacher's step|^2, n coordinates. Its state is carried from window
/// to window.
class Imitation : public Estimator {
  public:
    /// @pre settings.imitation; the optimizer has a derivative.
    /// @throw Error kUsage if the teacher or the optimizer is a population.
    explicit Imitation(const Lesson& lesson);

    std::int64_t start(std::uint64_t index) override;
    Unroll::Window window(std::int64_t t, std::int64_t n, double cot, TensorSet& gradient) override;
    [[nodiscard]] TensorRefs carried(std::int64_t t) const override;
    void restore(const TensorFile& file, std::uint64_t index, std::int64_t t) override;
    [[nodiscard]] std::int64_t bytes() const override;
    /// The teacher pays for nothing: both read the same points.
    [[nodiscard]] double paid() const override { return shards_.paid(); }

  private:
    [[nodiscard]] CarriedRefs carried_by_teachers() const;

    const Lesson lesson_;
    Optimizer teacher_;
    TensorSet teacher_params_;
    Shards shards_;
    std::vector<std::unique_ptr<Scene>> scenes_;  // of the teachers, one per shard
    std::vector<std::unique_ptr<Teacher>> teachers_;
};

}  // namespace l2o::framework
