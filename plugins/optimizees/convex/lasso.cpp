#include <cmath>
#include <l2o/sdk/optimizee.hpp>
#include <string>

#include "l1_least_squares.hpp"
#include "lasso_minimum.hpp"

namespace {

// Tibshirani 1996. Instances as in Chen et al. 2021 (arXiv:2103.12828), section 4.1, the Lasso test.
class Lasso : public l2o::plugins::L1LeastSquares {
  public:
    static constexpr l2o::About about{
        .id = "lasso",
        .version = "1.0.0",
        .title = "Lasso",
        .doc =
            "f = 1/2 ||Ax - b||^2 + lambda ||x||_1, b = A x of a sparse x, A Gaussian with columns of "
            "norm 1; or A, also with its b, from a file. The solutions x_star and f_star are the minimiser "
            "and its value, certified by the "
            "duality gap to 1e-11 of it, in float64 for float32 problems as well; NaN where that cannot be "
            "done. relative_suboptimality is (f - f_star) / f_star; an instance with f_star = 0 "
            "(b = 0) counts with f. relative_loss is what the survey plots, the mean of f - f_star over the "
            "mean of f_star. Tibshirani 1996; Chen et al. 2021 "
            "(arXiv:2103.12828), section 4.1 and equation 19."};

    Lasso() : L1LeastSquares(25, 50, 0.005) {}
    static l2o::Options<Lasso> options() {
        return L1LeastSquares::options<Lasso>(
            "number of measurements, rows of A; 0: those of the matrix, else 25",
            "number of unknowns, columns of A; 0: those of the matrix, else 50");
    }

    void declare(l2o::OptimizeeSpec& spec) {
        declare_model(spec);
        x_star_ = spec.solution({.name = "x_star",
                                 .doc = "the minimiser; NaN where f_star is",
                                 .axes = "n",
                                 .shape = {n},
                                 .batched = true,
                                 .flags = L2O_SPEC_BY_SOLVE});
        f_star_ = spec.solution<double>(
            {.name = "f_star",
             .doc = "the minimum, to 1e-11 of it by the duality gap; NaN: not certified",
             .batched = true,
             .flags = L2O_SPEC_BY_SOLVE | L2O_SPEC_OPTIMUM});
        gap_ = spec.metric("duality_gap", "an upper bound of f - min f that needs no solution");
        suboptimality_ = spec.metric("suboptimality", "f - f_star", L2O_SPEC_NEEDS_SOLUTION);
        relative_ = spec.metric("relative_suboptimality", "(f - f_star) / f_star", L2O_SPEC_NEEDS_SOLUTION);
        loss_ = spec.ratio("relative_loss",
                           "the sum over instances of f - f_star over that of f_star",
                           L2O_SPEC_NEEDS_SOLUTION);
    }

    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        sample_model(draw, data, l2o::View<T>{}, [](const auto&, const auto&) {});
    }

    template <class T>
    void metrics(const l2o::EvalIn<T>& in, const l2o::MetricsOut<T>& out) const {
        const Eigen::MatrixXd a = l2o::numerics::matrix(in.data(a_)).template cast<double>();
        const double weight = double(in.data(lambda_).scalar());
        for (std::int64_t r = 0; r < in.rows(); ++r) {
            const std::int64_t instance = in.instance(r);
            const Eigen::VectorXd b = vector(in.data(b_), instance), x = vector(in.x(0), r);
            const Eigen::VectorXd residual = b - a * x;
            const l2o::plugins::LassoCertificate c =
                l2o::plugins::lasso_certificate<double>(a, b, weight, x, residual, residual);
            if (out[gap_]) out[gap_][r] = T(c.gap);
            if (!out[suboptimality_] && !out[relative_] && !out[loss_]) continue;
            const double f_star = in.data(f_star_)[instance];
            if (out[suboptimality_]) out[suboptimality_][r] = T(c.f - f_star);
            if (out[relative_]) out[relative_][r] = T((c.f - f_star) / (f_star > 0 ? f_star : 1));
            if (!out[loss_]) continue;
            out[loss_](r, 0) = T(c.f - f_star);
            out[loss_](r, 1) = T(f_star);
        }
    }

    /// Every instance by itself: its solution does not depend on the others. NaN where it is not certified.
    template <class T>
    void solve(const l2o_call& call, const l2o::DataIn<T>& data, const l2o::DataOut<T>& solution) const {
        const l2o::plugins::LassoMinimum minimum(l2o::numerics::matrix(data[a_]).template cast<double>(),
                                                 double(data[lambda_].scalar()));
        for (std::int64_t r = 0; r < data[b_].rows; ++r) {
            auto [x, certificate] = minimum(call, vector(data[b_], r));
            if (!(certificate.gap <= l2o::plugins::LassoMinimum::kTolerance * certificate.f)) {
                x.setConstant(NAN);
                certificate.f = NAN;
            }
            if (const auto to = solution[x_star_])
                l2o::numerics::row_vector(to.row(r), n) = x.transpose().template cast<T>();
            if (const auto to = solution[f_star_]) to[r] = certificate.f;
        }
    }

  private:
    template <class T>
    static Eigen::VectorXd vector(const l2o::View<const T>& rows, std::int64_t r) {
        return l2o::numerics::row_vector(rows.row(r), rows.cols).transpose().template cast<double>();
    }

    l2o::DataOf<double> f_star_;
    l2o::Metric gap_, suboptimality_, relative_, loss_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<Lasso>)
