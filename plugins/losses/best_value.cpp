#include <cmath>
#include <cstdint>
#include <l2o/sdk/loss.hpp>
#include <limits>
#include <string>

namespace {

// For what is judged by the best point that it has paid for: Cao et al. 2019 train their swarm on the sum of
// all values, which ends in the nearest well.
struct BestValue {
    static constexpr l2o::About about{.id = "best_value",
                                      .version = "1.1.0",
                                      .title = "The least value of a whole trajectory",
                                      .doc =
                                          "min over t = 0 .. T and all particles of f(x_t); particles mean: "
                                          "the mean over the particles of the least value of each, which "
                                          "scatters less and says as much of a swarm whose particles are "
                                          "alike. What is not a number does not count; where nothing "
                                          "does, neither does the loss. Its derivative is that of the point "
                                          "where the least value is. Not a "
                                          "sum over time: only whole trajectories can be scored."};

    enum class Particles { kBest, kMean };
    Particles particles = Particles::kBest;

    static l2o::Options<BestValue> options() {
        l2o::Options<BestValue> options;
        options.choice("particles",
                       &BestValue::particles,
                       {"best", "mean"},
                       "of a population: its best particle, or the mean over all of them");
        return options;
    }
    static void declare(l2o::LossSpec& spec) { spec.minimises().reads(L2O_LOSS_READS_F); }

    template <class T>
    void eval(const l2o::Trajectory<T>& trajectory, const l2o::View<T>& per_row) const {
        for (std::int64_t row = 0; row < per_row.rows; ++row) {
            per_row[row] = 0;
            each_best(trajectory, row, [&](const Place<T>& at, T share) { per_row[row] += share * at.f; });
        }
    }

    template <class T>
    void vjp(const l2o::Trajectory<T>& trajectory,
             const l2o::View<const T>& cot_row,
             const l2o::TrajectoryAcc<T>& acc) const {
        for (std::int64_t row = 0; row < cot_row.rows; ++row)
            each_best(trajectory, row, [&](const Place<T>& at, T share) {
                if (const auto cot_f = acc.f(at.point)) cot_f(row, at.particle) += share * cot_row[row];
            });
    }

  private:
    template <class T>
    struct Place {
        T f = std::numeric_limits<T>::quiet_NaN();
        std::int64_t point = 0, particle = 0;
    };
    /// f(place, share) of the places whose values count, with their shares in the loss.
    template <class T, class F>
    void each_best(const l2o::Trajectory<T>& trajectory, std::int64_t row, F&& f) const {
        if (trajectory.t0() != 0 || trajectory.len() != trajectory.horizon() + 1)
            l2o::invalid("the window has the points " + std::to_string(trajectory.t0()) + " to " +
                         std::to_string(trajectory.t0() + trajectory.len() - 1) +
                         "; best_value reads the points 0 to " + std::to_string(trajectory.horizon()) +
                         ": set unroll to the horizon, or use a loss that is a sum over time, for example "
                         "'trajectory_sum'");
        const std::int64_t count = trajectory.f(0).cols;
        if (particles == Particles::kBest) return f(best(trajectory, row, 0, count), T(1));
        for (std::int64_t p = 0; p < count; ++p) f(best(trajectory, row, p, p + 1), 1 / T(count));
    }
    /// Of the particles from `first` on below `end`.
    template <class T>
    static Place<T> best(const l2o::Trajectory<T>& trajectory,
                         std::int64_t row,
                         std::int64_t first,
                         std::int64_t end) {
        Place<T> least;
        for (std::int64_t point = 0; point < trajectory.len(); ++point) {
            const auto f = trajectory.f(point);
            for (std::int64_t p = first; p < end; ++p)
                if (f(row, p) < least.f || std::isnan(least.f)) least = {f(row, p), point, p};
        }
        return least;
    }
};

}  // namespace

L2O_PLUGIN(l2o::Loss<BestValue>)
