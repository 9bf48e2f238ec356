#include <cmath>
#include <cstdint>
#include <l2o/sdk/loss.hpp>
#include <string>

namespace {

struct FinalObjective {
    static constexpr l2o::About about{
        .id = "final_objective",
        .version = "1.0.0",
        .title = "The objective after the last step",
        .doc =
            "f(x_T) with T the horizon. Of a population, that of the best particle at T, or the mean "
            "over the particles. Not a sum over time: only a window that ends at the horizon can be "
            "scored."};

    enum class Particles { kBest, kMean };
    Particles particles = Particles::kBest;

    static l2o::Options<FinalObjective> options() {
        l2o::Options<FinalObjective> options;
        options.choice("particles",
                       &FinalObjective::particles,
                       {"best", "mean"},
                       "of a population: its best particle, or the mean over all of them");
        return options;
    }

    static void declare(l2o::LossSpec& spec) { spec.minimises().reads(L2O_LOSS_READS_F); }

    template <class T>
    void eval(const l2o::Trajectory<T>& trajectory, const l2o::View<T>& per_row) const {
        const auto f = trajectory.f(last_point(trajectory));
        for (std::int64_t row = 0; row < f.rows; ++row) {
            if (particles == Particles::kBest) {
                per_row[row] = f(row, best(f, row));
            } else {
                per_row[row] = 0;
                for (std::int64_t p = 0; p < f.cols; ++p) per_row[row] += f(row, p) / T(f.cols);
            }
        }
    }

    template <class T>
    void vjp(const l2o::Trajectory<T>& trajectory,
             const l2o::View<const T>& cot_row,
             const l2o::TrajectoryAcc<T>& acc) const {
        const std::int64_t last = last_point(trajectory);
        const auto f = trajectory.f(last);
        const auto cot_f = acc.f(last);
        if (!cot_f) return;
        for (std::int64_t row = 0; row < f.rows; ++row) {
            if (particles == Particles::kBest) {
                cot_f(row, best(f, row)) += cot_row[row];
            } else {
                for (std::int64_t p = 0; p < f.cols; ++p) cot_f(row, p) += cot_row[row] / T(f.cols);
            }
        }
    }

  private:
    /// Index in the window of the point at the horizon.
    template <class T>
    static std::int64_t last_point(const l2o::Trajectory<T>& trajectory) {
        const std::int64_t t_last = trajectory.t0() + trajectory.len() - 1;
        if (t_last != trajectory.horizon())
            l2o::invalid(
                "the window ends at point " + std::to_string(t_last) + "; final_objective reads point " +
                std::to_string(trajectory.horizon()) +
                " alone: unroll the whole horizon, or use a loss that is a sum over time, for example "
                "'trajectory_sum'");
        return trajectory.len() - 1;
    }

    /// The particle with the smallest f; one that is not a number only if all are.
    template <class T>
    static std::int64_t best(const l2o::View<const T>& f, std::int64_t row) {
        std::int64_t best = 0;
        for (std::int64_t p = 1; p < f.cols; ++p) {
            if (f(row, p) < f(row, best) || std::isnan(f(row, best))) best = p;
        }
        return best;
    }
};

}  // namespace

L2O_PLUGIN(l2o::Loss<FinalObjective>)
