// A population that learns and asks: every particle looks where it is carried before it steps, some look
// back as well, and some at nothing, by turns; a question that is not asked is NAN. What a meta-gradient can
// go through is there by particle: questions, answers, state like x and state that is one number.
#include <cmath>
#include <cstdint>
#include <l2o/sdk/optimizer.hpp>

namespace {

struct LearnedScouts {
    static constexpr l2o::About about{
        .id = "learned_scouts",
        .version = "1.0.0",
        .title = "A population of scouts whose step, decay and trust are learned",
        .doc =
            "eta = exp(log_step). Of three particles two ask, by turns: for f and g at q_0 = x - eta m, one "
            "of them for f at q_1 = x + eta m, too. s = f(q_0) + f(q_1), trust' = decay trust + weight s, m' "
            "= decay m + (1 + trust') g(q_0), x' = x - eta m'. The third: m' = decay m, x' = x - eta (1 + "
            "weight f) g."};

    std::int64_t particles = 4;

    static l2o::Options<LearnedScouts> options() {
        l2o::Options<LearnedScouts> options;
        options.integer("particles", &LearnedScouts::particles, "scouts per row", l2o::at_least(1));
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().reads_f().reads_g().asks(2, L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT);
        spec.info.particles = static_cast<std::uint32_t>(particles);
        log_step_ = spec.param({.name = "log_step"});
        decay_ = spec.param({.name = "decay"});
        weight_ = spec.param({.name = "weight"});
        trust_ = spec.state({.name = "trust", .batched = true, .flags = L2O_SPEC_PER_PARTICLE});
        m_ = spec.state_like_x("m");
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        params[log_step_].scalar() = T(-7);
        params[decay_].scalar() = T(0.6);
        params[weight_].scalar() = T(0.01);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const T eta = std::exp(in.param(log_step_).scalar()), decay = in.param(decay_).scalar(),
                weight = in.param(weight_).scalar();
        const bool is_first = in.round() == 0;
        for (std::int64_t row = 0; row < in.x(0).rows; ++row) {
            const int questions = questions_of(in, row);
            const T trust = in.state(trust_)[row];
            const T next_trust =
                !is_first && questions > 0 ? decay * trust + weight * sum_of(in, row) : trust;
            out.state(trust_)[row] = next_trust;
            for (std::size_t k = 0; k < in.blocks(); ++k) {
                for (std::int64_t i = 0; i < in.x(k).cols; ++i) {
                    const T x = in.x(k)(row, i), m = in.state(m_[k])(row, i);
                    T next_m = m, step = (1 + weight * of_row(in.f(), row)) * in.g(k)(row, i);
                    if (is_first) {
                        out.q(k, 0)(row, i) = questions > 0 ? x - eta * m : T(NAN);
                        out.q(k, 1)(row, i) = questions > 1 ? x + eta * m : T(NAN);
                    }
                    if (questions > 0 && !is_first) {
                        step = next_m = decay * m + (1 + next_trust) * in.qg(k, 0)(row, i);
                    } else if (questions == 0 && is_first) {
                        next_m = decay * m;
                    }
                    out.state(m_[k])(row, i) = next_m;
                    out.x(k)(row, i) = x - eta * step;
                }
            }
            if (!is_first) continue;
            if (questions > 0) out.ask(row, 0, L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT);
            if (questions > 1) out.ask(row, 1, L2O_ORACLE_VALUE);
        }
    }

    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        const T eta = std::exp(in.param(log_step_).scalar()), decay = in.param(decay_).scalar(),
                weight = in.param(weight_).scalar();
        const bool is_first = in.round() == 0;
        const auto add = [](const auto& to, T value) {
            if (to) to.scalar() += value;
        };
        const auto trust_cot = cot.state(trust_);
        const auto trust_acc = acc.state(trust_);
        for (std::int64_t row = 0; row < in.x(0).rows; ++row) {
            const int questions = questions_of(in, row);
            const bool is_answered = questions > 0 && !is_first;
            const T trust = in.state(trust_)[row], f = of_row(in.f(), row);
            const T sum = is_answered ? sum_of(in, row) : T(0), next_trust = decay * trust + weight * sum;
            T next_trust_cot = trust_cot ? trust_cot[row] : T(0);
            for (std::size_t k = 0; k < in.blocks(); ++k) {
                const auto m_cot = cot.state(m_[k]);
                const auto m_acc = acc.state(m_[k]);
                for (std::int64_t i = 0; i < in.x(k).cols; ++i) {
                    const T m = in.state(m_[k])(row, i), g = in.g(k)(row, i);
                    const T x_cot = cot.x(k) ? cot.x(k)(row, i) : T(0);
                    T next_m_cot = m_cot ? m_cot(row, i) : T(0), to_m = next_m_cot, to_x = x_cot;
                    if (is_answered) {
                        const T qg = in.qg(k, 0)(row, i);
                        next_m_cot -= eta * x_cot;
                        add(acc.param(log_step_), -eta * (decay * m + (1 + next_trust) * qg) * x_cot);
                        add(acc.param(decay_), m * next_m_cot);
                        next_trust_cot += qg * next_m_cot;
                        to_m = decay * next_m_cot;
                        if (acc.qg(k, 0)) acc.qg(k, 0)(row, i) += (1 + next_trust) * next_m_cot;
                    } else {
                        if (questions > 0 && cot.q(k, 0)) {
                            const T back = cot.q(k, 0)(row, i), ahead = cot.q(k, 1)(row, i);
                            to_x += back + ahead;
                            to_m += eta * (ahead - back);
                            add(acc.param(log_step_), eta * m * (ahead - back));
                        } else if (questions == 0 && is_first) {
                            add(acc.param(decay_), m * next_m_cot);
                            to_m = decay * next_m_cot;
                        }
                        add(acc.param(log_step_), -eta * (1 + weight * f) * g * x_cot);
                        add(acc.param(weight_), -eta * f * g * x_cot);
                        if (acc.g(k)) acc.g(k)(row, i) -= eta * (1 + weight * f) * x_cot;
                        if (acc.f()) of_row(acc.f(), row) -= eta * weight * g * x_cot;
                    }
                    if (m_acc) m_acc(row, i) += to_m;
                    if (acc.x(k)) acc.x(k)(row, i) += to_x;
                }
            }
            if (is_answered) {
                add(acc.param(decay_), trust * next_trust_cot);
                add(acc.param(weight_), sum * next_trust_cot);
                for (int j = 0; j < questions; ++j)
                    if (acc.qf(j)) of_row(acc.qf(j), row) += weight * next_trust_cot;
            }
            if (trust_acc) trust_acc[row] += (is_answered ? decay : T(1)) * next_trust_cot;
        }
    }

  private:
    /// Of a particle in this step: 0, 1, 2 and 0 again.
    template <class T>
    [[nodiscard]] int questions_of(const l2o::StepIn<T>& in, std::int64_t row) const {
        return static_cast<int>((row % particles + in.t()) % 3);
    }
    /// Of a [B, P] that of a particle.
    template <class T>
    static T& of_row(const l2o::View<T>& values, std::int64_t row) {
        return values(row / values.cols, row % values.cols);
    }
    template <class T>
    [[nodiscard]] T sum_of(const l2o::StepIn<T>& in, std::int64_t row) const {
        return of_row(in.qf(0), row) + (questions_of(in, row) > 1 ? of_row(in.qf(1), row) : T(0));
    }

    l2o::Param log_step_, decay_, weight_;
    l2o::State trust_;
    l2o::BlockStates m_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<LearnedScouts>)
