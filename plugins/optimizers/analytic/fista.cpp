#include <cmath>
#include <cstddef>
#include <l2o/sdk/optimizer.hpp>

#include "proximal_gradient.hpp"

namespace {

// Beck & Teboulle 2009, "A fast iterative shrinkage-thresholding algorithm", FISTA with constant step size
// (section 4). Symbols as there: x_k, y_k, t_k with t_1 = 1, y_1 = x_0. Restart: O'Donoghue & Candes 2015,
// "Adaptive restart for accelerated gradient schemes" (arXiv:1204.3982), section 3.2, gradient scheme.
class Fista : public l2o::plugins::ProximalGradient {
  public:
    static constexpr l2o::About about{
        .id = "fista",
        .version = "1.0.0",
        .title = "FISTA: accelerated proximal gradient with step 1/L",
        .doc =
            "x_k = S(y_k - A^T (A y_k - b) / L, lambda / L), t_{k+1} = (1 + sqrt(1 + 4 t_k^2)) / 2, "
            "y_{k+1} = x_k + (t_k - 1) / t_{k+1} (x_k - x_{k-1}) for f = 1/2 ||Ax - b||^2 + lambda "
            "||x||_1. f(x_k) - f* <= 2 L ||x_0 - x*||^2 / (k + 1)^2, but f may rise on the way. With "
            "restart, t falls back to 1 in a row where (y_k - x_k)'(x_k - x_{k-1}) > 0, and convergence is "
            "linear near the solution. Beck & Teboulle 2009, section 4; O'Donoghue & Candes 2015.",
        .needs = "A,b,lambda"};
    static constexpr bool learned = false;

    bool restart = false;

    static l2o::Options<Fista> options() {
        l2o::Options<Fista> options = ProximalGradient::options<Fista>();
        options.flag("restart", &Fista::restart, "forget the momentum where it points uphill");
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        bind(spec);
        y_ = spec.state_like_x("y", "the extrapolated point")[0];
        t_ = spec.state({.name = "t", .doc = "the momentum sequence", .batched = true});
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        l2o::copy(in.x(0), state[y_]);
        l2o::fill(state[t_], 1);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        apply_map(in, in.state(y_), out.x(0));
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            const auto x = l2o::numerics::row_vector(out.x(0).row(row), out.x(0).cols);
            const auto x_before = l2o::numerics::row_vector(in.x(0).row(row), in.x(0).cols);
            const auto y = l2o::numerics::row_vector(in.state(y_).row(row), in.state(y_).cols);
            const bool is_uphill = restart && (y - x).dot(x - x_before) > 0;
            const T t = is_uphill ? T(1) : in.state(t_)[row];
            const T t_next = (1 + std::sqrt(1 + 4 * t * t)) / 2;
            const T momentum = (t - 1) / t_next;
            l2o::numerics::row_vector(out.state(y_).row(row), x.size()) = x + momentum * (x - x_before);
            out.state(t_)[row] = t_next;
        }
    }

  private:
    l2o::State y_, t_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Fista>)
