#include <l2o/sdk/optimizer.hpp>

#include "backtracking.hpp"

namespace {

struct GradientDescent : l2o::plugins::FixedOrBacktracking {
    static constexpr l2o::About about{
        .id = "gradient_descent",
        .version = "1.0.0",
        .title = "Gradient descent with a fixed step or Armijo backtracking",
        .doc =
            "x <- x - eta g. step_rule fixed: eta = learning_rate. step_rule armijo: the largest eta = "
            "initial_step * shrink^k, k = 0 .. max_halvings, with f(x - eta g) <= f(x) - armijo_c eta "
            "||g||^2, searched anew in every step and for every row on its own; a row without such an "
            "eta stays where it is. Nocedal & Wright 2006, Numerical Optimization, algorithm 3.1."};

    static l2o::Options<GradientDescent> options() { return step_options<GradientDescent>(); }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().reads_g();
        plan_steps(spec);
        if (searches()) {
            bind_search(spec);
        } else {
            spec.coordinatewise();
        }
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        searches() ? backtrack(in, out) : descend(in, out);
    }

  private:
    template <class T>
    void descend(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const T eta = T(learning_rate * rate_at(in.t()));
        for (std::size_t k = 0; k < in.blocks(); ++k)
            l2o::each([=](T x, T g, T& x_next) { x_next = x - eta * g; }, in.x(k), in.g(k), out.x(k));
    }

    template <class T>
    void backtrack(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            Trial<T> trial = first_trial<T>();
            if (in.round() > 0) {
                const T slope = squared_norm(in, row, [&](std::size_t k) { return in.g(k); });
                trial = judge(trial_of(in, row), in.qf(0)[row], in.f()[row], slope, in.round());
            }
            keep(trial, out, row);
            for (std::size_t k = 0; k < in.blocks(); ++k) {
                const auto x = in.x(k), g = in.g(k);
                const auto x_next = out.x(k), x_trial = out.q(k, 0);
                for (std::int64_t i = 0; i < x.cols; ++i) {
                    x_trial(row, i) = x(row, i) - trial.eta * g(row, i);
                    x_next(row, i) = trial.search == kAccepted ? x_trial(row, i) : x(row, i);
                }
            }
            say(trial, out, row);
        }
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<GradientDescent>)
