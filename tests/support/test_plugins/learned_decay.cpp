// Gradient descent whose steps shrink with a count that the state keeps in whole numbers: a state of another
// element type than x, which has no derivative.
#include <cmath>
#include <cstdint>
#include <l2o/sdk/optimizer.hpp>

namespace {

struct LearnedDecay {
    static constexpr l2o::About about{.id = "learned_decay",
                                      .version = "1.0.0",
                                      .title = "Gradient descent with a learned, shrinking step",
                                      .doc = "x' = x - exp(log_step) / n g, n' = n + 1 from n = 3."};

    void declare(l2o::OptimizerSpec& spec) {
        spec.reads_g();
        log_step_ = spec.param({.name = "log_step"});
        n_ = spec.state<std::int64_t>({.name = "n", .batched = true, .start = 3});
        is_odd_ = spec.state<std::uint8_t>({.name = "is_odd", .batched = true, .start = 1});
    }
    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        params[log_step_].scalar() = T(-6);
    }
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            const std::int64_t n = in.state(n_)[row];
            if (in.state(is_odd_)[row] != n % 2) l2o::invalid("the states disagree");
            out.state(n_)[row] = n + 1;
            out.state(is_odd_)[row] = static_cast<std::uint8_t>((n + 1) % 2);
            for (std::size_t k = 0; k < in.blocks(); ++k)
                for (std::int64_t i = 0; i < in.x(k).cols; ++i)
                    out.x(k)(row, i) = in.x(k)(row, i) - eta(in, row) * in.g(k)(row, i);
        }
    }
    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        if (cot.raw().state[n_.index()] != nullptr || acc.raw().state[n_.index()] != nullptr)
            l2o::invalid("a count has a cotangent");
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            if (!cot.x(k)) continue;
            for (std::int64_t row = 0; row < in.batch(); ++row) {
                for (std::int64_t i = 0; i < in.x(k).cols; ++i) {
                    const T x_bar = cot.x(k)(row, i);
                    if (acc.x(k)) acc.x(k)(row, i) += x_bar;
                    if (acc.g(k)) acc.g(k)(row, i) -= eta(in, row) * x_bar;
                    if (const auto to = acc.param(log_step_))
                        to.scalar() -= eta(in, row) * in.g(k)(row, i) * x_bar;
                }
            }
        }
    }

  private:
    template <class T>
    [[nodiscard]] T eta(const l2o::StepIn<T>& in, std::int64_t row) const {
        return std::exp(in.param(log_step_).scalar()) / T(in.state(n_)[row]);
    }

    l2o::Param log_step_;
    l2o::StateOf<std::int64_t> n_;
    l2o::StateOf<std::uint8_t> is_odd_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<LearnedDecay>)
