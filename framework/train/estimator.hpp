#pragma once

#include <cstdint>
#include <string>

#include "framework/rollout/unroll.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/train/shards.hpp"
#include "framework/train/stages.hpp"
#include "framework/train/training_batches.hpp"

namespace l2o::framework {

/// One stage of a training: what learns from what. All of it outlives whoever works on it.
struct Lesson {
    const Optimizer& optimizer;
    const Optimizee& optimizee;
    const Loss& loss;
    const TensorSet& phi;  ///< the parameters, which change from window to window
    const Keys& keys;
    const TrainSettings& settings;
    const Stage& stage;
    TrainingBatches& batches;
    int threads;
};

/// A way to find the gradient of the meta-loss in the learned parameters, window by window of a batch of
/// trajectories. The same draws, the same bits for any number of threads.
class Estimator {
  public:
    Estimator() = default;
    Estimator(const Estimator&) = delete;
    Estimator& operator=(const Estimator&) = delete;
    virtual ~Estimator() = default;

    /// Starts trajectory number `index`. @return the step that it is at: not 0 if first steps were known.
    virtual std::int64_t start(std::uint64_t index) = 0;
    /// Runs n steps from step t; `gradient` is overwritten with the gradient of cot * (sum of the rows'
    /// losses). If the window is not finite, neither is the gradient, and the trajectory is to be given up.
    virtual Unroll::Window window(std::int64_t t, std::int64_t n, double cot, TensorSet& gradient) = 0;

    /// Of one that has no gradient: what the parameters become after a window, empty tensors where they stay.
    [[nodiscard]] virtual const TensorSet* proposed() const { return nullptr; }

    /// What a checkpoint at step t of a trajectory has to keep, by name. At t = 0 a trajectory is started
    /// again.
    [[nodiscard]] virtual TensorRefs carried(std::int64_t t) const = 0;
    /// Goes on at step t of trajectory number `index` with what carried(t) gave.
    virtual void restore(const TensorFile& file, std::uint64_t index, std::int64_t t) = 0;

    /// Of all points held now.
    [[nodiscard]] virtual std::int64_t bytes() const = 0;
    /// Evaluations that all trajectories together have paid for since this was made, see Unroll::paid().
    [[nodiscard]] virtual double paid() const = 0;
};

/// What training by whole batches shares: the gradient of the loss, or that of imitation.
[[nodiscard]] inline Shards::Options shards_of(const Lesson& lesson) {
    return {.split = Split::kTrain,
            .batch = lesson.settings.batch,
            .shard_rows = lesson.settings.shard_rows,
            .rates = lesson.stage.rates,
            .unroll = {.horizon = lesson.stage.horizon,
                       .memory_bytes = lesson.settings.memory_bytes,
                       .update_probability = lesson.settings.update_probability},
            .with_solutions = lesson.stage.with_solutions};
}

/// The first instance of trajectory number `index`: new ones every time, of other trainings too, or a fixed
/// training set in turns, which another training takes up at another batch.
[[nodiscard]] inline std::uint64_t first_instance(std::uint64_t index, const TrainSettings& settings) {
    constexpr std::uint64_t kApart = 1'000'000'007;  // a prime: of few batches another one, too
    std::uint64_t batch = index + settings.seed * kApart;
    if (settings.instances > 0) batch %= static_cast<std::uint64_t>(settings.instances / settings.batch);
    return batch * static_cast<std::uint64_t>(settings.batch);
}

}  // namespace l2o::framework
