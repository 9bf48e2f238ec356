#pragma once

#include <string>
#include <vector>

#include "framework/plugin/loss.hpp"
#include "framework/rollout/second_order.hpp"
#include "framework/rollout/stepper.hpp"

namespace l2o::framework {

/// A meta-loss on the points of a window, and its reverse. [one thread]
class TrajectoryLoss {
  public:
    TrajectoryLoss(const Loss& loss, const Scene& scene, Stepper& stepper, SecondOrderOracle& oracle);

    [[nodiscard]] const Loss& plugin() const { return loss_; }
    /// Room for n + 1 points; with `records`, for their cotangents, too.
    void reserve(std::int64_t n, bool records);
    /// What the loss reads of point j.   @pre it is evaluated
    void keep(const Point& point, std::int64_t j);

    /// Where the window lies.
    struct Span {
        std::int64_t t0, steps, horizon;
    };
    /// Scores the points that were kept. @return the sum over the rows; of each see per_row().
    double score(const Span& span);
    [[nodiscard]] const Tensor& per_row() const { return per_row_; }  ///< [B]
    /// The rows have no score: NAN.
    void give_up();

    /// Cotangents of all points: cot * d(sum of the rows)/d(f, x, g).   @pre score() of the same span
    /// @param weights  of the rows in that sum; empty: all 1
    void differentiate(const Span& span, double cot, const std::vector<double>& weights);
    /// cot.x += d loss / d x_j: directly, through g_j by the Hessian there, and through f_j by the gradient
    /// there; cot.f holds what the step from x_j adds to the cotangent of f_j.   @pre differentiate()
    void back(std::int64_t j, Point& point, std::int64_t t, Point& cot);
    /// The same of a slice of x_j, whose gradient is g; the loss does not read g.
    template <class T>
    void slice_back(std::int64_t j, const Slice& slice, const T* g, T* x_cot) const;
    [[nodiscard]] std::int64_t bytes() const;

  private:
    [[nodiscard]] l2o_trajectory trajectory(const Span& span) const;

    const Loss& loss_;
    const Scene& scene_;
    Stepper& stepper_;
    SecondOrderOracle& oracle_;
    Tensor f_, f_cot_;                 // [N + 1, B]; absent where the loss does not read it
    TensorSet x_, x_cot_, g_, g_cot_;  // [N + 1, B, shape]; likewise
    Tensor per_row_, row_cot_;         // [B]
    std::vector<const l2o_tensor*> data_;
};

}  // namespace l2o::framework
