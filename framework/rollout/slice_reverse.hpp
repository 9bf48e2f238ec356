#pragma once

#include <memory>
#include <vector>

#include "framework/rollout/recording.hpp"
#include "framework/rollout/slice_work.hpp"
#include "framework/rollout/trajectory_loss.hpp"

namespace l2o::framework {

/// First-order back-propagation of a coordinate-wise optimizer: with g a constant, coordinates do not meet on
/// the way back, so a slice of them goes through the whole window while it stays in cache. [one thread calls]
class SliceReverse {
  public:
    /// Whether the optimizer is called slice by slice, and slices can go back by themselves.
    [[nodiscard]] static bool is_possible(const Scene& scene,
                                          const Loss& loss,
                                          const Stepper& stepper,
                                          SecondOrder second_order);

    /// @param subsample  share of the slices that a window is differentiated on, drawn anew for each and
    ///                   weighted so that the gradient has the same mean; 1: all.
    SliceReverse(
        const Scene& scene, const Stepper& stepper, Recording& recording, double subsample, int threads);

    /// As the recording keeps its windows.   @pre is_possible(), recording.keeps() != Keep::kSegments
    void reserve();
    void clear() { work_.clear(); }
    /// From the last point of the recorded window to point `first`.   @pre reserve(), loss.differentiate()
    /// @param gradient  is added to, one tensor per parameter.
    void back(std::int64_t first, const TrajectoryLoss& loss, TensorSet& gradient);
    [[nodiscard]] std::int64_t bytes() const;

  private:
    [[nodiscard]] std::vector<Slice> drawn() const;
    template <class T>
    void slice_back(const Slice& slice,
                    SliceWork& work,
                    std::int64_t first,
                    const TrajectoryLoss& loss,
                    TensorSet& gradient);

    const Scene& scene_;
    const Stepper& stepper_;
    Recording& recording_;
    const double subsample_;
    const int threads_;
    std::vector<std::unique_ptr<SliceWork>> work_;  // one per thread
};

}  // namespace l2o::framework
