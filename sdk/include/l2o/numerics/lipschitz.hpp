// The constant L behind every step 1/L. One function for all, so that methods that should take the
// same step do.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "l2o/numerics/dense.hpp"
#ifdef L2O_NUMERICS_DEFINE
#include <Eigen/Eigenvalues>
#include <optional>

#include "l2o/numerics/philox.hpp"
#endif

namespace l2o::numerics {

/// The power of two u for which the largest entry of u A is in [1, 2), or below if it is less than 1e-301:
/// multiplying by it rounds nothing, and u A can be squared. 1 for a zero matrix.
/// @pre  all entries are finite.
template <class Derived>
double unit_scale(const Eigen::MatrixBase<Derived>& a) {
    const double largest = a.size() == 0 ? 0 : static_cast<double>(a.cwiseAbs().maxCoeff());
    return largest > 0 ? std::ldexp(1.0, std::min(-std::ilogb(largest), 1000)) : 1;
}

/// ||A||_2^2, the largest eigenvalue of A^T A, in double whatever the scalar of A, whatever the size of its
/// entries: infinite or 0 only if the square itself is beyond double. Allocates.
/// Exact, to rounding, if the smaller side is at most 512; beyond, power iteration to a relative residual of
/// 1e-5 (deterministic start), which errs low, in general by much less; if it is not met, exact again.
/// @throw std::invalid_argument if an entry is not finite.
/// Cost: O(m n min(m, n)) for the Gram matrix, then O(min(m, n)^3), or O(min(m, n)^2) per iteration.
L2O_NUMERICS_FUNCTION double spectral_norm_squared(const RowMatrix<double>& a);
template <class Derived>
double spectral_norm_squared(const Eigen::MatrixBase<Derived>& a) {
    return spectral_norm_squared(RowMatrix<double>(a.template cast<double>()));
}

/// L = 1.001 ||A||_2^2: the gradient of 1/2 ||Ax - b||^2 is L-Lipschitz, so the step 1/L is safe. The factor
/// is that of Open-L2O; it also covers the residual of the iteration in spectral_norm_squared. Of a zero
/// matrix, whose gradient is constant, every positive number is one: 1.
/// @throw std::invalid_argument if an entry is not finite, or if T, in which the step is taken, does not hold
///        L and 1/L.
template <class T = double, class Derived>
double lipschitz_constant(const Eigen::MatrixBase<Derived>& a) {
    const double l = 1.001 * spectral_norm_squared(a);
    if (l == 0 && (a.size() == 0 || a.isZero(0))) return 1;
    const bool is_held = l >= double(std::numeric_limits<T>::min()) &&
                         l <= 1 / (double(std::numeric_limits<T>::min()) * (1 + 1e-6));
    if (!is_held)
        throw std::invalid_argument(std::string("||A||_2^2 or the step of its inverse is no number of ") +
                                    (std::is_same_v<T, float>
                                         ? "float32; scale A and b, or compute in float64"
                                         : "float64; scale A and b"));
    return l;
}

}  // namespace l2o::numerics

#ifdef L2O_NUMERICS_DEFINE
namespace l2o::numerics {

namespace detail {

/// Largest eigenvalue of a positive semi-definite matrix by power iteration; nothing if the residual
/// |Gv - rho v| <= tol_rel rho is not met in max_iterations. Rho never exceeds the eigenvalue, and the
/// residual bounds its distance from the spectrum.
L2O_NUMERICS_FUNCTION std::optional<double> power_iteration(const RowMatrix<double>& gram,
                                                            double tol_rel,
                                                            int max_iterations) {
    Stream start(Key{0, 0}, 0);
    Eigen::VectorXd v =
        Eigen::VectorXd::NullaryExpr(gram.rows(), [&] { return start.normal(); }).normalized();
    Eigen::VectorXd next(gram.rows());
    for (int iteration = 0; iteration < max_iterations; ++iteration) {
        next.noalias() = gram * v;
        const double rho = v.dot(next);
        if ((next - rho * v).norm() <= tol_rel * rho) return rho;
        v = next.normalized();
    }
    return std::nullopt;
}

L2O_NUMERICS_FUNCTION double largest_eigenvalue(const Eigen::MatrixXd& gram) {
    return std::max(0.0,
                    Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(gram, Eigen::EigenvaluesOnly)
                        .eigenvalues()
                        .tail<1>()(0));
}

}  // namespace detail

L2O_NUMERICS_FUNCTION double spectral_norm_squared(const RowMatrix<double>& a) {
    if (a.size() == 0) return 0;
    if (!a.allFinite())
        throw std::invalid_argument("spectral norm: the matrix has an entry that is not finite");
    const Eigen::Index side = std::min(a.rows(), a.cols());
    const double unit = unit_scale(a);
    const RowMatrix<double> scaled = unit * a;
    RowMatrix<double> gram = RowMatrix<double>::Zero(side, side);
    if (a.rows() <= a.cols())
        add_product_nt<double>(gram, 1, scaled, scaled);
    else
        add_product_tn<double>(gram, 1, scaled, scaled);
    constexpr Eigen::Index kExactUpTo = 512;  // chosen: 0.1 s on one core
    std::optional<double> square;
    if (side > kExactUpTo) square = detail::power_iteration(gram, 1e-5, 5000);
    if (!square) square = detail::largest_eigenvalue(gram);
    return *square / unit / unit;
}

}  // namespace l2o::numerics
#endif
