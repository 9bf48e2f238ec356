#include <cmath>
#include <l2o/sdk/optimizee.hpp>

#include "l1_least_squares.hpp"

namespace {

// Chen et al. 2021, "Learning to optimize: a primer and a benchmark" (arXiv:2103.12828), section 4.1, the
// sparse recovery test: b = A x_star + noise, and the optimizer is scored by its distance to x_star. The
// objective is the Lasso, whose minimiser is not x_star: f and g do not leak the answer.
class SparseRecovery : public l2o::plugins::L1LeastSquares {
  public:
    static constexpr l2o::About about{
        .id = "sparse_recovery",
        .version = "1.0.0",
        .title = "Sparse recovery from few measurements",
        .doc =
            "f = 1/2 ||Ax - b||^2 + lambda ||x||_1 with b = A x_star + noise, A Gaussian with columns "
            "of norm 1, x_star sparse. The answer is x_star, not the minimiser of f: score with "
            "nmse_db, the mean over instances of decibels, or nmse_pooled_db, the decibels of the means, "
            "which "
            "the hardest instances decide; train with a distance to x_star. A and the instances may come "
            "from "
            "files. Chen et al. 2021 "
            "(arXiv:2103.12828), section "
            "4.1."};

    double snr_db = 0;

    // lambda chosen on 128 instances: FISTA is at -7.5, -10.6, -11.2, -7.6 dB after 16 steps with lambda
    // 0.05, 0.1, 0.2, 0.4, and at -22.6, -17.1, -12.0, -7.4 dB in the limit.
    SparseRecovery() : L1LeastSquares(256, 512, 0.1) {}
    static l2o::Options<SparseRecovery> options() {
        l2o::Options<SparseRecovery> options = L1LeastSquares::options<SparseRecovery>(
            "number of measurements, rows of A; 0: those of the matrix, else 256",
            "number of unknowns, columns of A; 0: those of the matrix, else 512");
        options.real("snr_db",
                     &SparseRecovery::snr_db,
                     "signal-to-noise ratio of every instance in dB; 0: no noise",
                     l2o::kNonNegative);
        return options;
    }

    void declare(l2o::OptimizeeSpec& spec) {
        if (snr_db > 0 && !data_file.empty())
            l2o::invalid("snr_db adds noise to instances that are drawn; leave it out beside 'data'");
        declare_model(spec);
        x_star_ = spec.solution({.name = "x_star",
                                 .doc = "the signal that was measured",
                                 .axes = "n",
                                 .shape = {n},
                                 .batched = true});
        nmse_ = spec.metric("nmse_db",
                            "10 log10 of the mean square error over the mean square of x_star, each + 1e-10",
                            L2O_SPEC_NEEDS_SOLUTION);
        pooled_ =
            spec.ratio("nmse_pooled_db",
                       "10 log10 of the sum over instances of ||x - x_star||^2 over that of ||x_star||^2",
                       L2O_SPEC_NEEDS_SOLUTION | L2O_SPEC_DECIBEL);
    }

    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        sample_model(draw, data, data[x_star_], [this](l2o::numerics::Stream noise, Eigen::VectorXd& b) {
            if (snr_db == 0 || std::isinf(snr_db)) return;
            // The signal's power is its variance over the m entries, as in the code of Liu et al. 2019
            // (ALISTA).
            const double power = (b.array() - b.mean()).square().mean();
            const double deviation = std::sqrt(power) * std::pow(10, -snr_db / 20);
            for (double& b_i : b) b_i += deviation * noise.normal();
        });
    }

    /// The 1e-10 of the Open-L2O code keeps signals that are 0 finite, and the floor at about -90 dB.
    template <class T>
    void metrics(const l2o::EvalIn<T>& in, const l2o::MetricsOut<T>& out) const {
        if (!out[nmse_] && !out[pooled_]) return;
        const l2o::View<const T> x = in.x(0), x_star = in.data(x_star_);
        for (std::int64_t r = 0; r < in.rows(); ++r) {
            const auto want =
                l2o::numerics::row_vector(x_star.row(in.instance(r)), n).template cast<double>();
            const auto got = l2o::numerics::row_vector(x.row(r), n).template cast<double>();
            const double error = (got - want).squaredNorm(), power = want.squaredNorm();
            if (out[nmse_])
                out[nmse_][r] = T(10 * std::log10((error / double(n) + 1e-10) / (power / double(n) + 1e-10)));
            if (!out[pooled_]) continue;
            out[pooled_](r, 0) = T(error);
            out[pooled_](r, 1) = T(power);
        }
    }

  private:
    l2o::Metric nmse_, pooled_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<SparseRecovery>)
