#pragma once

#include <l2o/abi/optimizer.h>

#include <cstddef>
#include <cstdint>
#include <l2o/sdk/handle.hpp>
#include <l2o/sdk/view.hpp>

namespace l2o {

/// Inputs of a step. x and g have B rows, or B * P rows for a population; see l2o/abi/optimizer.h.
template <class T>
class StepIn {
  public:
    /// @param out  in step_vjp: what the forward step wrote, if the host kept it
    StepIn(const l2o_step_in* in,
           const l2o_call* context,
           int lead,
           std::size_t blocks,
           std::size_t states,
           const l2o_step_out* out = nullptr)
        : call(*context), in_(in), out_(out), lead_(lead), blocks_(blocks), states_(states) {}

    const l2o_call& call;

    /// Number of variable blocks.
    [[nodiscard]] std::size_t blocks() const { return blocks_; }
    /// Number of state tensors.
    [[nodiscard]] std::size_t states() const { return states_; }
    [[nodiscard]] std::int64_t batch() const { return in_->batch; }
    [[nodiscard]] std::int64_t t() const { return in_->t; }
    [[nodiscard]] std::uint32_t round() const { return in_->round; }
    [[nodiscard]] std::uint32_t answers() const { return in_->n_answers; }
    [[nodiscard]] View<const T> param(const Param& p) const { return p.in<const T>(in_->params); }
    /// B rows, or B * P of a state per particle.
    template <class E>
    [[nodiscard]] View<const detail::ElementOf<T, E>> state(const StateOf<E>& s) const {
        return s.template in<const T>(in_->state);
    }
    [[nodiscard]] View<const T> x(std::size_t block) const { return view<const T>(in_->x[block], lead_); }
    /// @throw Failure without reads_g()
    [[nodiscard]] View<const T> g(std::size_t block) const {
        if (in_->g == nullptr || in_->g[block] == nullptr) [[unlikely]]
            detail::not_declared(
                "a gradient is read that nobody asked for; expected spec.reads_g() in declare()");
        return view<const T>(in_->g[block], lead_);
    }
    template <class E>
    [[nodiscard]] View<const detail::ElementOf<T, E>> data(const NeedOf<E>& need) const {
        return need.template in<const T>(in_->data);
    }
    /// [B], or [B, P].   @throw Failure without reads_f()
    [[nodiscard]] View<const T> f() const {
        if (in_->f == nullptr) [[unlikely]]
            detail::not_declared(
                "values are read that nobody asked for; expected spec.reads_f() in declare()");
        return view<const T>(in_->f);
    }
    /// Question j of the previous round, and what the optimizee answered.
    [[nodiscard]] View<const T> q(std::size_t block, std::int64_t j) const {
        return member<const T>(in_->q[block], j, lead_);
    }
    [[nodiscard]] View<const T> qg(std::size_t block, std::int64_t j) const {
        return member<const T>(in_->qg[block], j, lead_);
    }
    [[nodiscard]] View<const T> qf(std::int64_t j) const { return member<const T>(in_->qf, j); }
    /// In step_vjp: x and state that the forward step wrote; empty if the host did not keep them.
    [[nodiscard]] View<const T> x_out(std::size_t block) const {
        return out_ != nullptr ? view<const T>(out_->x[block], lead_) : View<const T>{};
    }
    template <class E>
    [[nodiscard]] View<const detail::ElementOf<T, E>> state_out(const StateOf<E>& s) const {
        return s.template in<const T>(out_ != nullptr ? out_->state : nullptr);
    }
    [[nodiscard]] const l2o_step_in& raw() const { return *in_; }

  private:
    const l2o_step_in* in_;
    const l2o_step_out* out_;
    int lead_;
    std::size_t blocks_, states_;
};

/// Outputs of a step: every view must be written in full.
template <class T>
class StepOut {
  public:
    StepOut(l2o_step_out* out, int lead) : out_(out), lead_(lead) {}

