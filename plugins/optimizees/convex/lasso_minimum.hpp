#pragma once

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/numerics/lipschitz.hpp>
#include <l2o/numerics/soft_threshold.hpp>
#include <l2o/sdk/failure.hpp>
#include <limits>
#include <vector>

namespace l2o::plugins {

/// A bound of the minimum of f(x) = 1/2 ||Ax - b||^2 + lambda ||x||_1 by a point and a dual point: the dual
/// is max <y, b> - 1/2 ||y||^2 with ||A^T y||_inf <= lambda, so gap >= f - min f >= 0, to rounding.
struct LassoCertificate {
    double f = 0, gap = 0;
};

/// At x and y min(1, lambda / ||A^T y||_inf), in the scalar of the arguments.
/// @param residual  b - A x.
template <class Scalar>
LassoCertificate lasso_certificate(const Eigen::MatrixX<Scalar>& a,
                                   const Eigen::VectorX<Scalar>& b,
                                   Scalar lambda,
                                   const Eigen::VectorX<Scalar>& x,
                                   const Eigen::VectorX<Scalar>& residual,
                                   const Eigen::VectorX<Scalar>& y) {
    const Scalar correlation = (a.transpose() * y).template lpNorm<Eigen::Infinity>();
    const Scalar scale = correlation > lambda ? lambda / correlation : Scalar(1);
    const Scalar f = residual.squaredNorm() / 2 + lambda * x.template lpNorm<1>();
    // <y, b> - 1/2 ||y||^2 is 1/2 ||b||^2 - 1/2 ||b - y||^2 without its cancellation.
    return {double(f), double(f - (scale * y.dot(b) - scale * scale * y.squaredNorm() / 2))};
}

/// The minimum of a Lasso for one A and any b, certified: gap <= kTolerance f.
/// FISTA (Beck & Teboulle 2009) with the gradient restart of O'Donoghue & Candes 2015, section 3.2, in
/// double. What it leaves open, as it does on ill-conditioned A, an active-set search finishes: on the
/// columns of the non-zero entries, with their signs, the minimum is the solution of a triangular system; an
/// entry that changes its sign on the way there leaves the set, the worst one that breaks |a_j^T (b - A x)|
/// <= lambda enters it (Lee, Battle, Raina & Ng 2006, algorithm 1, with the first crossing for the line
/// search). In long double, with the dual point of the QR factors: b - A x of rounded x is too coarse where
/// lambda is small.
class LassoMinimum {
  public:
    static constexpr double kTolerance = 1e-11;

    struct Point {
        Eigen::VectorXd x;
        LassoCertificate certificate;
        [[nodiscard]] bool is_certified() const {
            return std::isfinite(certificate.f) && certificate.gap <= kTolerance * certificate.f;
        }
    };

    LassoMinimum(const Eigen::MatrixXd& a, double lambda)
        : unit_(numerics::unit_scale(a)),
          lambda_(lambda),
          a_(unit_ * a),
          l_(numerics::lipschitz_constant(a_)) {}

    /// The best point that is found, certified or not. Does not depend on other instances.
    /// @throw Failure L2O_STATUS_CANCELLED.
    [[nodiscard]] Point operator()(const l2o_call& call, const Eigen::VectorXd& b) const {
        // Of the problem with entries of A and b about 1, whose squares are numbers.
        const double unit_b = numerics::unit_scale(b);
        Point best = minimise(call, unit_b * b, lambda_ * unit_ * unit_b);
        best.x *= unit_ / unit_b;
        best.certificate.f = best.certificate.f / unit_b / unit_b;
        best.certificate.gap = best.certificate.gap / unit_b / unit_b;
        if (!best.x.allFinite()) best.certificate.gap = INFINITY;
        return best;
    }

  private:
    static void check_cancelled(const l2o_call& call) {
        if (call.cancel != nullptr && *call.cancel != 0) throw Failure(L2O_STATUS_CANCELLED, "cancelled");
    }

    using Wide = long double;
    using Vector = Eigen::VectorX<Wide>;
    using Matrix = Eigen::MatrixX<Wide>;

    struct ActiveSet {
        Vector x, dual;  ///< dual: b - A x of the unrounded x, as the factors have it

