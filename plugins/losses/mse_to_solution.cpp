#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/numerics/sum.hpp>
#include <l2o/sdk/loss.hpp>
#include <numbers>
#include <string>

namespace {

struct MseToSolution {
    static constexpr l2o::About about{
        .id = "mse_to_solution",
        .version = "1.1.0",
        .title = "Squared distance to the solution",
        .doc =
            "1/2 ||x_T - x_star||^2, the training loss of the LISTA family (Chen, Liu, Wang & Yin "
            "2018), at the last point of a window (at last), or summed over all its points but the "
            "first, which belongs to the window before (at all), point t with the weight "
            "discount^(horizon - t). form decibel: 10 log10 of the mean square error over the mean "
            "square of x_star, each + 1e-10, the NMSE of every instance; a sample that is already good "
            "counts as much as a bad one. Several blocks count as one vector, in their order. Of a "
            "population, the mean over the particles.",
        .needs = "x_star"};

    enum class At { kLast, kAll };
    enum class Form { kSquared, kDecibel };
    At at = At::kLast;
    Form form = Form::kSquared;
    double discount = 1;

    static l2o::Options<MseToSolution> options() {
        l2o::Options<MseToSolution> options;
        options
            .choice("at",
                    &MseToSolution::at,
                    {"last", "all"},
                    "the last point of each window, or the sum over its points")
            .choice("form",
                    &MseToSolution::form,
                    {"squared", "decibel"},
                    "the squared distance, or its logarithm instance by instance")
            .real("discount",
                  &MseToSolution::discount,
                  "at all: weight of a point relative to that of the next one",
                  l2o::between(0, 1));
        return options;
    }

    void declare(l2o::LossSpec& spec) {
        x_star_ = spec.needs("x_star");
        std::int64_t n = 0;
        for (std::size_t k = 0; k < spec.blocks(); ++k) n += l2o::element_count(spec.block(k));
        if (const std::int64_t known = l2o::element_count(x_star_.spec()); known != n)
            l2o::refuse("x_star has " + std::to_string(known) + " numbers, and the variables " +
                        std::to_string(n) +
                        ": it is the solution for some of them; use another loss, for example "
                        "'residual_ratio'");
        spec.reads(L2O_LOSS_READS_X).windows();
        if (at == At::kAll) spec.additive();
    }

    template <class T>
    void eval(const l2o::Trajectory<T>& trajectory, const l2o::View<T>& per_row) const {
        l2o::fill(per_row, 0);
        for_each_row(trajectory, [&](const Row& row) {
            per_row[row.instance] += T(row.weight * score(distance(trajectory, row)));
        });
    }

    template <class T>
    void vjp(const l2o::Trajectory<T>& trajectory,
             const l2o::View<const T>& cot_row,
             const l2o::TrajectoryAcc<T>& acc) const {
        for_each_row(trajectory, [&](const Row& row) {
            const T factor =
                T(2 * row.weight * slope(distance(trajectory, row)) * double(cot_row[row.instance]));
            for_each_block(
                trajectory, row, [&](std::size_t block, std::size_t n, const T* x, const T* x_star) {
                    const auto cot_x = acc.x(block, row.point);
                    if (!cot_x) return;
                    T* const to = cot_x.row(row.row);
                    for (std::size_t i = 0; i < n; ++i) to[i] += factor * (x[i] - x_star[i]);
                });
        });
    }

  private:
    /// A row of all blocks at a point that counts.
    struct Row {
        std::int64_t point, row, instance;
        double weight;
    };
    /// ||x - x_star||^2 and ||x_star||^2 of a row, which has n entries.
    struct Distance {
        double error, power, n;
    };

    // The 1e-10 of the Open-L2O code keeps signals that are 0 finite, and the floor at about -90 dB.
    static constexpr double kFloor = 1e-10;
    [[nodiscard]] double score(const Distance& d) const {
        return form == Form::kSquared ? d.error / 2
                                      : 10 * std::log10((d.error / d.n + kFloor) / (d.power / d.n + kFloor));
    }
    /// d score / d error
    [[nodiscard]] double slope(const Distance& d) const {
        return form == Form::kSquared ? 0.5 : 10 * std::numbers::log10e / (d.error + kFloor * d.n);
    }

    template <class T>
    [[nodiscard]] Distance distance(const l2o::Trajectory<T>& trajectory, const Row& row) const {
        using l2o::numerics::sum_over;
        Distance d{};
        for_each_block(trajectory, row, [&](std::size_t, std::size_t n, const T* x, const T* x_star) {
            d.error += sum_over(
                n, [=](std::size_t i) { return double(x[i] - x_star[i]) * double(x[i] - x_star[i]); });
            d.power += sum_over(n, [=](std::size_t i) { return double(x_star[i]) * double(x_star[i]); });
            d.n += double(n);
        });
        return d;
    }

    /// body(block, entries, x, x_star)
    template <class T, class Body>
    void for_each_block(const l2o::Trajectory<T>& trajectory, const Row& row, Body&& body) const {
        const T* x_star = trajectory.data(x_star_).row(row.instance);
        for (std::size_t block = 0; block < trajectory.blocks(); ++block) {
            const auto x = trajectory.x(block, row.point);
            body(block, std::size_t(x.cols), x.row(row.row), x_star);
            x_star += x.cols;
        }
    }

    template <class T, class Body>
    void for_each_row(const l2o::Trajectory<T>& trajectory, Body&& body) const {
        check_size(trajectory);
        const std::int64_t particles = std::max<std::int64_t>(1, trajectory.raw().particles);
        for (std::int64_t j = at == At::kLast ? trajectory.len() - 1 : 1; j < trajectory.len(); ++j) {
            const double left = double(trajectory.horizon() - trajectory.t0() - j);
            const double weight =
                (at == At::kLast ? 1 : std::pow(discount, std::max(left, 0.0))) / double(particles);
            for (std::int64_t row = 0; row < trajectory.batch() * particles; ++row)
                body(Row{.point = j, .row = row, .instance = row / particles, .weight = weight});
        }
    }

    template <class T>
    void check_size(const l2o::Trajectory<T>& trajectory) const {
        const auto x_star = trajectory.data(x_star_);
        std::int64_t n = 0;
        for (std::size_t k = 0; k < trajectory.blocks(); ++k) n += trajectory.x(k, 0).cols;
        if (x_star.rows != trajectory.batch() || x_star.cols != n)
            l2o::invalid("x_star has " + std::to_string(x_star.rows) + " rows of " +
                         std::to_string(x_star.cols) + "; expected " + std::to_string(trajectory.batch()) +
                         " rows of " + std::to_string(n) + ", as the variables");
    }

    l2o::Need x_star_;
};

}  // namespace

L2O_PLUGIN(l2o::Loss<MseToSolution>)
