#include <algorithm>
#include <l2o/sdk/coordinates.hpp>
#include <l2o/sdk/optimizer.hpp>

#include "backtracking.hpp"

namespace {

// Goldstein 1964, "Convex programming in Hilbert space"; Levitin & Polyak 1966. The search along the arc:
// Bertsekas 1976, "On the Goldstein-Levitin-Polyak gradient projection method", equations (6) to (8).
struct ProjectedGradient : l2o::plugins::FixedOrBacktracking {
    static constexpr l2o::About about{
        .id = "projected_gradient",
        .version = "1.0.0",
        .title = "Gradient steps, projected onto the bounds of the variables",
        .doc =
            "x(eta) = P(x - eta g), P the projection onto the box of every block; without bounds gradient "
            "descent. step_rule armijo takes the largest eta = initial_step * shrink^k, k = 0 .. "
            "max_halvings, with f(x(eta)) <= f(x) - armijo_c g'(x - x(eta)), searched anew in every step and "
            "for every row on its own; a row without such an eta stays where it is. Goldstein 1964; Levitin "
            "& Polyak 1966; Bertsekas 1976."};

    static l2o::Options<ProjectedGradient> options() { return step_options<ProjectedGradient>(); }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().keeps_bounds().reads_g();
        plan_steps(spec);
        at_ = l2o::Coordinates(spec);
        if (searches()) bind_search(spec);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            if (searches()) {
                search(in, out, row);
            } else {
                move(in, row, T(learning_rate * rate_at(in.t())), [&](std::size_t k) { return out.x(k); });
            }
        }
    }

  private:
    /// x(eta) of a row into that of to(block).
    template <class T, class To>
    void move(const l2o::StepIn<T>& in, std::int64_t row, T eta, To&& to) const {
        for (std::int64_t k = 0, at = 0; at < at_.size(); ++k) {
            const auto x = in.x(k), g = in.g(k);
            const auto x_eta = to(k);
            for (std::int64_t i = 0; i < x.cols; ++i, ++at)
                x_eta(row, i) = at_.clamped(at, x(row, i) - eta * g(row, i));
        }
    }

    template <class T>
    void search(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out, std::int64_t row) const {
        Trial<T> trial = first_trial<T>();
        if (in.round() > 0) {
            trial = trial_of(in, row);
            T decrease = 0;  // g'(x - x(eta))
            for (std::size_t k = 0; k < in.blocks(); ++k) {
                const auto x = in.x(k), g = in.g(k), x_trial = in.q(k, 0);
                for (std::int64_t i = 0; i < x.cols; ++i)
                    decrease += g(row, i) * (x(row, i) - x_trial(row, i));
            }
            trial = judge(trial, in.qf(0)[row], in.f()[row], decrease / trial.eta, in.round());
        }
        keep(trial, out, row);
        move(in, row, trial.eta, [&](std::size_t k) { return out.q(k, 0); });
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const T* x_next = trial.search == kAccepted ? out.q(k, 0).row(row) : in.x(k).row(row);
            std::copy_n(x_next, in.x(k).cols, out.x(k).row(row));
        }
        say(trial, out, row);
    }

    l2o::Coordinates at_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<ProjectedGradient>)
