#include <algorithm>
#include <cstdint>
#include <l2o/sdk/loss.hpp>
#include <string>

namespace {

struct MseToSolution {
    static constexpr l2o::About about{
        .id = "mse_to_solution",
        .version = "1.0.0",
        .title = "Squared distance to the solution",
        .doc =
            "1/2 ||x_T - x_star||^2, the training loss of the LISTA family (Chen, Liu, Wang & Yin "
            "2018), at the last point of a window (at last), or summed over all its points but the "
            "first, which belongs to the window before (at all). Several blocks count as one vector, in "
            "their order. Of a population, the mean over the particles.",
        .needs = "x_star"};

    enum class At { kLast, kAll };
    At at = At::kLast;

    static l2o::Options<MseToSolution> options() {
        l2o::Options<MseToSolution> options;
        options.choice("at",
                       &MseToSolution::at,
                       {"last", "all"},
                       "the last point of each window, or the sum over its points");
        return options;
    }

    static void declare(l2o_loss_info& info) {
        info.needs = L2O_LOSS_NEEDS_X;
        info.flags |= L2O_ADDITIVE;
    }

    template <class T>
    void eval(const l2o::Trajectory<const T>& trajectory, const l2o::View<T>& per_row) const {
        l2o::fill(per_row, 0);
        for_each_row(trajectory, [&](const Row<T>& r) {
            T sum = 0;
            for (std::int64_t i = 0; i < r.n; ++i) sum += (r.x[i] - r.x_star[i]) * (r.x[i] - r.x_star[i]);
            per_row[r.instance] += r.weight * sum / 2;
        });
    }

    template <class T>
    void vjp(const l2o::Trajectory<const T>& trajectory,
             const l2o::View<const T>& cot_row,
             const l2o::Trajectory<T>& acc) const {
        for_each_row(trajectory, [&](const Row<T>& r) {
            const auto cot_x = acc.x(r.block, r.point);
            if (!cot_x) return;
            const T weight = r.weight * cot_row[r.instance];
            for (std::int64_t i = 0; i < r.n; ++i) cot_x(r.row, i) += weight * (r.x[i] - r.x_star[i]);
        });
    }

  private:
    /// A row of a block at a point that counts, and what it is compared with.
    template <class T>
    struct Row {
        std::int64_t point;
        std::size_t block;
        std::int64_t row, instance;
        const T *x, *x_star;
        std::int64_t n;
        T weight;  ///< 1 / particles
    };

    template <class T, class Body>
    void for_each_row(const l2o::Trajectory<const T>& trajectory, Body&& body) const {
        const auto x_star = trajectory.data(0);
        check_size(trajectory, x_star);
        const std::int64_t particles = std::max<std::int64_t>(1, trajectory.raw().particles);
        for (std::int64_t j = at == At::kLast ? trajectory.len() - 1 : 1; j < trajectory.len(); ++j) {
            std::int64_t offset = 0;  // of the block in x_star
            for (std::size_t k = 0; k < trajectory.blocks(); ++k) {
                const auto x = trajectory.x(k, j);
                for (std::int64_t r = 0; r < x.rows; ++r) {
                    const std::int64_t instance = r / particles;
                    body(Row<T>{.point = j,
                                .block = k,
                                .row = r,
                                .instance = instance,
                                .x = x.row(r),
                                .x_star = x_star.row(instance) + offset,
                                .n = x.cols,
                                .weight = 1 / T(particles)});
                }
                offset += x.cols;
            }
        }
    }

    template <class T>
    static void check_size(const l2o::Trajectory<const T>& trajectory, const l2o::View<const T>& x_star) {
        std::int64_t n = 0;
        for (std::size_t k = 0; k < trajectory.blocks(); ++k) n += trajectory.x(k, 0).cols;
        if (x_star.rows != trajectory.batch() || x_star.cols != n)
            l2o::invalid("x_star has " + std::to_string(x_star.rows) + " rows of " +
                         std::to_string(x_star.cols) + "; expected " + std::to_string(trajectory.batch()) +
                         " rows of " + std::to_string(n) + ", as the variables");
    }
};

}  // namespace

L2O_PLUGIN(l2o::Loss<MseToSolution>)
