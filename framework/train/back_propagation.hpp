#pragma once

#include "framework/train/estimator.hpp"
#include "framework/train/shards.hpp"
#include "framework/train/stages.hpp"
#include "framework/train/training_batches.hpp"

namespace l2o::framework {

/// Back-propagation through time, truncated where a window is shorter than the trajectory.
class BackPropagation : public Estimator {
  public:
    /// @param phi, keys, settings, stage, batches  outlive this.
    /// @pre the optimizer has a derivative.
    BackPropagation(const Optimizer& optimizer,
                    const Optimizee& optimizee,
                    const Loss& loss,
                    const TensorSet& phi,
                    const Keys& keys,
                    const TrainSettings& settings,
                    const Stage& stage,
                    TrainingBatches& batches,
                    int threads);

    std::int64_t start(std::uint64_t index) override;
    Unroll::Window window(std::int64_t t, std::int64_t n, double cot, TensorSet& gradient) override;
    [[nodiscard]] TensorRefs carried(std::int64_t t) const override;
    void restore(const TensorFile& file, std::uint64_t index, std::int64_t t) override;
    [[nodiscard]] std::int64_t bytes() const override { return shards_.bytes(); }

  private:
    const TrainSettings& settings_;
    const Stage& stage_;
    const Keys& keys_;
    const std::int64_t prefix_;
    TrainingBatches& batches_;
    Shards shards_;
};

}  // namespace l2o::framework
