#include <algorithm>
#include <cmath>
#include <l2o/sdk/optimizer.hpp>

#include "backtracking.hpp"

namespace {

// Nesterov 1983 in the form of Beck & Teboulle 2009, section 4, without a proximal map: x_k, y_k, t_k with
// t_1 = 1, y_1 = x_0 as there, v_k = y_k - x_{k-1}. Restart: O'Donoghue & Candes 2015, "Adaptive restart for
// accelerated gradient schemes" (arXiv:1204.3982), section 3.2, gradient scheme.
struct Nag : l2o::plugins::Backtracking {
    static constexpr l2o::About about{
        .id = "nag",
        .version = "1.0.0",
        .title = "Nesterov's accelerated gradient with backtracking and restart",
        .doc =
            "x_k = y_k - eta g(y_k), t_{k+1} = (1 + sqrt(1 + 4 t_k^2)) / 2, y_{k+1} = x_k + (t_k - 1) / "
            "t_{k+1} (x_k - x_{k-1}), with the largest eta = initial_step * shrink^j, j = 0 .. max_halvings, "
            "for which f(x_k) <= f(y_k) - armijo_c eta ||g(y_k)||^2, searched anew in every step and for "
            "every row on its own. With restart, t falls back to 1 in a row where g(y_k)'(x_k - x_{k-1}) > "
            "0; without it f may rise far on a problem that is not convex. A row without such an eta stays "
            "where it is, and starts again. Asks for f and g at y_k, then for f at every trial. Nesterov "
            "1983; Beck & Teboulle 2009, section 4; O'Donoghue & Candes 2015."};

    bool restart = true;

    Nag() { armijo_c = 0.5; }  // what a step of 1/L satisfies

    static l2o::Options<Nag> options() {
        l2o::Options<Nag> options;
        options.flag("restart", &Nag::restart, "forget the momentum where it points uphill");
        add_options(options);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().asks(1, L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT);
        v_ = spec.state_like_x("v", "y - x");
        g_ = spec.state_like_x("g", "the gradient at y");
        f_ = spec.state({.name = "f", .doc = "the objective at y", .batched = true});
        t_ = spec.state({.name = "t", .doc = "the momentum sequence", .batched = true, .start = 1});
        bind(spec);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        out.keep(in);
        if (in.round() == 0) return look_ahead(in, out);
        if (in.round() == 1) keep_answers(in, out);
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            const Trial<T> before = in.round() == 1 ? first_trial<T>() : trial_of(in, row);
            Trial<T> trial = before;
            if (in.round() > 1) {
                const T slope = squared_norm(in, row, [&](std::size_t k) { return in.state(g_[k]); });
                trial = judge(before, in.qf(0)[row], in.state(f_)[row], slope, in.round() - 1);
            }
            keep(trial, out, row);
            const bool is_accepted = trial.search == kAccepted;
            trial.is_over() ? take_trial(in, out, row, is_accepted) : ask_for_trial(in, out, row, trial.eta);
            if (trial.is_over() && !before.is_over()) move_on(in, out, row, is_accepted);
            say(trial, out, row);
        }
    }

  private:
    template <class T>
    void look_ahead(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        for (std::size_t k = 0; k < in.blocks(); ++k)
            l2o::each([](T x, T v, T& y) { y = x + v; }, in.x(k), in.state(v_[k]), out.q(k, 0));
        out.ask_all(0, L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT);
    }
    template <class T>
    void keep_answers(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) l2o::copy(in.qg(k, 0), out.state(g_[k]));
        l2o::copy(in.qf(0), out.state(f_));
    }
    template <class T>
    void ask_for_trial(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out, std::int64_t row, T eta) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const auto x = in.x(k), v = in.state(v_[k]);
            const auto g = out.state(g_[k]), trial = out.q(k, 0);
            for (std::int64_t i = 0; i < x.cols; ++i) trial(row, i) = x(row, i) + v(row, i) - eta * g(row, i);
        }
    }
    /// Repeats the question, which is x' if it was accepted.
    template <class T>
    void take_trial(const l2o::StepIn<T>& in,
                    const l2o::StepOut<T>& out,
                    std::int64_t row,
                    bool is_accepted) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const auto asked = in.q(k, 0);
            std::copy_n(asked.row(row), asked.cols, out.q(k, 0).row(row));
            if (is_accepted) std::copy_n(asked.row(row), asked.cols, out.x(k).row(row));
        }
    }
    /// From v_k, t_k to the next ones.
    template <class T>
    void move_on(const l2o::StepIn<T>& in,
                 const l2o::StepOut<T>& out,
                 std::int64_t row,
                 bool is_accepted) const {
        T along = 0;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const auto x = in.x(k), g = in.state(g_[k]);
            const auto x_next = out.x(k);
            for (std::int64_t i = 0; i < x.cols; ++i) along += g(row, i) * (x_next(row, i) - x(row, i));
        }
        const bool is_fresh = !is_accepted || (restart && along > 0);
        const T t = is_fresh ? T(1) : in.state(t_)[row];
        const T t_next = (1 + std::sqrt(1 + 4 * t * t)) / 2;
        const T momentum = (t - 1) / t_next;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const auto x = in.x(k);
            const auto x_next = out.x(k), v = out.state(v_[k]);
            for (std::int64_t i = 0; i < x.cols; ++i) v(row, i) = momentum * (x_next(row, i) - x(row, i));
        }
        out.state(t_)[row] = t_next;
    }

    l2o::BlockStates v_, g_;
    l2o::State f_, t_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Nag>)
