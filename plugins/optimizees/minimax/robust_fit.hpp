#pragma once

#include <Eigen/SVD>
#include <cmath>
#include <l2o/numerics/random_rotation.hpp>
#include <l2o/numerics/view.hpp>
#include <utility>

namespace l2o::plugins {

using Eigen::MatrixXd, Eigen::VectorXd;
using numerics::row_vector, numerics::RowMatrix;

template <class T>
using Column = Eigen::Matrix<T, Eigen::Dynamic, 1>;

/// f of robust_least_squares and its parts at a point. With y = (x; -1) the residual is r = A x - b + P y, P
/// = rho W / |W|.
template <class T>
struct Fit {
    Fit(const Eigen::Map<const RowMatrix<T>>& a, const T* b, const T* x_of, const T* w_of, T rho)
        : x(row_vector(x_of, a.cols()).transpose()),
          y(a.cols() + 1),
          unit(Eigen::Map<const RowMatrix<T>>(w_of, a.rows(), a.cols() + 1)) {
        const T norm = unit.stableNorm();
        scale = rho / norm;
        inverse_norm = 1 / norm;
        unit /= norm;
        y << x, T(-1);
        slope = a + rho * unit.leftCols(a.cols());
        r = a * x - row_vector(b, a.rows()).transpose() + rho * (unit * y);
        g_p = r * y.transpose();
        along = g_p.cwiseProduct(unit).sum();
        g_w = scale * (g_p - along * unit);
    }
    Column<T> x, y, r;
    RowMatrix<T> unit, slope, g_p, g_w;  // W / |W|, A + P_A, df/dP, df/dW
    T scale, inverse_norm, along;        // rho / |W|, 1 / |W|, <df/dP, W / |W|>
};

/// A of random singular vectors, whose singular values fall geometrically from 1 to 1 / condition_number, and
/// b = A z + noise, z normal.
inline std::pair<MatrixXd, VectorXd> draw_system(
    numerics::Stream& random, Eigen::Index m, Eigen::Index n, double condition_number, double noise) {
    const MatrixXd left = numerics::random_rotation(random, m), right = numerics::random_rotation(random, n);
    VectorXd singular(n), z(n);
    for (Eigen::Index i = 0; i < n; ++i)
        singular[i] = n == 1 ? 1 : std::pow(condition_number, -double(i) / double(n - 1));
    for (double& entry : z) entry = random.normal();
    const MatrixXd a = left.leftCols(n) * singular.asDiagonal() * right.transpose();
    VectorXd b = a * z;
    for (double& entry : b) entry += noise * random.normal();
    return {a, b};
}

/// max_P f of |P| = rho (El Ghaoui & Lebret 1997, theorem 3.1), and the P where it is.
inline double worst_loss(const MatrixXd& a, const VectorXd& b, double rho, const VectorXd& x) {
    const double loss = (a * x - b).norm() + rho * std::sqrt(1 + x.squaredNorm());
    return loss * loss / 2;
}
inline MatrixXd worst_perturbation(const MatrixXd& a, const VectorXd& b, double rho, const VectorXd& x) {
    VectorXd y(x.size() + 1);
    y << x, -1;
    return rho * (a * x - b).normalized() * y.normalized().transpose();
}

/// The x of the least worst loss: (A'A + mu I) x = A'b with mu = rho |Ax - b| / sqrt(1 + |x|^2). The right
/// side rises with mu from above 0 to below rho |b|, and has one such point, because worst_loss is strictly
/// convex.
inline VectorXd robust_minimum(const MatrixXd& a, const VectorXd& b, double rho) {
    const Eigen::JacobiSVD<MatrixXd> svd(a, Eigen::ComputeThinU | Eigen::ComputeThinV);
    const VectorXd s = svd.singularValues(), c = svd.matrixU().transpose() * b;
    const auto x_of = [&](double mu) -> VectorXd {
        return svd.matrixV() * (s.array() * c.array() / (s.array().square() + mu)).matrix();
    };
    double low = 0, high = rho * b.norm();
    for (double mu = high / 2; low < mu && mu < high; mu = low + (high - low) / 2) {
        const VectorXd x = x_of(mu);
        (mu * std::sqrt(1 + x.squaredNorm()) < rho * (a * x - b).norm() ? low : high) = mu;
    }
    return x_of(high);
}

}  // namespace l2o::plugins
