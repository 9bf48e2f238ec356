#pragma once

#include <string>
#include <utility>
#include <vector>

#include "framework/rollout/recording.hpp"
#include "framework/rollout/second_order.hpp"
#include "framework/rollout/slice_reverse.hpp"
#include "framework/rollout/step_reverse.hpp"
#include "framework/rollout/teacher.hpp"
#include "framework/rollout/trajectory_loss.hpp"

namespace l2o::framework {

struct UnrollOptions {
    SecondOrder second_order = SecondOrder::kDrop;
    std::int64_t horizon = 0;        ///< length of the whole trajectory, for the loss
    std::uint64_t memory_bytes = 0;  ///< budget for recorded points; 0: unlimited
    /// Share of the slices of a coordinate-wise optimizer that a window is differentiated on, drawn anew for
    /// each and weighted so that the gradient has the same mean; 1: all.
    double subsample = 1;
    int threads = 1;  ///< for the slices of a coordinate-wise optimizer
    UpdateProbability update_probability{};
    bool has_scores = false;  ///< of rows, see add_scores(): they are among what is carried
};

/// Back-propagation through time across plugins: the optimizer differentiates its own step, the loss its
/// score of a trajectory, the optimizee gives g and H v; the loop and its reverse are here. A window of N
/// steps starts where the last one ended (truncated BPTT); the gradient does not reach back across a window's
/// start.
///
/// A coordinate-wise optimizer on many coordinates is called slice by slice, on several threads if it may,
/// and goes back slice by slice where it can: see SliceReverse. What of a window is kept for the way back
/// follows from a budget: see Recording. Whatever that is, the gradient has the same bits; but slices that do
/// not fit even as gradients do not go back by themselves, and sums over coordinates are then taken in
/// another order. [one thread calls]
class Unroll {
  public:
    Unroll(const Scene& scene, const Loss& loss, const UnrollOptions& options);
    Unroll(const Unroll&) = delete;
    Unroll& operator=(const Unroll&) = delete;

    /// Starts trajectories at t = 0 from x0 (for a population: [B, P, shape]).
    void start(const std::vector<Tensor>& x0);
    /// Of the trajectories that are started from now on.
    void set_horizon(std::int64_t horizon) { options_.horizon = horizon; }
    /// Goes on at t with these tensors: x, then state.
    void restore(std::int64_t t, const std::vector<const Tensor*>& carried);
    /// x, then state, then scores: what restore() takes.
    [[nodiscard]] std::vector<const Tensor*> carried() const;
    [[nodiscard]] std::int64_t t() const { return t_; }

    /// Adds |g|^2 of every row, where the next window starts, to scores(), which are 0 at the start of a
    /// trajectory; inf where that is no number. Not paid for.   @pre has_scores
    void add_scores();
    [[nodiscard]] const Tensor& scores() const { return scores_; }  ///< [B], float64
    /// Factors of the rows in the gradients of the windows to come; empty: all 1.
    void set_row_weights(std::vector<double> weights) { row_weights_ = std::move(weights); }

    /// Score of a window.
    struct Window {
        double loss = 0;        ///< sum over the rows
        bool is_finite = true;  ///< no row diverged; if false nothing was added to the gradient, except where
                                ///< a derivative gave up half-way: discard it
        std::string diverged{};    ///< what a plugin said, if it gave up
        bool is_unsolved = false;  ///< not finite, and instances lack a solution that the loss needs
    };
    /// Runs n steps, scores them, and ADDS cot * d(loss)/d(params) to `gradient` (one tensor per parameter).
    /// Steps before `first_reverse` are not differentiated. Moves to the end of the window.
    Window window(std::int64_t n, double cot, TensorSet& gradient, std::int64_t first_reverse = 0);
    /// Runs and scores n steps without a gradient.
    Window score(std::int64_t n);
    /// The losses of the rows that score() added up, [B]; NAN if it was given up half-way.
    [[nodiscard]] const Tensor& row_losses() const { return loss_.per_row(); }
    /// Runs n steps. @return false if they diverged.
    bool advance(std::int64_t n);

    /// n steps beside a teacher's: the optimizer sees the teacher's x_t, f_t and g_t, and has a state of its
    /// own. The score of a row is sum_t 1/(2 n_x) |x'_t - x_{t+1}|^2, its proposals against the teacher's
    /// next points, n_x coordinates (Chen et al. 2020, section 3.2). ADDS cot * d(score)/d(params) to
    /// `gradient`. Moves to where the teacher is.
    Window imitate(std::int64_t n, double cot, TensorSet& gradient, Teacher& teacher);

    /// Bytes of all points held now.
    [[nodiscard]] std::int64_t bytes() const;
    /// Evaluations that all rows together have paid for since this was made: for the optimizer's steps, once,
    /// whatever the way back asks for.
    [[nodiscard]] double paid() const { return paid_; }

  private:
    [[nodiscard]] TrajectoryLoss::Span span(std::int64_t n) const {
        return {.t0 = t_, .steps = n, .horizon = options_.horizon};
    }
    [[nodiscard]] bool goes_back_in_slices() const {
        return reverses_slices_ && recording_.keeps() != Recording::Keep::kSegments;
    }
    void reserve(std::int64_t n, bool records);
    Window run(std::int64_t n, bool records);
    void reverse(std::int64_t n, std::int64_t first, TensorSet& gradient);
    Window step_beside(std::int64_t n, Teacher& teacher);

    const Scene& scene_;
    UnrollOptions options_;
    Stepper stepper_;
    const bool reverses_slices_;
    SecondOrderOracle oracle_;
    TrajectoryLoss loss_;
    Recording recording_;
    StepReverse step_reverse_;
    SliceReverse slice_reverse_;  // if reverses_slices_
    std::int64_t t_ = 0;          // of the window's start
    double paid_ = 0;
    Point current_;  // where the next window starts
    Tensor scores_;
    std::vector<double> row_weights_{};
    Point cot_, before_;             // cotangents after and before the step in hand
    std::vector<TensorSet> misses_;  // imitation: x' - the teacher's x, by step
};

}  // namespace l2o::framework
