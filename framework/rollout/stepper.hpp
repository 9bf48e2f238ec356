#pragma once

#include <memory>
#include <span>
#include <vector>

#include "framework/plugin/call.hpp"
#include "framework/plugin/optimizee.hpp"
#include "framework/plugin/optimizer.hpp"
#include "framework/rollout/ledger.hpp"
#include "framework/rollout/particle_watch.hpp"
#include "framework/rollout/point.hpp"
#include "framework/rollout/slice_call.hpp"
#include "framework/rollout/slices.hpp"
#include "framework/rollout/sparse_updates.hpp"

namespace l2o::framework {

/// An optimizer on a batch of problem instances.
struct Scene {
    const Optimizer& optimizer;
    const Optimizee& optimizee;
    const ProblemData& data;  ///< B instances
    const TensorSet& params;  ///< of the optimizer; read at every step, so they may change between steps
    Key key;                  ///< names the draws of the optimizer and the minibatches
    std::uint64_t row0 = 0;   ///< global index of row 0
};

/// Moves points: evaluates the objective where it is needed, calls the optimizer, and answers its questions.
/// A row is charged what it wanted, whatever the other rows of its batch did; a row that has ended is charged
/// nothing and stays where it is. No allocation per step. [one thread]
class Stepper {
  public:
    explicit Stepper(const Scene& scene,
                     const Slicing& slicing = {.length = 0, .threads = 1},
                     const UpdateProbability& update_probability = {});
    Stepper(const Stepper&) = delete;
    Stepper& operator=(const Stepper&) = delete;

    /// Charges this ledger, which outlives this, instead of one of its own. Where it keeps the best point, a
    /// gradient brings its value.
    /// @param row0  of the ledger: row 0 of this batch, which may be a part of the ledger's.
    void charge_to(Ledger& ledger, std::int64_t row0 = 0) {
        ledger_ = &ledger;
        ledger_row0_ = row0;
    }
    [[nodiscard]] Ledger& ledger() const { return *ledger_; }
    /// Also of a method that uses half of each: for whoever shares its points.
    void charge_whole_gradients() { share_ = 1; }
    [[nodiscard]] const PointLayout& layout() const { return layout_; }
    /// What a point on the way must hold.
    [[nodiscard]] PointParts parts() const {
        return {.g = reads_g_, .f = reads_f_ || (reads_g_ && ledger_->keeps_best()), .state = true};
    }

    /// State at t = 0 from point.x; no row has ended.
    void init_state(Point& point);
    /// Makes point.f and point.g available as wanted; what is known already is not computed again, and what
    /// is paid for not charged again.
    /// @param charged  L2O_ORACLE_VALUE | _GRADIENT: which of the two the optimizer pays for.
    void evaluate(Point& point, std::int64_t t, bool want_f, bool want_g, std::uint32_t charged);
    /// Evaluates what the optimizer reads at `from`, and steps: x and state of `to`; what is known of x' is
    /// taken over.
    /// @throw Error kUsage: a population that draws nothing has begun in one point, and is still together
    void advance(Point& from, Point& to, std::int64_t t);

    /// How rows go on, [B]: L2O_ROW_*.
    [[nodiscard]] const std::vector<std::int32_t>& row_status() const { return row_status_; }
    [[nodiscard]] bool has_ended(std::int64_t row) const {
        return row_status_[static_cast<std::size_t>(row)] != L2O_ROW_GOES_ON;
    }
    [[nodiscard]] bool all_ended() const { return ended_ == layout_.batch; }
    /// The row is not stepped any more.
    void end(std::int64_t row, std::int32_t status);
    /// x and state of a row of `to` are those of `from`, and what is known of it.
    void hold_row(const Point& from, Point& to, std::int64_t row) const;

    /// Whether the optimizer has another point to report than its iterate.
    [[nodiscard]] bool recommends() const { return scene_.optimizer.api().recommend != nullptr; }
    /// That point, for an iterate and its state before step t.   @pre recommends()
    void recommend(const Point& point, std::int64_t t, const TensorSet& x);