        ActiveSet(const l2o_call& call, const Matrix& a, const Vector& b, Wide lambda, const Vector& from)
            : x(from), dual(b - a * from) {
            // Rounding of the correlations; chosen: far below what the certificate asks for.
            const Wide slack = 1 + Wide(1e4) * std::numeric_limits<Wide>::epsilon();
            std::vector<Eigen::Index> active;
            std::vector<Wide> sign;
            for (Eigen::Index j = 0; j < x.size(); ++j)
                if (x[j] != 0) {
                    active.push_back(j);
                    sign.push_back(x[j] > 0 ? 1 : -1);
                }
            Eigen::Index entered = -1;
            const Eigen::Index max_steps = 4 * (a.rows() + a.cols()) + 100;
            for (Eigen::Index step = 0; step < max_steps; ++step) {
                check_cancelled(call);
                const auto k = static_cast<Eigen::Index>(active.size());
                Matrix columns(a.rows(), k);
                Vector now(k), signs(k);
                for (Eigen::Index i = 0; i < k; ++i) {
                    const auto at = static_cast<std::size_t>(i);
                    columns.col(i) = a.col(active[at]);
                    now[i] = x[active[at]];
                    signs[i] = sign[at];
                }
                Vector reached = b;   // b - A x at its end
                Vector direction(k);  // from here along it the objective falls, up to `full` of it
                Wide full = 1;
                if (k > 0) {
                    const Eigen::ColPivHouseholderQR<Matrix> qr(columns);
                    const Eigen::Index rank = qr.rank();
                    const auto r = qr.matrixQR().topLeftCorner(rank, rank).triangularView<Eigen::Upper>();
                    if (rank < k) {
                        // A combination of columns that is 0: along it ||x||_1 alone changes.
                        Vector kernel = Vector::Zero(k);
                        kernel.head(rank) = -r.solve(qr.matrixQR().col(rank).head(rank).eval());
                        kernel[rank] = 1;
                        direction = qr.colsPermutation() * kernel;
                        if (signs.dot(direction) > 0) direction = -direction;
                        full = std::numeric_limits<Wide>::infinity();
                    } else {
                        const Vector w =
                            r.transpose().solve((qr.colsPermutation().transpose() * signs).eval());
                        Vector z = qr.householderQ().transpose() * b;
                        const Vector solved = r.solve((z.head(k) - lambda * w).eval());
                        direction = qr.colsPermutation() * solved - now;
                        z.head(k) = lambda * w;
                        reached = qr.householderQ() * z;
                    }
                }
                // The first entry that would change its sign.
                Eigen::Index leaving = -1;
                Wide length = full;
                for (Eigen::Index i = 0; i < k; ++i) {
                    if (signs[i] * direction[i] >= 0) continue;
                    const Wide crossing = -now[i] / direction[i];
                    if (crossing < length || (crossing == length && leaving < 0)) {
                        length = std::max(crossing, Wide(0));
                        leaving = i;
                    }
                }
                if (!std::isfinite(length)) return;
                for (Eigen::Index i = 0; i < k; ++i)
                    x[active[static_cast<std::size_t>(i)]] =
                        i == leaving ? 0 : now[i] + length * direction[i];
                if (leaving >= 0) {
                    const bool is_stuck = length == 0 && active[static_cast<std::size_t>(leaving)] == entered;
                    active.erase(active.begin() + leaving);
                    sign.erase(sign.begin() + leaving);
                    if (is_stuck) return;
                    continue;
                }
                dual = reached;
                Vector correlation = a.transpose() * dual;
                for (const Eigen::Index j : active) correlation[j] = 0;
                if (correlation.size() == 0 || !(correlation.cwiseAbs().maxCoeff(&entered) > lambda * slack))
                    return;
                active.push_back(entered);
                sign.push_back(correlation[entered] > 0 ? 1 : -1);
            }
        }
    };

    [[nodiscard]] Point minimise(const l2o_call& call, const Eigen::VectorXd& b, double lambda) const {
        constexpr int kMaxSteps = 200000, kStepsPerCheck = 20, kFirstSearch = 20000;
        Eigen::VectorXd x = Eigen::VectorXd::Zero(a_.cols()), y = x, x_next(a_.cols());
        Point best;
        double t = 1;
        for (int step = 0; step <= kMaxSteps; ++step) {
            if (step % kStepsPerCheck == 0) {
                check_cancelled(call);
                const Eigen::VectorXd residual = b - a_ * x;
                const LassoCertificate c = lasso_certificate<double>(a_, b, lambda, x, residual, residual);
                if (step == 0 || c.f < best.certificate.f) best = {x, c};
                if (c.gap <= kTolerance * c.f) return {x, c};
            }
            if (step == kFirstSearch || step == kMaxSteps) {
                const Point found = search(call, b, lambda, best.x);
                if (found.is_certified()) return found;
                if (found.certificate.f < best.certificate.f) best = found;
            }
            x_next.noalias() = y - a_.transpose() * (a_ * y - b) / l_;
            x_next = x_next.unaryExpr([&](double z) { return numerics::soft_threshold(z, lambda / l_); });
            if ((y - x_next).dot(x_next - x) > 0) t = 1;
            const double t_next = (1 + std::sqrt(1 + 4 * t * t)) / 2;
            y = x_next + (t - 1) / t_next * (x_next - x);
            x.swap(x_next);
            t = t_next;
        }
        return best;
    }

    [[nodiscard]] Point search(const l2o_call& call,
                               const Eigen::VectorXd& b,
                               double lambda,
                               const Eigen::VectorXd& from) const {
        const Matrix a = a_.cast<Wide>();
        const Vector b_wide = b.cast<Wide>();
        const ActiveSet fine(call, a, b_wide, lambda, from.cast<Wide>());
        const Eigen::VectorXd x = fine.x.cast<double>();
        const Vector rounded = x.cast<Wide>(), residual = b_wide - a * rounded;
        return {x, lasso_certificate<Wide>(a, b_wide, lambda, rounded, residual, fine.dual)};
    }

    double unit_, lambda_;
    Eigen::MatrixXd a_;
    double l_;
};

}  // namespace l2o::plugins
