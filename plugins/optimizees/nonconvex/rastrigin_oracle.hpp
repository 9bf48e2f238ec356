#pragma once

#include <l2o/abi/call.h>

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/failure.hpp>
#include <limits>
#include <numbers>
#include <utility>

namespace l2o::plugins {

/// The least value that many searches find of
///   f(x) = 1/2 x^T G x - q^T x - sum_i a_i cos(2 pi x_i / period),   |x_i| <= box,
/// G positive definite. Whole periods leave the cosines as they are, so that the effect of moving by them is
/// that on the quadratic, in closed form. A search goes down coordinate by coordinate, each to its global
/// minimum given the others; where that ends, by whole periods along the vectors of two lattice bases, one
/// or two at once: the unit vectors, and a basis whose vectors are short where the quadratic is flat.
/// Without the second one searches end in other wells, the more so the larger n is. Newton's method ends it.
/// After "run and inspect" (Chen, Sun & Yin 2017, arXiv:1711.08172), which samples where this one computes.
class RastriginOracle {
  public:
    struct Point {
        Eigen::VectorXd x;
        double f = std::numeric_limits<double>::infinity();
    };

    /// @param box  infinite: none.
    RastriginOracle(Eigen::MatrixXd g, Eigen::VectorXd q, Eigen::VectorXd a, double period, double box)
        : g_(std::move(g)),
          q_(std::move(q)),
          a_(std::move(a)),
          period_(period),
          box_(box),
          omega_(2 * std::numbers::pi / period),
          is_steep_(g_.diagonal().maxCoeff() > omega_ * omega_ * a_.cwiseAbs().maxCoeff()),
          unit_(Moves(Eigen::MatrixXd::Identity(g_.rows(), g_.cols()), g_, period)),
          flat_(Moves(reduced_basis(), g_, period)) {}

    /// Of searches from so many starts. The starts are the same for every problem of this size, and more of
    /// them begin with those of fewer.   @pre starts >= 1
    /// @throw Failure L2O_STATUS_CANCELLED.
    [[nodiscard]] Point operator()(const l2o_call& call, std::int64_t starts) const {
        Point best;
        for (std::int64_t s = 0; s < starts; ++s) {
            if (call.cancel != nullptr && *call.cancel != 0) throw Failure(L2O_STATUS_CANCELLED, "cancelled");
            Point found = search(start(s));
            if (found.f < best.f || s == 0) best = std::move(found);
        }
        return polished(std::move(best));
    }

    /// f(x).
    [[nodiscard]] double value(const Eigen::VectorXd& x) const {
        double f = x.dot(g_ * x / 2 - q_);
        for (Eigen::Index i = 0; i < x.size(); ++i) f -= a_[i] * std::cos(omega_ * x[i]);
        return f;
    }

  private:
    /// Moves by whole periods along one or two vectors of a basis, and half their square in G.
    struct Moves {
        Moves(Eigen::MatrixXd vectors, const Eigen::MatrixXd& g, double period)
            : basis(period * std::move(vectors)) {
            const Eigen::MatrixXd product = basis.transpose() * g * basis;
            single = product.diagonal() / 2;
            sum = product;
            for (Eigen::Index i = 0; i < basis.cols(); ++i) sum.row(i).array() += single[i];
            for (Eigen::Index j = 0; j < basis.cols(); ++j) sum.col(j).array() += single[j];
            difference = sum - 2 * product;
        }
        Eigen::MatrixXd basis;
        Eigen::VectorXd single;
        Eigen::MatrixXd sum, difference;  ///< of vectors i and j
    };

    /// By turns from N(0, I), from N(0, 3^2 I), and around the minimum of the quadratic with a ridge: that
    /// without one may be far out along a direction in which the quadratic is flat.
    [[nodiscard]] Eigen::VectorXd start(std::int64_t s) const {
        numerics::Stream draws(numerics::Key{0, 0}, static_cast<std::uint64_t>(s));
        Eigen::VectorXd x(q_.size());
        for (double& x_i : x) x_i = draws.normal();
        if (s % 3 == 1) x *= 3;
        if (s % 3 == 2) {
            Eigen::MatrixXd ridged = g_;
            const double least = is_steep_ ? -9 : -3;  // the bottom of a steep valley may be far out
            ridged.diagonal().array() +=
                std::pow(10, (3 - least) * draws.uniform() + least) * g_.diagonal().mean();
            x += ridged.ldlt().solve(q_);
        }
        return period_ * x.cwiseMax(-box_ / period_).cwiseMin(box_ / period_);
    }

