#include <cstdint>
#include <l2o/sdk/loss.hpp>

namespace {

struct JacobianRegularized {
    static constexpr l2o::About about{
        .id = "jacobian_regularized",
        .version = "1.0.0",
        .title = "Mean objective with a penalty on its gradient",
        .doc =
            "1/T sum over t = 1 .. T of f(x_t) + lambda ||g(x_t)||^2, T the horizon and g the gradient of f "
            "by all variables: the meta-loss of HALO (Li, Chen, You, Wang & Lin 2020), whose penalty asks "
            "for flat regions. Its derivative takes a product of the Hessian and g at every point, also "
            "with second_order drop. The first point of a window belongs to the window before. Of a "
            "population, the mean over the particles."};

    enum class Squares { kSum, kMean };
    double lambda = 1e-3;
    Squares squares = Squares::kSum;

    static l2o::Options<JacobianRegularized> options() {
        l2o::Options<JacobianRegularized> options;
        options.real("lambda", &JacobianRegularized::lambda, "weight of the penalty", l2o::kNonNegative)
            .choice("squares",
                    &JacobianRegularized::squares,
                    {"sum", "mean"},
                    "of the gradient, summed up over the variables or averaged");
        return options;
    }

    static void declare(l2o::LossSpec& spec) {
        spec.minimises().reads(L2O_LOSS_READS_F | L2O_LOSS_READS_G).additive();
    }

    template <class T>
    void eval(const l2o::Trajectory<T>& trajectory, const l2o::View<T>& per_row) const {
        l2o::fill(per_row, 0);
        const double penalty = penalty_of(trajectory);
        for_each_row(trajectory, [&](std::int64_t j, std::int64_t row, std::int64_t p, double weight) {
            const auto f = trajectory.f(j);
            double squares_of_row = 0;
            for (std::size_t k = 0; k < trajectory.blocks(); ++k) {
                const auto g = trajectory.g(k, j);
                const T* const values = g.row(row * f.cols + p);
                for (std::int64_t i = 0; i < g.cols; ++i)
                    squares_of_row += double(values[i]) * double(values[i]);
            }
            per_row[row] += T(weight * (double(f(row, p)) + penalty * squares_of_row));
        });
    }

    template <class T>
    void vjp(const l2o::Trajectory<T>& trajectory,
             const l2o::View<const T>& cot_row,
             const l2o::TrajectoryAcc<T>& acc) const {
        const double penalty = penalty_of(trajectory);
        for_each_row(trajectory, [&](std::int64_t j, std::int64_t row, std::int64_t p, double weight) {
            const double cot = weight * double(cot_row[row]);
            if (const auto cot_f = acc.f(j)) cot_f(row, p) += T(cot);
            const std::int64_t row_of_g = row * trajectory.f(j).cols + p;
            for (std::size_t k = 0; k < trajectory.blocks(); ++k) {
                const auto g = trajectory.g(k, j);
                const auto cot_g = acc.g(k, j);
                if (!cot_g) continue;
                for (std::int64_t i = 0; i < g.cols; ++i)
                    cot_g(row_of_g, i) += T(2 * cot * penalty * double(g(row_of_g, i)));
            }
        });
    }

  private:
    /// The factor of the sum of squares.
    template <class T>
    [[nodiscard]] double penalty_of(const l2o::Trajectory<T>& trajectory) const {
        if (squares == Squares::kSum) return lambda;
        std::int64_t n = 0;
        for (std::size_t k = 0; k < trajectory.blocks(); ++k) n += trajectory.g(k, 0).cols;
        return lambda / double(n);
    }

    /// body(point, row, particle, weight)
    template <class T, class Body>
    static void for_each_row(const l2o::Trajectory<T>& trajectory, Body&& body) {
        for (std::int64_t j = 1; j < trajectory.len(); ++j) {
            const auto f = trajectory.f(j);
            const double weight = 1 / (double(trajectory.horizon()) * double(f.cols));
            for (std::int64_t row = 0; row < f.rows; ++row)
                for (std::int64_t p = 0; p < f.cols; ++p) body(j, row, p, weight);
        }
    }
};

}  // namespace

L2O_PLUGIN(l2o::Loss<JacobianRegularized>)
