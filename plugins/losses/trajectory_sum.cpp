#include <cstdint>
#include <l2o/sdk/loss.hpp>

namespace {

struct TrajectorySum {
    static constexpr l2o::About about{
        .id = "trajectory_sum",
        .version = "1.0.0",
        .title = "Weighted sum of the objective along the trajectory",
        .doc =
            "sum over t of w_t f(x_t), t = 1 .. T. weights uniform: w_t = 1, the loss of L2O-DM "
            "(Andrychowicz et al. 2016, equation 3). weights last: w_t = 1 at the last point of every "
            "window and 0 elsewhere, the recipe of RNNProp (Lv, Jiang & Li 2017). The first point of a "
            "window does not count: it is the last one of the window before, or the start, which "
            "nothing learned has touched. Of a population, the mean over the particles."};

    enum class Weights { kUniform, kLast };
    Weights weights = Weights::kUniform;

    static l2o::Options<TrajectorySum> options() {
        l2o::Options<TrajectorySum> options;
        options.choice("weights",
                       &TrajectorySum::weights,
                       {"uniform", "last"},
                       "every point, or the last one of each window");
        return options;
    }

    void declare(l2o::LossSpec& spec) const {
        spec.minimises().reads(L2O_LOSS_READS_F).windows();
        if (weights == Weights::kUniform) spec.additive();
    }

    template <class T>
    void eval(const l2o::Trajectory<T>& trajectory, const l2o::View<T>& per_row) const {
        l2o::fill(per_row, 0);
        for (std::int64_t j = first_point(trajectory); j < trajectory.len(); ++j) {
            const auto f = trajectory.f(j);
            for (std::int64_t row = 0; row < f.rows; ++row)
                for (std::int64_t p = 0; p < f.cols; ++p) per_row[row] += f(row, p) / T(f.cols);
        }
    }

    template <class T>
    void vjp(const l2o::Trajectory<T>& trajectory,
             const l2o::View<const T>& cot_row,
             const l2o::TrajectoryAcc<T>& acc) const {
        for (std::int64_t j = first_point(trajectory); j < trajectory.len(); ++j) {
            const auto cot_f = acc.f(j);
            for (std::int64_t row = 0; row < cot_f.rows; ++row)
                for (std::int64_t p = 0; p < cot_f.cols; ++p) cot_f(row, p) += cot_row[row] / T(cot_f.cols);
        }
    }

  private:
    template <class T>
    [[nodiscard]] std::int64_t first_point(const l2o::Trajectory<T>& trajectory) const {
        return weights == Weights::kLast ? trajectory.len() - 1 : 1;
    }
};

}  // namespace

L2O_PLUGIN(l2o::Loss<TrajectorySum>)