    /// The rounds of one iteration, for its reverse: what a round saw.
    struct Round {
        TensorSet state, q, qg;
        Tensor qf, wanted;
        std::uint32_t n = 0, kinds = 0;  ///< questions that it answers, and what some row wants; 0 in round 0
    };
    /// What the rows of the optimizee want to know of question k: L2O_ORACLE_*.
    [[nodiscard]] std::span<const std::int32_t> wanted_of(const Round& round, std::int64_t k) const {
        const auto rows = static_cast<std::size_t>(layout_.rows);
        return round.wanted.values<std::int32_t>().subspan(static_cast<std::size_t>(k) * rows, rows);
    }
    /// Where question k is evaluated, as rows of the optimizee; borrowed until the next call. A row that
    /// wants nothing is at its x: nobody knows what stands in its question.
    [[nodiscard]] TensorSet asked(const Point& from, const Round& round, std::int64_t k);
    /// Repeats an iteration and keeps its rounds; `to` is overwritten with the same bits.
    void replay(Point& from, Point& to, std::int64_t t, std::vector<Round>& rounds);

    /// The argument of the optimizer's step at `from` in a round (NULL: round 0).
    [[nodiscard]] l2o_step_in step_in(const Point& from, std::int64_t t, const Round* round) const;
    [[nodiscard]] l2o_call* step_call(std::int64_t t);
    [[nodiscard]] CallContext& call() { return call_; }
    /// Null if the optimizer is not called slice by slice: it cannot be, or one slice holds everything.
    [[nodiscard]] const Slices* slices() const { return slices_.get(); }
    [[nodiscard]] const SparseUpdates& updates() const { return updates_; }

    /// out = H(x) v, and the gradient at any rows: for the reverse pass.
    void hvp(const TensorSet& x_rows, const TensorSet& v_rows, std::int64_t t, const TensorSet& out_rows);
    void gradient_at(const TensorSet& x_rows, std::int64_t t, const TensorSet& g_rows);

    /// What each row was charged, [B].
    [[nodiscard]] const std::vector<Evaluations>& evaluations() const { return ledger_->evaluations(); }

  private:
    void name_minibatch(std::int64_t t);
    void evaluate_rows(l2o_in x, std::int64_t t, l2o_tensor* f, l2o_out g);
    void evaluate_missing(Point& point, std::int64_t t, std::uint32_t kinds);
    [[nodiscard]] bool charge(std::int64_t row, std::uint32_t kinds, std::uint32_t paid, bool at_iterate);
    void pay(Point& point, std::uint32_t kinds);
    void answer(Point& from, Round& round, std::int64_t t);
    [[nodiscard]] bool is_at(const Point& from, const TensorSet& x_rows, std::int64_t row) const;
    [[nodiscard]] l2o_out answered(const TensorSet& gradients);
    [[nodiscard]] bool is_answered(std::size_t block) const;
    void expect_end(std::uint32_t round) const;
    Round make_round() const;
    bool run_round(l2o_step_in& in, Point& to, Round& asked, std::int64_t t);
    void take_over(const Point& from, const Round& last, const Round& next, Point& to);
    void take_answer(const Round& last, std::int64_t at, Point& to, std::int64_t row) const;
    bool says_what_x_is();
    [[nodiscard]] bool wants_any(const Round& round, std::int64_t row) const;
    void end_rows(const Point& from, Point& to);
    void advance_slices(Point& from, Point& to, std::int64_t t);

    const Scene& scene_;
    PointLayout layout_;
    bool reads_f_, reads_g_, asks_, alternates_;
    double share_;  // of a gradient that is used, see l2o/abi/draft/alternates.h
    CallContext call_;
    std::vector<const l2o_tensor*> data_, needed_;
    l2o_points points_{};
    SparseUpdates updates_;
    Ledger own_ledger_;
    Ledger* ledger_ = &own_ledger_;
    std::int64_t ledger_row0_ = 0;
    std::vector<std::int32_t> row_status_;
    std::int64_t ended_ = 0;  // rows
    std::unique_ptr<const Slices> slices_;
    std::vector<std::unique_ptr<SliceCall>> slice_calls_;  // one per thread
    Round rounds_[2];  // asking optimizers only: answers of the previous round, questions of the next
    std::vector<l2o_tensor*> used_;  // of an answer, by block
    TensorSet spare_state_;
    Tensor x_is_, newly_ended_;
    ParticleWatch particles_;
    std::vector<bool> is_done_;  // by row: asks nothing more in this iteration
    Point missing_;  // f and g, of which some rows are missing; questions, of which some are not wanted
};

}  // namespace l2o::framework
