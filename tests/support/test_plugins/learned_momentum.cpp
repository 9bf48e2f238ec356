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
        for (const char* name : {"log_step", "decay", "start", "f_weight"}) spec.param({.name = name});
        spec.state_like_x("m");
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::Tensors<const T>&, const l2o::Tensors<T>& params) const {
        params[kLogStep].scalar() = T(-7);
        params[kDecay].scalar() = T(0.6);
        params[kStart].scalar() = T(0.3);
        params[kFWeight].scalar() = T(0.01);
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::Tensors<T>& state) const {
        const T start = in.param(kStart).scalar();
        for (std::size_t k = 0; k < in.blocks(); ++k)
            l2o::each([=](T x, T& m) { m = start * x; }, in.x(k), state.at(k, lead()));
    }
    template <class T>
    void init_state_vjp(const l2o::StepIn<T>& in,
                        const l2o::Tensors<const T>& cot,
                        const l2o::StepAcc<T>& acc) const {
        const T start = in.param(kStart).scalar();
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const auto state_bar = cot.at(k, lead());
            if (!state_bar) continue;
            if (acc.param(kStart))
                l2o::each([&](T x, T c) { acc.param(kStart).scalar() += c * x; }, in.x(k), state_bar);
            if (acc.x(k)) l2o::each([=](T c, T& x_bar) { x_bar += start * c; }, state_bar, acc.x(k));
        }
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        if (in.t() == gives_up_at) throw l2o::Failure(L2O_STATUS_NUMERICAL, "the momentum has lost its way");
        const T eta = std::exp(in.param(kLogStep).scalar()), decay = in.param(kDecay).scalar();
        for_each(in, [&](std::size_t k, std::int64_t row, std::int64_t i, T f) {
            const T m =
                decay * in.state(k, lead())(row, i) + (1 + in.param(kFWeight).scalar() * f) * in.g(k)(row, i);
            out.state(k, lead())(row, i) = m;
            out.x(k)(row, i) = in.x(k)(row, i) - eta * m;
        });
    }

    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        if (in.t() == reverse_gives_up_at) throw l2o::Failure(L2O_STATUS_NUMERICAL, "the way back is lost");
        const T eta = std::exp(in.param(kLogStep).scalar()), decay = in.param(kDecay).scalar(),
                f_weight = in.param(kFWeight).scalar();
        for_each(in, [&](std::size_t k, std::int64_t row, std::int64_t i, T f) {
            const T g = in.g(k)(row, i), m_old = in.state(k, lead())(row, i);
            const T m = decay * m_old + (1 + f_weight * f) * g;
            const T x_bar = cot.x(k) ? cot.x(k)(row, i) : 0;
            const auto state_bar = l2o::view<const T>(cot.raw().state[k], lead());
            const T m_bar = (state_bar ? state_bar(row, i) : 0) - eta * x_bar;
            const auto add = [](const auto& to, T value) {
                if (to) to.scalar() += value;
            };
            add(acc.param(kLogStep), -eta * m * x_bar);
            add(acc.param(kDecay), m_old * m_bar);
            add(acc.param(kFWeight), f * g * m_bar);
            if (acc.x(k)) acc.x(k)(row, i) += x_bar;
            if (acc.g(k)) acc.g(k)(row, i) += (1 + f_weight * f) * m_bar;
            if (const auto to = l2o::view<T>(acc.raw().state[k], lead())) to(row, i) += decay * m_bar;
            if (acc.f()) value_of(acc.f(), row) += f_weight * g * m_bar;
        });
    }

  private:
    enum Param { kLogStep, kDecay, kStart, kFWeight };

    [[nodiscard]] int lead() const { return particles > 0 ? 2 : 1; }

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
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<LearnedMomentum>)
