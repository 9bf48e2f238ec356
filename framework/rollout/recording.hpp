#pragma once

#include <vector>

#include "framework/rollout/stepper.hpp"

namespace l2o::framework {

/// The points of a window, for its reverse: all of them, where they fit a budget of bytes; else, where slices
/// go back by themselves, the gradients alone, and each slice runs forwards again; else x and state where
/// some segments begin, and segments are run again, as seldom as the budget allows (Griewank & Walther 2000).
/// A point has the same bits in all cases. [one thread; at(), gradient(), first() by several at once]
class Recording {
  public:
    enum class Keep { kAll, kGradients, kSegments };
    struct Options {
        std::uint64_t memory_bytes = 0;                   ///< 0: unlimited
        bool loss_reads_f = false, loss_reads_g = false;  ///< at every point
        bool reverses_slices = false;
        int threads = 1;  ///< that take slices back
    };
    Recording(Stepper& stepper, const Options& options) : stepper_(stepper), options_(options) {}

    /// Room for the n + 1 points of a window; without `records`, for the two of a step.   @pre clear()
    /// @param besides  bytes that are held elsewhere, of the same budget.
    /// @throw Error kUsage if not even one step fits the budget.
    void reserve(std::int64_t n, bool records, std::int64_t besides);
    [[nodiscard]] bool is_reserved(std::int64_t n, bool records) const {
        return n == steps_ && records == records_;
    }
    void clear();
    [[nodiscard]] Keep keeps() const { return plan_.keep; }
    [[nodiscard]] std::int64_t bytes() const;

    /// The window begins at step t0 from x and state of `start`.
    void begin(const Point& start, std::int64_t t0);
    /// Forwards, j = 0, 1, ..., n: point j, whose x and state are those that the last step left there, with
    /// what the loss reads and, if it `steps` on, what the step reads.
    Point& evaluated(std::int64_t j, bool steps);
    /// Back, j = n - 1, ..., 0: points j and j + 1 are there.
    void bring(std::int64_t j);
    /// Point j: one of the segment in hand, or that behind it.
    Point& at(std::int64_t j) { return points_[static_cast<std::size_t>(j - base_)]; }

    /// g of the last point, from which no step is taken.   @pre keeps() != Keep::kSegments
    void evaluate_last_gradient();
    /// @pre keeps() != Keep::kSegments
    TensorSet& gradient(std::int64_t j) {
        return gradients_.empty() ? at(j).g : gradients_[static_cast<std::size_t>(j)];
    }
    /// x and state of point 0.   @pre keeps() == Keep::kGradients
    Point& first() { return kept_[0]; }

    [[nodiscard]] std::int64_t t0() const { return t0_; }
    [[nodiscard]] std::int64_t steps() const { return steps_; }

  private:
    struct Plan {
        Keep keep = Keep::kAll;
        std::int64_t segment = 1, kept = 0;  ///< steps between points that may be kept; how many may be
    };
    [[nodiscard]] PointParts parts() const;
    [[nodiscard]] Plan plan(std::int64_t n, std::int64_t besides) const;
    void evaluate(std::int64_t j, bool steps);
    void keep_gradient(std::int64_t j);
    [[nodiscard]] std::int64_t segment_of(std::int64_t j) const { return j / plan_.segment; }
    void enter_next_segment(std::int64_t last);
    void keep_start(std::int64_t segment, std::int64_t last);
    void choose_next_kept(std::int64_t last);
    void run_again(std::int64_t segment);

    Stepper& stepper_;
    const Options options_;
    Plan plan_;
    std::int64_t steps_ = -1;  // of the window; -1: nothing is reserved
    bool records_ = false;
    std::int64_t t0_ = 0;
    std::vector<Point> points_;  // the segment in hand: points base_ .. base_ + plan_.segment
    std::int64_t base_ = 0;
    std::vector<Point> kept_;            // x and state where a segment begins
    std::vector<std::int64_t> kept_at_;  // which segments: a stack on kept_
    std::int64_t next_kept_ = 0;         // the segment whose start is kept next; 0: none is
    std::vector<TensorSet> gradients_;   // g of all points, if that is all that is kept
};

}  // namespace l2o::framework