    [[nodiscard]] Point search(Eigen::VectorXd x) const {
        Eigen::VectorXd r = g_ * x - q_;  // the gradient of the quadratic
        for (int round = 0; round < kMostRounds; ++round) {
            if (!descend(x, r) || is_steep_) {
                x = polished({x, value(x)}).x;
                r = g_ * x - q_;
            }
            if (!take_moves(x, r)) break;
        }
        const double f = value(x);
        return {std::move(x), f};
    }

    /// @return false: it goes down slowly, along a valley that lies across the coordinates
    bool descend(Eigen::VectorXd& x, Eigen::VectorXd& r) const {
        for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
            double longest = 0;
            for (Eigen::Index i = 0; i < x.size(); ++i) {
                const double by = best_of_line(i, x[i] - r[i] / g_(i, i)) - x[i];
                x[i] += by;
                r += by * g_.col(i);
                longest = std::max(longest, std::abs(by));
            }
            if (!(longest > kSettled * period_)) return true;
        }
        return false;
    }

    /// The t of least phi(t) = 1/2 g (t - target)^2 - a cos(omega t) within the box, g = G_ii, a = a_i.
    /// Without the box: a whole period nearer to the target is lower, so t is no more than half of one away,
    /// and lies between the target and the bottom of the ripple that is nearest to it.
    [[nodiscard]] double best_of_line(Eigen::Index i, double target) const {
        const double phase = a_[i] < 0 ? period_ / 2 : 0;
        const auto bottom_by = [&](double t) { return std::round((t - phase) / period_) * period_ + phase; };
        const double free = root_from(i, bottom_by(target), target);
        if (std::abs(free) <= box_) return free;
        // The edge, or a well inside: the last one may have its lowest point beyond the edge.
        const double edge = std::copysign(box_, free);
        double best = edge, least = on_line(i, edge, target);
        for (int wells = 0; wells < 3; ++wells) {
            const double t = root_from(i, bottom_by(edge) - wells * std::copysign(period_, edge), target);
            if (const double f = on_line(i, t, target); std::abs(t) <= box_ && f < least) best = t, least = f;
        }
        return best;
    }
    [[nodiscard]] double on_line(Eigen::Index i, double t, double target) const {
        return g_(i, i) * (t - target) * (t - target) / 2 - a_[i] * std::cos(omega_ * t);
    }

    /// The root of phi' that is next to a bottom, towards the target. On the half period from there phi' is
    /// concave in the distance u and begins negative, so that Newton's method from u = 0 does not pass it.
    [[nodiscard]] double root_from(Eigen::Index i, double bottom, double target) const {
        const double g = g_(i, i), force = omega_ * std::abs(a_[i]), way = std::abs(target - bottom);
        double u = 0;
        for (int k = 0; k < kMostNewton && u < period_ / 2; ++k) {
            const double slope = g * (u - way) + force * std::sin(omega_ * u);
            const double by = -slope / (g + force * omega_ * std::cos(omega_ * u));
            if (!(by > kRounding * period_)) break;
            u += by;
        }
        return bottom + std::copysign(u, target - bottom);
    }

    /// The best move of either basis, again and again.   @return false: none is lower
    bool take_moves(Eigen::VectorXd& x, Eigen::VectorXd& r) const {
        for (bool has_moved = false;; has_moved = true) {
            Eigen::VectorXd move;
            // Lower by more than rounding.
            double best = -1e-10 * (1 + r.cwiseAbs().dot(x.cwiseAbs()));
            best_move(unit_, x, r, best, move);
            best_move(flat_, x, r, best, move);
            if (move.size() == 0) return has_moved;
            x += move;
            r += g_ * move;
        }
    }

    void best_move(const Moves& moves,
                   const Eigen::VectorXd& x,
                   const Eigen::VectorXd& r,
                   double& best,
                   Eigen::VectorXd& move) const {
        const Eigen::VectorXd slope = moves.basis.transpose() * r;
        const auto consider = [&](double change, auto&& make) {
            if (!(change < best)) return;
            Eigen::VectorXd made = make();
            if (!((x + made).cwiseAbs().maxCoeff() <= box_)) return;
            best = change;
            move = std::move(made);
        };
        const auto down = [](double slope_of_it) { return slope_of_it > 0 ? -1.0 : 1.0; };
        for (Eigen::Index i = 0; i < x.size(); ++i) {
            const auto b_i = moves.basis.col(i);
            consider(moves.single[i] - std::abs(slope[i]), [&] { return down(slope[i]) * b_i; });
            for (Eigen::Index j = 0; j < i; ++j) {
                const auto b_j = moves.basis.col(j);
                const double sum = slope[i] + slope[j], difference = slope[i] - slope[j];
                consider(moves.sum(i, j) - std::abs(sum), [&] { return down(sum) * (b_i + b_j); });
                consider(moves.difference(i, j) - std::abs(difference),
                         [&] { return down(difference) * (b_i - b_j); });
            }
        }
    }

