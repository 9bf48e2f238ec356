#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/sdk/loss.hpp>
#include <limits>

namespace {

struct ResidualRatio {
    static constexpr l2o::About about{
        .id = "residual_ratio",
        .version = "1.0.0",
        .title = "Logarithm of the gradient's norm relative to the start of the window",
        .doc =
            "min(10, max(-fall N, ln(|g(x_N)| / |g(x_0)|))) / N for a window of N steps, g all gradients of "
            "the row together: of a game the residual |F|. Of a population, the mean over the particles. "
            "Beyond the bounds the slope is 0: what has fallen by `fall` per step is good enough, and one "
            "instance that goes astray does not outweigh the others. The derivative goes through g, by the "
            "problem's Hessian-vector products."};

    double fall = 3;

    static l2o::Options<ResidualRatio> options() {
        l2o::Options<ResidualRatio> options;
        options.real("fall", &ResidualRatio::fall, "most that a step can gain", l2o::kPositive);
        return options;
    }

    static void declare(l2o::LossSpec& spec) { spec.reads(L2O_LOSS_READS_G).windows(); }

    template <class T>
    void eval(const l2o::Trajectory<T>& trajectory, const l2o::View<T>& per_row) const {
        const std::int64_t of_row = particles(trajectory);
        const double steps = double(trajectory.len() - 1);
        for (std::int64_t row = 0; row < per_row.rows; ++row) {
            double sum = 0;
            for (std::int64_t r = row * of_row; r < (row + 1) * of_row; ++r)
                sum += std::min(10.0, std::max(-fall * steps, logarithm(trajectory, r)));
            per_row[row] = T(sum / steps / double(of_row));
        }
    }

    template <class T>
    void vjp(const l2o::Trajectory<T>& trajectory,
             const l2o::View<const T>& cot_row,
             const l2o::TrajectoryAcc<T>& acc) const {
        const std::int64_t last = trajectory.len() - 1, of_row = particles(trajectory);
        const double steps = double(last);
        for (std::int64_t r = 0; r < cot_row.rows * of_row; ++r) {
            const double value = logarithm(trajectory, r);
            if (!(value > -fall * steps && value < 10)) continue;
            const double by_log = double(cot_row[r / of_row]) / steps / double(of_row);
            add_slope(trajectory, last, r, by_log, acc);
            add_slope(trajectory, 0, r, -by_log, acc);
        }
    }

  private:
    template <class T>
    static std::int64_t particles(const l2o::Trajectory<T>& trajectory) {
        return std::max<std::int64_t>(1, trajectory.raw().particles);
    }
    /// Scaled, because squares of what is left after many steps are 0.
    template <class T>
    static double norm(const l2o::Trajectory<T>& trajectory, std::int64_t point, std::int64_t row) {
        double largest = 0, squares = 0;
        const auto for_each = [&](auto&& body) {
            for (std::size_t k = 0; k < trajectory.blocks(); ++k) {
                const auto g = trajectory.g(k, point);
                for (std::int64_t i = 0; i < g.cols; ++i) body(std::abs(double(g(row, i))));
            }
        };
        for_each([&](double g) { largest = g <= largest ? largest : g; });
        if (!(largest > 0)) return largest;
        for_each([&](double g) { squares += g / largest * (g / largest); });
        return largest * std::sqrt(squares);
    }
    /// Of ln |g| at a point: g / |g|^2.
    template <class T>
    static void add_slope(const l2o::Trajectory<T>& trajectory,
                          std::int64_t point,
                          std::int64_t row,
                          double factor,
                          const l2o::TrajectoryAcc<T>& acc) {
        const double size = norm(trajectory, point, row);
        if (size < std::sqrt(std::sqrt(double(std::numeric_limits<T>::min()))))
            return;  // 1 / size may leave the numbers
        for (std::size_t k = 0; k < trajectory.blocks(); ++k) {
            const auto to = acc.g(k, point);
            const auto g = trajectory.g(k, point);
            for (std::int64_t i = 0; to && i < g.cols; ++i)
                to(row, i) += T(factor * (double(g(row, i)) / size) / size);
        }
    }
    /// A row that has arrived has gained all that it can.
    template <class T>
    static double logarithm(const l2o::Trajectory<T>& trajectory, std::int64_t row) {
        const double end = norm(trajectory, trajectory.len() - 1, row);
        return end == 0 ? -HUGE_VAL : std::log(end) - std::log(norm(trajectory, 0, row));
    }
};

}  // namespace

L2O_PLUGIN(l2o::Loss<ResidualRatio>)
