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
                                      .version = "1.0.0",
                                      .title = "The least value of a whole trajectory",
                                      .doc =
                                          "min over t = 0 .. T and all particles of f(x_t). What is not a "
                                          "number does not count; where nothing "
                                          "does, neither does the loss. Its derivative is that of the point "
                                          "where the least value is. Not a "
                                          "sum over time: only whole trajectories can be scored."};

    static l2o::Options<BestValue> options() { return {}; }
    static void declare(l2o::LossSpec& spec) { spec.reads(L2O_LOSS_READS_F); }

    template <class T>
    void eval(const l2o::Trajectory<T>& trajectory, const l2o::View<T>& per_row) const {
        for (std::int64_t row = 0; row < per_row.rows; ++row) per_row[row] = best(trajectory, row).f;
    }

    template <class T>
    void vjp(const l2o::Trajectory<T>& trajectory,
             const l2o::View<const T>& cot_row,
             const l2o::TrajectoryAcc<T>& acc) const {
        for (std::int64_t row = 0; row < cot_row.rows; ++row) {
            const Place<T> at = best(trajectory, row);
            if (const auto cot_f = acc.f(at.point)) cot_f(row, at.particle) += cot_row[row];
        }
    }

  private:
    template <class T>
    struct Place {
        T f = std::numeric_limits<T>::quiet_NaN();
        std::int64_t point = 0, particle = 0;
    };
    template <class T>
    static Place<T> best(const l2o::Trajectory<T>& trajectory, std::int64_t row) {
        if (trajectory.t0() != 0 || trajectory.len() != trajectory.horizon() + 1)
            l2o::invalid("the window has the points " + std::to_string(trajectory.t0()) + " to " +
                         std::to_string(trajectory.t0() + trajectory.len() - 1) +
                         "; best_value reads the points 0 to " + std::to_string(trajectory.horizon()) +
                         ": set unroll to the horizon, or use a loss that is a sum over time, for example "
                         "'trajectory_sum'");
        Place<T> least;
        for (std::int64_t point = 0; point < trajectory.len(); ++point) {
            const auto f = trajectory.f(point);
            for (std::int64_t p = 0; p < f.cols; ++p)
                if (f(row, p) < least.f || std::isnan(least.f)) least = {f(row, p), point, p};
        }
        return least;
    }
};

}  // namespace

L2O_PLUGIN(l2o::Loss<BestValue>)
