#pragma once

#include <memory>
#include <vector>

#include "framework/plugin/call.hpp"
#include "framework/plugin/optimizee.hpp"
#include "framework/plugin/optimizer.hpp"
#include "framework/unroll/point.hpp"
#include "framework/unroll/slices.hpp"
#include "framework/unroll/sparse_updates.hpp"

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

/// Evaluations per row of the batch, as charged to the optimizer.
struct Evaluations {
    double values = 0, gradients = 0;
};

/// Moves points: evaluates the objective where it is needed, calls the optimizer, and answers its questions.
/// No allocation per step. [one thread]
class Stepper {
  public:
    explicit Stepper(const Scene& scene,
                     const Slicing& slicing = {.length = 0, .threads = 1},
                     const UpdateProbability& update_probability = {});
    Stepper(const Stepper&) = delete;
    Stepper& operator=(const Stepper&) = delete;

    [[nodiscard]] const PointLayout& layout() const { return layout_; }
    /// What a point on the way must hold.
    [[nodiscard]] PointParts parts() const { return {.g = reads_g_, .f = reads_f_, .state = true}; }

    /// State at t = 0 from point.x.
    void init_state(Point& point);
    /// Makes point.f and point.g available as wanted; what is there already is not computed again.
    void evaluate(Point& point, std::int64_t t, bool want_f, bool want_g, bool charge);
    /// Evaluates what the optimizer reads at `from`, and steps: x and state of `to`; the answers of a
    /// question that became x' are taken over.
    void advance(Point& from, Point& to, std::int64_t t);

    /// The rounds of one iteration, for its reverse: what a round saw.
    struct Round {
        TensorSet state, q, qg;
        Tensor qf;
        std::uint32_t n = 0, kinds = 0;  ///< questions that it answers; 0 in round 0
    };
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

    [[nodiscard]] const Evaluations& evaluations() const { return evaluations_; }

  private:
    void evaluate_rows(l2o_in x, std::int64_t t, l2o_tensor* f, l2o_out g);
    void answer(Round& round, std::int64_t t);
    Round make_round() const;
    bool run_round(l2o_step_in& in, Point& to, Round& asked, std::int64_t t);
    void take_over_answers(const Round& last, Point& to);
    void advance_slices(Point& from, Point& to, std::int64_t t);

    const Scene& scene_;
    PointLayout layout_;
    bool reads_f_, reads_g_, asks_;
    CallContext call_;
    std::vector<const l2o_tensor*> data_, needed_;
    l2o_eval_io io_{};
    SparseUpdates updates_;
    Evaluations evaluations_;
    std::unique_ptr<const Slices> slices_;
    std::vector<std::unique_ptr<SliceCall>> slice_calls_;  // one per thread
    Round rounds_[2];  // asking optimizers only: answers of the previous round, questions of the next
    TensorSet spare_state_;
    Tensor x_from_q_;
};

}  // namespace l2o::framework
