#include <algorithm>
#include <cmath>
#include <l2o/numerics/lipschitz.hpp>
#include <l2o/sdk/optimizee.hpp>
#include <string>

#include "l1_least_squares.hpp"

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
            "duality gap. relative_suboptimality is (f - f_star) / f_star; an instance with f_star = 0 "
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
        spec.solution({.name = "x_star",
                       .doc = "the minimiser",
                       .axes = "n",
                       .shape = {n},
                       .batched = true,
                       .flags = L2O_DATA_BY_SOLVE});
        spec.solution({.name = "f_star", .doc = "the minimum", .batched = true, .flags = L2O_DATA_BY_SOLVE});
        spec.metric("duality_gap", "an upper bound of f - min f that needs no solution");
        spec.metric("suboptimality", "f - f_star", L2O_METRIC_NEEDS_SOLUTION);
        spec.metric("relative_suboptimality", "(f - f_star) / f_star", L2O_METRIC_NEEDS_SOLUTION);
        spec.ratio("relative_loss",
                   "the sum over instances of f - f_star over that of f_star",
                   L2O_METRIC_NEEDS_SOLUTION);
    }

    template <class T>
    void sample(const l2o::Draw& draw, const l2o::Tensors<T>& data) const {
        sample_model(draw, data, l2o::View<T>{}, [](const auto&, const auto&) {});
    }

    template <class T>
    void metrics(const l2o::EvalIn<T>& in, const l2o::Tensors<T>& out) const {
        const Eigen::MatrixXd a = l2o::numerics::matrix(in.data(kA)).template cast<double>();
        const double weight = double(in.data(kLambda).scalar());
        for (std::int64_t r = 0; r < in.rows(); ++r) {
            const std::int64_t instance = in.instance(r);
            const Certificate c = certify(a, vector(in.data(kB), instance), weight, vector(in.x(0), r));
            if (out[0]) out[0][r] = T(c.gap);
            if (!out[1] && !out[2] && !out[3]) continue;
            const double f_star = double(in.data(kFStar)[instance]);
            if (out[1]) out[1][r] = T(c.f - f_star);
            if (out[2]) out[2][r] = T((c.f - f_star) / (f_star > 0 ? f_star : 1));
            if (!out[3]) continue;
            out[3](r, 0) = T(c.f - f_star);
            out[3](r, 1) = T(f_star);
        }
    }

    /// FISTA (Beck & Teboulle 2009) with the gradient restart of O'Donoghue & Candes 2015, section 3.2, in
    /// double for both element types, until the duality gap is 1e-11 of f. Every instance by itself: its
    /// solution does not depend on the others.
    template <class T>
    void solve(const l2o_call& call,
               const l2o::Tensors<const T>& data,
               const l2o::Tensors<T>& solution) const {
        const Eigen::MatrixXd a = l2o::numerics::matrix(data[kA]).template cast<double>();
        const double weight = double(data[kLambda].scalar()), l = l2o::numerics::lipschitz_constant(a);
        for (std::int64_t r = 0; r < data[kB].rows; ++r) {
            const auto [x, f] = minimise(call, a, vector(data[kB], r), weight, l);
            if (const auto to = solution[kXStar])
                l2o::numerics::row_vector(to.row(r), n) = x.transpose().template cast<T>();
            if (const auto to = solution[kFStar]) to[r] = T(f);
        }
    }

  private:
    enum { kFStar = kXStar + 1 };
    struct Certificate {
        double f, gap;
    };
    struct Minimum {
        Eigen::VectorXd x;
        double f;
    };

    template <class T>
    static Eigen::VectorXd vector(const l2o::View<const T>& rows, std::int64_t r) {
        return l2o::numerics::row_vector(rows.row(r), rows.cols).transpose().template cast<double>();
    }

    /// f and f - d at the dual point r min(1, lambda / ||A^T r||_inf), r = b - A x; the dual is
    /// max 1/2 ||b||^2 - 1/2 ||b - y||^2 with ||A^T y||_inf <= lambda, so gap >= f - min f >= 0.
    static Certificate certify(const Eigen::MatrixXd& a,
                               const Eigen::VectorXd& b,
                               double weight,
                               const Eigen::VectorXd& x) {
        const Eigen::VectorXd residual = b - a * x;
        const double correlation = (a.transpose() * residual).lpNorm<Eigen::Infinity>();
        const double scale = correlation > weight ? weight / correlation : 1;
        const double square = residual.squaredNorm();
        const double f = square / 2 + weight * x.lpNorm<1>();
        // <y, b> - 1/2 ||y||^2 is the same number without the cancellation of two squares near ||b||^2.
        return {f, f - (scale * residual.dot(b) - scale * scale * square / 2)};
    }

    [[nodiscard]] Minimum minimise(const l2o_call& call,
                                   const Eigen::MatrixXd& a,
                                   const Eigen::VectorXd& b,
                                   double weight,
                                   double l) const {
        constexpr double kRelativeGap = 1e-11;
        constexpr int kMaxSteps = 200000, kStepsPerCheck = 20;
        Eigen::VectorXd x = Eigen::VectorXd::Zero(n), y = x, x_next(n);
        Minimum best{x, certify(a, b, weight, x).f};
        double t = 1;
        for (int step = 0; step < kMaxSteps; ++step) {
            if (step % kStepsPerCheck == 0) {
                if (call.cancel != nullptr && *call.cancel != 0)
                    throw l2o::Failure(L2O_CANCELLED, "cancelled");
                const Certificate c = certify(a, b, weight, x);
                if (c.f < best.f) best = {x, c.f};
                if (c.gap <= kRelativeGap * c.f) return {x, best.f};
            }
            x_next.noalias() = y - a.transpose() * (a * y - b) / l;
            x_next = x_next.unaryExpr([&](double z) { return l2o::numerics::soft_threshold(z, weight / l); });
            if ((y - x_next).dot(x_next - x) > 0) t = 1;
            const double t_next = (1 + std::sqrt(1 + 4 * t * t)) / 2;
            y = x_next + (t - 1) / t_next * (x_next - x);
            x.swap(x_next);
            t = t_next;
        }
        return best;
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<Lasso>)
