// Heavy-ball momentum that learns everything it has: a small rule with all the paths that a meta-gradient can
// take, through parameters, state, a learned initial state, f and g, for populations too.
#include <cmath>
#include <cstdint>
#include <l2o/sdk/optimizer.hpp>

namespace {

struct LearnedMomentum {
    static constexpr l2o::About about{
        .id = "learned_momentum",
        .version = "1.0.0",
        .title = "Momentum whose step, decay, start and use of f are learned",
        .doc = "m_0 = start x_0, m' = decay m + (1 + f_weight f) g, x' = x - exp(log_step) m'."};

    std::int64_t particles = 0, gives_up_at = -1, reverse_gives_up_at = -1;

    static l2o::Options<LearnedMomentum> options() {
        using Method = LearnedMomentum;
        l2o::Options<Method> options;
        options.integer("particles", &Method::particles, "points per swarm; 0: no swarm", l2o::at_least(0))
            .integer("gives_up_at", &Method::gives_up_at, "the step that reports divergence")
            .integer("reverse_gives_up_at",
                     &Method::reverse_gives_up_at,
                     "the step whose derivative reports divergence");
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.reads_f().reads_g();
        spec.info.particles = static_cast<std::uint32_t>(particles);
        log_step_ = spec.param({.name = "log_step"});
        decay_ = spec.param({.name = "decay"});
        start_ = spec.param({.name = "start"});
        f_weight_ = spec.param({.name = "f_weight"});
        m_ = spec.state_like_x("m");
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        params[log_step_].scalar() = T(-7);
        params[decay_].scalar() = T(0.6);
        params[start_].scalar() = T(0.3);
        params[f_weight_].scalar() = T(0.01);
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        const T start = in.param(start_).scalar();
        for (std::size_t k = 0; k < in.blocks(); ++k)
            l2o::each([=](T x, T& m) { m = start * x; }, in.x(k), state[m_[k]]);
    }
    template <class T>
    void init_state_vjp(const l2o::StepIn<T>& in,
                        const l2o::StatesCot<T>& cot,
                        const l2o::StepAcc<T>& acc) const {
        const T start = in.param(start_).scalar();
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const auto state_bar = cot[m_[k]];
            if (!state_bar) continue;
            if (acc.param(start_))
                l2o::each([&](T x, T c) { acc.param(start_).scalar() += c * x; }, in.x(k), state_bar);
            if (acc.x(k)) l2o::each([=](T c, T& x_bar) { x_bar += start * c; }, state_bar, acc.x(k));
        }
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        if (in.t() == gives_up_at) throw l2o::Failure(L2O_STATUS_NUMERICAL, "the momentum has lost its way");
        const T eta = std::exp(in.param(log_step_).scalar()), decay = in.param(decay_).scalar();
        for_each(in, [&](std::size_t k, std::int64_t row, std::int64_t i, T f) {
            const T m =
                decay * in.state(m_[k])(row, i) + (1 + in.param(f_weight_).scalar() * f) * in.g(k)(row, i);
            out.state(m_[k])(row, i) = m;
            out.x(k)(row, i) = in.x(k)(row, i) - eta * m;
        });
    }

    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        if (in.t() == reverse_gives_up_at) throw l2o::Failure(L2O_STATUS_NUMERICAL, "the way back is lost");
        const T eta = std::exp(in.param(log_step_).scalar()), decay = in.param(decay_).scalar(),
                f_weight = in.param(f_weight_).scalar();
        for_each(in, [&](std::size_t k, std::int64_t row, std::int64_t i, T f) {
            const T g = in.g(k)(row, i), m_old = in.state(m_[k])(row, i);
            const T m = decay * m_old + (1 + f_weight * f) * g;
            const T x_bar = cot.x(k) ? cot.x(k)(row, i) : 0;
            const auto state_bar = cot.state(m_[k]);
            const T m_bar = (state_bar ? state_bar(row, i) : 0) - eta * x_bar;
            const auto add = [](const auto& to, T value) {
                if (to) to.scalar() += value;
            };
            add(acc.param(log_step_), -eta * m * x_bar);
            add(acc.param(decay_), m_old * m_bar);
            add(acc.param(f_weight_), f * g * m_bar);
            if (acc.x(k)) acc.x(k)(row, i) += x_bar;
            if (acc.g(k)) acc.g(k)(row, i) += (1 + f_weight * f) * m_bar;
            if (const auto to = acc.state(m_[k])) to(row, i) += decay * m_bar;
            if (acc.f()) value_of(acc.f(), row) += f_weight * g * m_bar;
        });
    }

  private:
    /// f of a row of x: [B], or [B, P].
    template <class T>
    static T& value_of(const l2o::View<T>& f, std::int64_t row) {
        return f(row / f.cols, row % f.cols);
    }
    template <class T, class Body>
    static void for_each(const l2o::StepIn<T>& in, Body&& body) {
        for (std::size_t k = 0; k < in.blocks(); ++k)
            for (std::int64_t row = 0; row < in.x(k).rows; ++row)
                for (std::int64_t i = 0; i < in.x(k).cols; ++i) body(k, row, i, value_of(in.f(), row));
    }

    l2o::Param log_step_, decay_, start_, f_weight_;
    l2o::BlockStates m_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<LearnedMomentum>)
