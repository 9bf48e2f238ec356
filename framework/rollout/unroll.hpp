#pragma once

#include <optional>
#include <string>
#include <vector>

#include "framework/plugin/loss.hpp"
#include "framework/rollout/slices.hpp"
#include "framework/rollout/stepper.hpp"
#include "framework/rollout/teacher.hpp"

namespace l2o::framework {

/// What happens to H(x_t) . cot(g_t), the path from the step back to x_t through the gradient it was given.
enum class SecondOrder {
    kDrop,   ///< f and g that a step reads are constants (the usual first-order meta-gradient)
    kExact,  ///< the optimizee's Hessian-vector product
    kFd,     ///< central differences of two of its gradients
};

struct UnrollOptions {
    SecondOrder second_order = SecondOrder::kDrop;
    std::int64_t horizon = 0;        ///< length of the whole trajectory, for the loss
    std::uint64_t memory_bytes = 0;  ///< budget for recorded points; 0: unlimited
    /// Share of the slices of a coordinate-wise optimizer that a window is differentiated on, drawn anew for
    /// each and weighted so that the gradient has the same mean; 1: all.
    double subsample = 1;
    int threads = 1;  ///< for the slices of a coordinate-wise optimizer
    UpdateProbability update_probability{};
};

/// Back-propagation through time across plugins: the optimizer differentiates its own step, the loss its
/// score of a trajectory, the optimizee gives g and H v; the loop and its reverse are here. A window of N
/// steps starts where the last one ended (truncated BPTT); the gradient does not reach back across a window's
/// start.
///
/// A coordinate-wise optimizer on many coordinates is called slice by slice, on several threads if it may;
/// and as first-order back-propagation does not couple coordinates, a slice goes back through the whole
/// window while it stays in cache.
///
/// Memory: all points of a window are kept if they fit the budget. Else, for slices, only the gradients are,
/// and each slice runs forwards again before it goes back; otherwise some points are, as far apart as the
/// budget asks for (binomial checkpoints), and segments between them are run again. All give the same bits,
/// but for slices that do not fit even so: they are not sliced, and sums over coordinates are taken in
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
    /// x, then state: what restore() takes.
    [[nodiscard]] std::vector<const Tensor*> carried() const;
    [[nodiscard]] std::int64_t t() const { return t_; }

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
    [[nodiscard]] const Tensor& row_losses() const { return per_row_; }
    /// Runs n steps. @return false if they diverged.
    bool advance(std::int64_t n);

    /// n steps beside a teacher's: the optimizer sees the teacher's x_t, f_t and g_t, and has a state of its
    /// own. The score of a row is sum_t 1/(2 n_x) |x'_t - x_{t+1}|^2, its proposals against the teacher's
    /// next points, n_x coordinates (Chen et al. 2020, section 3.2). ADDS cot * d(score)/d(params) to
    /// `gradient`. Moves to where the teacher is.
    Window imitate(std::int64_t n, double cot, TensorSet& gradient, Teacher& teacher);

    /// Bytes of all points held now.
    [[nodiscard]] std::int64_t bytes() const;

  private:
    /// What of a window is kept for its reverse.
    enum class Keep { kAll, kGradients, kSegments };
    struct Plan {
        Keep keep = Keep::kAll;
        std::int64_t segment = 1, kept = 0;  ///< steps between points that may be kept; how many may be
    };
    void reserve(std::int64_t n, bool record);
    [[nodiscard]] PointParts recorded_parts() const;
    [[nodiscard]] bool reverses_slices() const;
    [[nodiscard]] std::int64_t slice_bytes(std::int64_t n) const;
    [[nodiscard]] Plan plan(std::int64_t n) const;
    Window run(std::int64_t n, bool record);
    void evaluate_for(Point& point, std::int64_t t, bool steps);
    void keep_for_loss(const Point& point, std::int64_t j);
    [[nodiscard]] l2o_trajectory trajectory(std::int64_t n,
                                            const Tensor& f,
                                            const TensorSet& x,
                                            const TensorSet& g) const;
    [[nodiscard]] bool by_differences() const;
    void reverse(std::int64_t n, TensorSet& gradient, std::int64_t stop);
    void add_loss_cotangent(std::int64_t j, Point& cot);
    /// @param is_last   nothing is passed on to x_j.
    /// @param is_taken  the optimizer's x' is point j + 1.
    void step_back(
        std::int64_t j, Point& cot, Point& before, TensorSet& gradient, bool is_last, bool is_taken = true);
    void hessian_product(const TensorSet& x_rows, const TensorSet& v_rows, std::int64_t t);
    void initial_state_back(TensorSet& gradient);
    Window step_beside(std::int64_t n, Teacher& teacher);
    void answers_back(const Point& point, std::int64_t t, const Stepper::Round& round, Stepper::Round& cot);
    void keep_point(std::int64_t segment);
    void recompute_segment(std::int64_t segment);
    void reverse_slices(std::int64_t n, TensorSet& gradient, std::int64_t stop);
    template <class T>
    void reverse_slice(
        const Slice& slice, SliceWork& work, std::int64_t n, std::int64_t stop, TensorSet& gradient);
    [[nodiscard]] std::vector<Slice> drawn_slices() const;
    Point& at(std::int64_t j) { return points_[static_cast<std::size_t>(j - base_)]; }

    const Scene& scene_;
    const Loss& loss_;
    UnrollOptions options_;
    Stepper stepper_;
    std::int64_t t_ = 0;  // of the window's start

    Point current_;                      // where the next window starts
    std::vector<Point> points_;          // the segment in hand: points base_ .. base_ + s of the window
    std::vector<Point> kept_;            // x and state where a segment begins
    std::vector<std::int64_t> kept_at_;  // which segments: a stack on kept_
    std::int64_t next_kept_ = 0;         // the segment whose first point is kept next; 0: none is
    std::vector<TensorSet> gradients_;   // g of all points, if that is all that is kept
    std::vector<std::unique_ptr<SliceWork>> slice_work_;  // one per thread
    Plan plan_;
    std::int64_t base_ = 0, reserved_ = 0;
    bool records_ = false;

    Tensor loss_f_, loss_f_cot_;     // [N + 1, B]
    TensorSet loss_x_, loss_x_cot_;  // [N + 1, B, shape]
    TensorSet loss_g_, loss_g_cot_;
    Tensor per_row_, row_cot_;
    std::vector<const l2o_tensor*> loss_data_;

    Point cot_, before_;             // cotangents after and before the step in hand
    Point displaced_;                // second order by differences
    std::vector<TensorSet> misses_;  // imitation: x' - the teacher's x, by step
    Point scratch_;  // a gradient, a product with the Hessian, the end of a repeated iteration
    std::vector<Stepper::Round> rounds_;
    std::vector<l2o_tensor*> nothing_;  // an array of NULLs
};

}  // namespace l2o::framework
