#include <cmath>
#include <l2o/sdk/loss.hpp>

// 1/T sum_t ln(min_s f(x_s) + 1e-6), t = 1 .. T, s = 1 .. t: of somebody who keeps the best point, and may
// stop at any time. Of a population, the best of its particles.
struct BestValue {
    static constexpr l2o::About about{
        "org.example.best_value", "1.0.0", "Log of the best so far", "mean_t ln min_s f", "MIT", "Example"};
    static void declare(l2o::LossSpec& spec) { spec.reads(L2O_LOSS_READS_F); }

    // Calls body(f, point, row, particle) for the best so far of every row at every point behind the start.
    template <class T>
    static void each_best(const l2o::Trajectory<T>& trajectory, const auto& body) {
        for (std::int64_t row = 0; row < trajectory.batch(); ++row) {
            double best = HUGE_VAL;
            for (std::int64_t j = 1, point = 1, particle = 0; j < trajectory.len(); ++j) {
                const auto f = trajectory.f(j);
                for (std::int64_t p = 0; p < f.cols; ++p)
                    if (f(row, p) < best) best = f(row, p), point = j, particle = p;
                if (best < 0) l2o::invalid("f is " + std::to_string(best) + "; expected values >= 0");
                body(best + 1e-6, point, row, particle);
            }
        }
    }

    template <class T>
    void eval(const l2o::Trajectory<T>& trajectory, const l2o::View<T>& per_row) const {
        l2o::fill(per_row, 0);
        each_best(trajectory, [&](double f, auto, auto row, auto) {
            per_row[row] += T(std::log(f) / (trajectory.len() - 1));
        });
    }
    template <class T>
    void vjp(const l2o::Trajectory<T>& trajectory,
             const l2o::View<const T>& cot,
             const l2o::TrajectoryAcc<T>& acc) const {
        if (acc.f(0))
            each_best(trajectory, [&](double f, auto point, auto row, auto particle) {
                acc.f(point)(row, particle) += T(cot[row] / (f * (trajectory.len() - 1)));
            });
    }
};
L2O_PLUGIN(l2o::Loss<BestValue>)
