#pragma once

#include <memory>
#include <vector>

#include "framework/rollout/course.hpp"
#include "framework/rollout/ledger.hpp"
#include "framework/rollout/stepper.hpp"

namespace l2o::framework {

/// The trajectories of a batch of instances: starts, the legs of a course one after the other, budgets, ends
/// of rows, and the point that is each row's answer. All that runs an optimizer without differentiating it
/// goes through here.
///
///     Rollout rollout(optimizee, data, course, keys.test_steps, keys.test_start, 0);
///     for (rollout.start(x0); !rollout.is_over(); rollout.step()) show(rollout.look());
///     show(rollout.look());
///
/// A row does not take a step that would exceed its budget, and stays where it is; so does one that the
/// optimizer says is done, until the next of its course's starts. No allocation per step; none by start(),
/// but for a population; some where a course starts again. [one thread]
class Rollout {
  public:
    /// @param data, course  outlive this, as does what the course borrows.
    /// @param row0          global index of row 0, for its draws.
    Rollout(const Optimizee& optimizee,
            const ProblemData& data,
            const Course& course,
            const Key& steps,
            const Key& starts,
            std::uint64_t row0);
    ~Rollout();
    Rollout(const Rollout&) = delete;
    Rollout& operator=(const Rollout&) = delete;

    /// All rows at x0, [B, shape] per block; the particles of a population after the first at starts of their
    /// own.
    void start(const std::vector<Tensor>& x0);
    /// One iteration, of the rows that go on.   @pre !is_over()
    /// @throw Diverged if a plugin gives up on the batch.
    void step();
    /// After the last iteration, or once no row goes on.
    [[nodiscard]] bool is_over() const { return is_over_; }
    [[nodiscard]] std::int64_t iteration() const { return iteration_; }
    /// The last one in which a row has moved: in the one after that a budget may have ended.
    [[nodiscard]] std::int64_t last_moved() const { return last_moved_; }

    /// The answers of the rows so far. Free, and nothing depends on it.
    struct View {
        const TensorSet* x;                ///< [B, shape], by block
        const Tensor* f;                   ///< [B]
        const std::vector<bool>* is_lost;  ///< by row: f is NAN or -inf, x not finite, or the row has failed
        const std::vector<double>* due;    ///< by row: what f there would cost a row that stopped here
    };
    /// @param with_next  g is evaluated with f if the next step reads it, so that neither is evaluated twice;
    ///                   who measures the time of steps does not want that.
    /// Valid until the next call of any other function.
    [[nodiscard]] View look(bool with_next);

    /// The x of look() alone, for which nothing is evaluated.
    [[nodiscard]] const TensorSet& answers();

    /// The states of the optimizer in hand after its last step, in the order of Optimizer::state(). Valid
    /// until the next call of any other function.
    [[nodiscard]] const TensorSet& states() const;

    [[nodiscard]] const Ledger& ledger() const { return ledger_; }
    [[nodiscard]] bool has_failed(std::int64_t row) const;
    /// Steps of all rows under a safeguard, and those that were the classic optimizer's.
    [[nodiscard]] std::int64_t guarded_steps() const { return guarded_steps_; }
    [[nodiscard]] std::int64_t fallbacks() const { return fallbacks_; }

  private:
    struct Run;

    [[nodiscard]] Run& now() { return *runs_[leg_]; }
    [[nodiscard]] const Run& now() const { return *runs_[leg_]; }
    [[nodiscard]] std::int64_t leg_t() const;
    [[nodiscard]] AnswerAt answer_at() const;
    [[nodiscard]] double all_paid() const;
    [[nodiscard]] std::vector<Tensor> point_of_start(std::int64_t n) const;
    void check_starts_differ(const std::vector<Tensor>& x0) const;
    void begin_start(const std::vector<Tensor>& x0);
    void end_start();
    bool hold_spent_rows();
    void hand_over();
    void finish();
    [[nodiscard]] double due(std::int64_t row) const;
    template <class Ends>
    void pay_for_ends(Ends&& ends);
    const Point& iterate(bool with_next);
    const TensorSet& best_x(const Point& iterates);
    const Tensor& best_f(const Point& iterates);
    View judged(const TensorSet& x, const Tensor& f);

    const Optimizee& optimizee_;
    const ProblemData& data_;
    const Course& course_;
    const Key steps_, starts_;
    const std::uint64_t row0_;
    const bool is_stochastic_;
    Ledger ledger_;
    std::vector<std::unique_ptr<Run>> runs_;  // by leg
    std::size_t leg_ = 0;
    std::int64_t iteration_ = 0, last_moved_ = 0, guarded_steps_ = 0, fallbacks_ = 0;
    bool is_over_ = true;
    std::int64_t start_ = 0, start_begin_ = 0, start_end_ = 0;  // number, and its iterations
    bool is_waiting_ = false;                                   // for start_end_: all rows are done
    std::vector<bool> has_paid_for_end_;                        // by row
    std::vector<bool> goes_on_;                                 // by row, into the step in hand
    TensorSet x_;                                               // the best of every row
    Tensor f_;
    std::vector<bool> pays_now_;
    std::vector<bool> is_lost_;
    std::vector<double> due_;
};

}  // namespace l2o::framework