    template <class E>
    [[nodiscard]] View<detail::ElementOf<T, E>> state(const StateOf<E>& s) const {
        return s.template in<T>(out_->state);
    }
    [[nodiscard]] View<T> x(std::size_t block) const { return view<T>(out_->x[block], lead_); }
    [[nodiscard]] View<T> q(std::size_t block, std::int64_t j) const {
        return member<T>(out_->q[block], j, lead_);
    }
    /// The new x of a row (of a population: of a particle) is question k of the previous round: what was
    /// answered there is not evaluated again.
    void x_is_question(std::int64_t row, std::int32_t k) const { row_of(out_->x_is, row) = k; }
    /// It is the old one: what is known of that stays known.
    void x_is_unchanged(std::int64_t row) const { row_of(out_->x_is, row) = L2O_X_IS_UNCHANGED; }
    /// Asks for `kinds` (L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT) at q(., k) of a row; the iteration is not
    /// finished.
    void ask(std::int64_t row, std::uint32_t k, std::uint32_t kinds) const {
        View<std::int32_t> wanted = member<std::int32_t>(out_->q_wanted, k, lead_);
        wanted[row] = static_cast<std::int32_t>(kinds);
        if (out_->n_questions <= k) out_->n_questions = k + 1;
    }
    /// The same of all rows.
    void ask_all(std::uint32_t k, std::uint32_t kinds) const {
        fill(member<std::int32_t>(out_->q_wanted, k, lead_), static_cast<std::int32_t>(kinds));
        if (out_->n_questions <= k) out_->n_questions = k + 1;
    }
    /// A row that is not to be stepped again: L2O_ROW_CONVERGED, L2O_ROW_FAILED. Needs
    /// OptimizerSpec::ends_rows().
    void end(std::int64_t row, std::int32_t status) const {
        if (out_->row_status == nullptr)
            invalid(
                "a row is ended by a method that does not say so; expected spec.ends_rows() in declare()");
        view<std::int32_t>(out_->row_status)[row] = status;
    }
    /// x' and state' are x and state, to be changed where a row moves.
    void keep(const StepIn<T>& in) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) copy(in.x(k), x(k));
        for (std::size_t i = 0; i < in.states(); ++i)
            with_view(*out_->state[i],
                      [&]<class U>(const View<U>& to) { copy(view<const U>(in.raw().state[i]), to); });
    }
    [[nodiscard]] const l2o_step_out& raw() const { return *out_; }

  private:
    std::int32_t& row_of(l2o_tensor* tensor, std::int64_t row) const {
        return view<std::int32_t>(tensor, lead_)[row];
    }

    l2o_step_out* out_;
    int lead_;
};

/// Cotangents of a step's outputs; an empty view is zero.
template <class T>
class StepCot {
  public:
    StepCot(const l2o_step_cot* cot, int lead) : cot_(cot), lead_(lead) {}

    [[nodiscard]] View<const T> state(const State& s) const { return s.in<const T>(cot_->state); }
    [[nodiscard]] View<const T> x(std::size_t block) const { return view<const T>(cot_->x[block], lead_); }
    [[nodiscard]] View<const T> q(std::size_t block, std::int64_t j) const {
        return cot_->q == nullptr ? View<const T>{} : member<const T>(cot_->q[block], j, lead_);
    }
    [[nodiscard]] const l2o_step_cot& raw() const { return *cot_; }

  private:
    const l2o_step_cot* cot_;
    int lead_;
};

/// Accumulators of the cotangents of a step's inputs: add to them, skip the empty ones.
template <class T>
class StepAcc {
  public:
    StepAcc(const l2o_step_acc* acc, int lead) : acc_(acc), lead_(lead) {}

    [[nodiscard]] View<T> param(const Param& p) const { return p.in<T>(acc_->params); }
    [[nodiscard]] View<T> state(const State& s) const { return s.in<T>(acc_->state); }
    [[nodiscard]] View<T> x(std::size_t block) const { return view<T>(acc_->x[block], lead_); }
    [[nodiscard]] View<T> g(std::size_t block) const { return view<T>(acc_->g[block], lead_); }
    [[nodiscard]] View<T> f() const { return view<T>(acc_->f); }
    [[nodiscard]] View<T> q(std::size_t block, std::int64_t j) const {
        return acc_->q == nullptr ? View<T>{} : member<T>(acc_->q[block], j, lead_);
    }
    [[nodiscard]] View<T> qg(std::size_t block, std::int64_t j) const {
        return acc_->qg == nullptr ? View<T>{} : member<T>(acc_->qg[block], j, lead_);
    }
    [[nodiscard]] View<T> qf(std::int64_t j) const { return member<T>(acc_->qf, j); }
    [[nodiscard]] const l2o_step_acc& raw() const { return *acc_; }

  private:
    const l2o_step_acc* acc_;
    int lead_;
};

}  // namespace l2o
