#pragma once

#include "framework/check/bench.hpp"

namespace l2o::framework {

/// Everything that a call of an optimizer's step reads: an iteration t, a round of it.
struct Moment {
    std::int64_t t = 0;
    std::uint32_t round = 0, n_answers = 0;
    std::vector<Tensor> params, state, x, g, data, q, qg;  ///< g, q, qg empty: not read
    Tensor f, qf;
    Tensor wanted;  ///< q_wanted of the previous round, [K, B]: where it is 0, qf and qg are undefined
    std::int64_t batch = 0;
    Key key{};
    std::vector<std::int32_t> status;  ///< of each row, L2O_ROW_*; one that has ended stays where it is

    int slope = 0;  ///< the objective is that of the optimizee times 2^slope

    [[nodiscard]] Moment clone() const;
    /// Writes `garbage` to qf and qg where nothing was wanted.
    void spoil(double garbage);
};

/// One call of step.
class StepCase : public Case {
  public:
    StepCase(const Optimizer& optimizer, const Moment& moment);

    GuardedSet params, state, x, g, data, f, q, qg, qf;
    /// Outputs; x' and x_is of a row that wants something, and a question of a row that does not want it, are
    /// zero.
    GuardedSet state_out, x_out, q_out, q_wanted, x_is, row_status, asked;
    [[nodiscard]] std::uint32_t n_questions() const;
    /// The questions as the step left them, also where they are not wanted.
    [[nodiscard]] const std::vector<Tensor>& questions() const { return questions_; }
    [[nodiscard]] std::int64_t batch() const { return batch_; }
    /// Whether a row wants something: its x' is not there yet.
    [[nodiscard]] bool is_open(std::int64_t row) const;
    [[nodiscard]] std::vector<const GuardedSet*> decisions() const override {
        return {&q_wanted, &x_is, &row_status};
    }
    /// The argument of step, and of step_vjp.
    [[nodiscard]] l2o_step_in step_in() const;

  protected:
    l2o_status call(l2o_call* context) override;
    void after() override;

    const Optimizer& optimizer_;

  private:
    /// The elements of q_wanted, x_is: of a population one per particle.
    [[nodiscard]] std::int64_t rows() const { return x_is[0].size(); }
    std::int64_t t_;
    std::uint32_t batch_, round_, n_answers_;
    std::vector<Tensor> questions_;
};

/// A call of recommend, before the step of a moment.
class RecommendCase : public StepCase {
  public:
    RecommendCase(const Optimizer& optimizer, const Moment& moment);
    [[nodiscard]] std::vector<const GuardedSet*> decisions() const override { return {}; }

  protected:
    l2o_status call(l2o_call* context) override;
    void after() override {}
};

/// A call of init_state.
class InitStateCase : public Case {
  public:
    InitStateCase(const Optimizer& optimizer, const Moment& start);
    GuardedSet params, x, data, state_out;
    [[nodiscard]] l2o_step_in step_in() const;

  protected:
    l2o_status call(l2o_call* context) override;

  private:
    const Optimizer& optimizer_;
    std::uint32_t batch_;
};

/// An optimizer on a batch of instances of an optimizee that suits it. Every call goes through guarded
/// buffers, so that a plugin that writes outside of them does not harm the host.
class OptimizerBench : public Bench {
  public:
    OptimizerBench(const Subject& subject, Dtype dtype, std::int64_t batch = 0);

    [[nodiscard]] std::vector<std::unique_ptr<Case>> cases() const override;
    [[nodiscard]] std::vector<std::unique_ptr<Case>> cases_of_rows(const std::vector<std::int64_t>& rows,
                                                                   std::uint64_t row0) const override;
    [[nodiscard]] std::uint64_t flags() const override { return optimizer_->info().flags; }
    [[nodiscard]] const void* extension(const char* id) const override {
        return optimizer_->api().get_extension(optimizer_->raw(), id);
    }
    [[nodiscard]] std::string unread() const override;
    [[nodiscard]] std::string unseen() const override;
    [[nodiscard]] std::string declaration() const override;
    [[nodiscard]] std::shared_ptr<const void> created_by(HostSize host) const override;

    [[nodiscard]] const Optimizer& optimizer() const { return *optimizer_; }
    [[nodiscard]] const Optimizee& optimizee() const { return *optimizee_; }
    /// The start, without state: what init_state reads.
    [[nodiscard]] const Moment& start() const { return start_; }
    /// One iteration, round by round; `moment` is round 0 of it and becomes round 0 of the next one,
    /// evaluated where the optimizer reads it. What every round reads is added to `seen`, unless that is
    /// null.
    /// @param optimizer  the one of this bench, or another instance of it.
    void iterate(const Optimizer& optimizer, Moment& moment, std::vector<Moment>* seen = nullptr) const;
    /// The first iteration: start() with its state, f and g.
    [[nodiscard]] Moment first(const Optimizer& optimizer, int slope = 0) const;
    /// Rounds of some iterations from the start; iterated once, by the first who asks.
    [[nodiscard]] const std::vector<Moment>& moments() const;
    /// The steepest objective on which x stays moderate for so many steps: the slope for first(). Some go far
    /// off on a problem that they were not made for, and numbers that are none are equal to whatever is
    /// wrong.
    [[nodiscard]] int calm_slope(std::int64_t steps) const;
    /// Number of steps that can be taken, at most `wanted`.
    [[nodiscard]] std::int64_t steps(std::int64_t wanted) const;
    /// Rows of everything that has rows.
    [[nodiscard]] Moment rows_of(const Moment& moment, const std::vector<std::int64_t>& rows) const;

    static constexpr std::int64_t kHorizon = 8;

  private:
    /// Takes steps from the start while x stays moderate, at most `end`, and adds the rounds of those
    /// `wanted` to `seen`. @return their number.
    std::int64_t walk(int slope,
                      std::int64_t end,
                      const std::vector<std::int64_t>& wanted,
                      std::vector<Moment>& seen) const;
    void evaluate(const std::vector<Tensor>& x, const Moment& at, Tensor* f, std::vector<Tensor>* g) const;
    void evaluate(Moment& moment) const;
    void answer(const StepCase& step, Moment& moment) const;
    void take(const StepCase& step, const std::vector<Tensor>& state, Moment& moment) const;

    std::unique_ptr<const Optimizee> optimizee_;
    Task task_;
    std::unique_ptr<Optimizer> optimizer_;
    ProblemData data_;
    Moment start_;
    mutable std::optional<std::vector<Moment>> moments_;
    mutable std::string unseen_;
};

}  // namespace l2o::framework