    /// A basis of the integers Z^n, as columns, that is short by the quadratic which is left of f where every
    /// coordinate settles in its well, G - G (G + D)^-1 G with D = omega^2 diag |a|: "LLL" (Lenstra, Lenstra
    /// & Lovasz 1982), in the form of Cohen 1993, algorithm 2.6.3, from the inner products.
    [[nodiscard]] Eigen::MatrixXd reduced_basis() const {
        const Eigen::Index n = q_.size();
        Eigen::MatrixXd settled = g_;
        settled.diagonal() += omega_ * omega_ * a_.cwiseAbs();
        Eigen::MatrixXd left = g_ - g_ * settled.ldlt().solve(g_);
        left.diagonal().array() += 1e-6 * g_.diagonal().mean();  // where there are no wells nothing is left
        Eigen::MatrixXd basis = Eigen::MatrixXd::Identity(n, n), mu = Eigen::MatrixXd::Identity(n, n);
        Eigen::VectorXd square(n);  // of the orthogonalised vectors
        const auto orthogonalise = [&](Eigen::Index k) {
            const Eigen::VectorXd product = basis.transpose() * (left * basis.col(k));
            square[k] = product[k];
            for (Eigen::Index j = 0; j < k; ++j) {
                double rest = product[j];
                for (Eigen::Index i = 0; i < j; ++i) rest -= mu(j, i) * mu(k, i) * square[i];
                mu(k, j) = rest / square[j];
                square[k] -= mu(k, j) * rest;
            }
        };
        orthogonalise(0);
        const std::int64_t most = 100 * n * n + 100;  // chosen: a bad basis costs quality, not correctness
        for (std::int64_t step = 0, k = 1; k < n && step < most; ++step) {
            orthogonalise(k);
            for (Eigen::Index j = k - 1; j >= 0; --j) {
                const double times = std::round(mu(k, j));
                if (times == 0) continue;
                basis.col(k) -= times * basis.col(j);
                mu.row(k).head(j + 1) -= times * mu.row(j).head(j + 1);
            }
            if (square[k] >= (0.99 - mu(k, k - 1) * mu(k, k - 1)) * square[k - 1]) {
                ++k;
                continue;
            }
            basis.col(k).swap(basis.col(k - 1));
            orthogonalise(k - 1);
            k = std::max<Eigen::Index>(k - 1, 1);
        }
        return basis;
    }

    /// Down to a minimum by Newton's method, damped where it goes up (Levenberg 1944). Coordinates at the
    /// edge of the box from which f falls outwards stay there.
    [[nodiscard]] Point polished(Point point) const {
        const Eigen::Index n = q_.size();
        double damping = 0;
        for (int k = 0; k < kMostDamped && damping < 1e3; ++k) {
            Eigen::VectorXd slope = g_ * point.x - q_;
            Eigen::MatrixXd hessian = g_;
            hessian.diagonal() *= 1 + damping;
            for (Eigen::Index i = 0; i < n; ++i) {
                slope[i] += omega_ * a_[i] * std::sin(omega_ * point.x[i]);
                hessian(i, i) += omega_ * omega_ * a_[i] * std::cos(omega_ * point.x[i]);
                hessian(i, i) += damping * omega_ * omega_ * std::abs(a_[i]);
                if (std::abs(point.x[i]) < box_ || slope[i] * point.x[i] > 0) continue;
                hessian.row(i).setZero();
                hessian.col(i).setZero();
                hessian(i, i) = 1;
                slope[i] = 0;
            }
            Eigen::VectorXd x = (point.x - hessian.ldlt().solve(slope)).cwiseMax(-box_).cwiseMin(box_);
            const double f = value(x);
            if (!(f < point.f)) {
                if ((x - point.x).cwiseAbs().maxCoeff() <= kRounding * period_) break;
                damping = std::max(10 * damping, 1e-3);
                continue;
            }
            point = {std::move(x), f};
            damping /= 10;
        }
        return point;
    }

    static constexpr int kMostRounds = 1000, kMostSweeps = 200, kMostNewton = 30, kMostDamped = 60;
    static constexpr double kSettled = 1e-5, kRounding = 1e-9;  // in periods; polished() does the rest

    Eigen::MatrixXd g_;
    Eigen::VectorXd q_, a_;
    double period_, box_, omega_;
    bool is_steep_;  ///< beside the ripples: its valleys are, and short steps along a coordinate end nothing
    Moves unit_, flat_;
};

}  // namespace l2o::plugins
