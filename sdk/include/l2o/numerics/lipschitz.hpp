// The constant L behind every step 1/L. One function for all, so that methods that should take the
// same step do.
#ifndef L2O_NUMERICS_LIPSCHITZ_HPP
#define L2O_NUMERICS_LIPSCHITZ_HPP

#include <stdexcept>

#include "l2o/numerics/dense.hpp"
#ifdef L2O_NUMERICS_DEFINE
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <optional>

#include "l2o/numerics/philox.hpp"
#endif

namespace l2o::numerics {

/// ||A||_2^2, the largest eigenvalue of A^T A, in double whatever the scalar of A. Allocates.
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
/// is that of Open-L2O; it also covers the residual of the iteration in spectral_norm_squared.
template <class Derived>
double lipschitz_constant(const Eigen::MatrixBase<Derived>& a) {
    return 1.001 * spectral_norm_squared(a);
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
    RowMatrix<double> gram = RowMatrix<double>::Zero(side, side);
    if (a.rows() <= a.cols())
        add_product_nt<double>(gram, 1, a, a);
    else
        add_product_tn<double>(gram, 1, a, a);
    constexpr Eigen::Index kExactUpTo = 512;  // chosen: 0.1 s on one core
    if (side > kExactUpTo)
        if (const auto rho = detail::power_iteration(gram, 1e-5, 5000)) return *rho;
    return detail::largest_eigenvalue(gram);
}

}  // namespace l2o::numerics
#endif

#endif
