#include <cmath>
#include <cstdint>
#include <l2o/sdk/loss.hpp>
#include <string>

namespace {

struct LogImprovement {
    static constexpr l2o::About about{
        .id = "log_improvement",
        .version = "1.0.0",
        .title = "Mean logarithm of the objective relative to its start",
        .doc =
            "1/T sum over t = 1 .. T of ln(f(x_t) / (f_init + 1e-6) + 1e-6), T the horizon: the meta-loss of "
            "L2O-Scale (Wichrowska et al. 2017). f_init is the objective at the first point of "
            "the window, which is the start of the trajectory in the first one: the score of a later window "
            "counts what has been gained since its own start, and the gradient of back-propagation hardly "
            "depends on f_init. f(x_T) counts, other than in the original code, where the last step of a "
            "window learns nothing. The objective must be >= 0. Of a population, the mean over the "
            "particles, each relative to its own start."};

    static void declare(l2o::LossSpec& spec) { spec.minimises().reads(L2O_LOSS_READS_F).windows(); }

    template <class T>
    void eval(const l2o::Trajectory<T>& trajectory, const l2o::View<T>& per_row) const {
        l2o::fill(per_row, 0);
        for_each_term(trajectory,
                      [&](const Term& term) { per_row[term.row] += T(term.weight * std::log(term.ratio)); });
    }

    // f_t / (f_init + eps) + eps = (f_t + eps (f_init + eps)) / (f_init + eps), so the slope by f_t is
    // 1 / (f_t + eps (f_init + eps)): another f_init changes it by a share of eps f_init / f_t.
    template <class T>
    void vjp(const l2o::Trajectory<T>& trajectory,
             const l2o::View<const T>& cot_row,
             const l2o::TrajectoryAcc<T>& acc) const {
        if (!acc.f(0)) return;
        for_each_term(trajectory, [&](const Term& term) {
            const double by_f =
                double(cot_row[term.row]) * term.weight / (term.ratio * (term.f_init + kEpsilon));
            acc.f(term.point)(term.row, term.particle) += T(by_f);
            acc.f(0)(term.row, term.particle) -= T(by_f * term.f / (term.f_init + kEpsilon));
        });
    }

  private:
    static constexpr double kEpsilon = 1e-6;

    struct Term {
        std::int64_t point, row, particle;
        double weight, f, f_init, ratio;  ///< ln(ratio) is what counts
    };

    template <class T, class Body>
    static void for_each_term(const l2o::Trajectory<T>& trajectory, Body&& body) {
        const auto start = trajectory.f(0);
        for (std::int64_t j = 1; j < trajectory.len(); ++j) {
            const auto f = trajectory.f(j);
            for (std::int64_t row = 0; row < f.rows; ++row) {
                for (std::int64_t p = 0; p < f.cols; ++p) {
                    Term term{.point = j,
                              .row = row,
                              .particle = p,
                              .weight = 1 / (double(trajectory.horizon()) * double(f.cols)),
                              .f = f(row, p),
                              .f_init = start(row, p),
                              .ratio = 0};
                    if (term.f_init + kEpsilon <= 0) negative(term.f_init, row, trajectory.t0());
                    term.ratio = term.f / (term.f_init + kEpsilon) + kEpsilon;
                    if (term.ratio <= 0) negative(term.f, row, trajectory.t0() + j);
                    body(term);
                }
            }
        }
    }

    [[noreturn]] static void negative(double f, std::int64_t row, std::int64_t t) {
        l2o::invalid("the objective is " + std::to_string(f) + " in row " + std::to_string(row) +
                     " at point " + std::to_string(t) +
                     "; log_improvement takes its logarithm and expects values >= 0: add a constant to the "
                     "objective, or use a loss that takes any sign, for example 'trajectory_sum'");
    }
};

}  // namespace

L2O_PLUGIN(l2o::Loss<LogImprovement>)
