// Eigenvalues and eigenvectors of a symmetric matrix.
#pragma once

#include "l2o/numerics/dense.hpp"
#ifdef L2O_NUMERICS_DEFINE
#include <Eigen/Eigenvalues>
#endif

namespace l2o::numerics {

/// A = V diag(values) V^T, V orthogonal, the values ascending. Allocates.
/// @param a        shape (n, n); its lower triangle is read.
/// @param values   n numbers, written.
/// @param vectors  V, shape (n, n), written: column j belongs to value j.
/// @return         false, and nothing written, where an entry is not finite.
/// Cost: about 9 n^3.
L2O_NUMERICS_FUNCTION bool symmetric_eigen(const ConstRows<double>& a, double* values, Rows<double> vectors);

}  // namespace l2o::numerics

#ifdef L2O_NUMERICS_DEFINE
namespace l2o::numerics {

L2O_NUMERICS_FUNCTION bool symmetric_eigen(const ConstRows<double>& a, double* values, Rows<double> vectors) {
    if (!a.allFinite()) return false;
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(a);
    if (solver.info() != Eigen::Success) return false;
    row_vector(values, a.rows()) = solver.eigenvalues().transpose();
    vectors = solver.eigenvectors();
    return true;
}

}  // namespace l2o::numerics
#endif
