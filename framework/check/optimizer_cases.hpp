#pragma once

#include "framework/check/bench.hpp"

namespace l2o::framework {

[[nodiscard]] std::vector<Tensor> clone_all(const std::vector<Tensor>& tensors);

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

/// A call of init_params.
class InitParamsCase : public Case {
  public:
    InitParamsCase(const Optimizer& optimizer, const Moment& start);
    GuardedSet data, params_out;

  protected:
    l2o_status call(l2o_call* context) override;

  private:
    const Optimizer& optimizer_;
};

}  // namespace l2o::framework
