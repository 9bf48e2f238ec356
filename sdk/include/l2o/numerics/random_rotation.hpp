#pragma once

#include <Eigen/QR>
#include <l2o/numerics/philox.hpp>

namespace l2o::numerics {

/// An orthogonal matrix [n, n], uniform over all of them. Of a matrix of normal numbers Q R, with a positive
/// diagonal of R, it is Q (Mezzadri 2007, "How to generate random matrices from the classical compact
/// groups", section 5).
/// @param random  gives n^2 normal numbers, column by column.
inline Eigen::MatrixXd random_rotation(Stream& random, Eigen::Index n) {
    Eigen::MatrixXd normal(n, n);
    for (double& entry : normal.reshaped()) entry = random.normal();
    const Eigen::HouseholderQR<Eigen::MatrixXd> factors(normal);
    Eigen::MatrixXd q = factors.householderQ();
    for (Eigen::Index i = 0; i < n; ++i) {
        if (factors.matrixQR()(i, i) < 0) q.col(i) *= -1;
    }
    return q;
}

}  // namespace l2o::numerics
