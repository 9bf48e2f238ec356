// The pseudo-inverse of Moore and Penrose.
#pragma once

#include <stdexcept>

#include "l2o/numerics/dense.hpp"
#include "l2o/numerics/lipschitz.hpp"
#ifdef L2O_NUMERICS_DEFINE
#include <Eigen/QR>
#endif

namespace l2o::numerics {

/// A+, of any shape and rank, in double whatever the scalar of A, from a complete orthogonal decomposition
/// with Eigen's default threshold for the rank. Allocates.
/// @param a  shape (m, n).
/// @return   shape (n, m), row-major.
/// @throw std::invalid_argument if an entry is not finite.
/// Cost: O(m n min(m, n)).
L2O_NUMERICS_FUNCTION RowMatrix<double> pseudo_inverse(const RowMatrix<double>& a);
template <class Derived>
RowMatrix<double> pseudo_inverse(const Eigen::MatrixBase<Derived>& a) {
    return pseudo_inverse(RowMatrix<double>(a.template cast<double>()));
}

}  // namespace l2o::numerics

#ifdef L2O_NUMERICS_DEFINE
namespace l2o::numerics {

L2O_NUMERICS_FUNCTION RowMatrix<double> pseudo_inverse(const RowMatrix<double>& a) {
    if (!a.allFinite()) throw std::invalid_argument("pseudo-inverse: A has an entry that is not finite");
    const double unit = unit_scale(a);  // the norms of the decomposition are sums of squares
    return unit * Eigen::CompleteOrthogonalDecomposition<Eigen::MatrixXd>(unit * a).pseudoInverse();
}

}  // namespace l2o::numerics
#endif
