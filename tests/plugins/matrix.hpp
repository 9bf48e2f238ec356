#pragma once

#include <Eigen/Core>
#include <l2o/numerics/view.hpp>
#include <l2o/sdk/view.hpp>

#include "framework/tensor/tensor.hpp"

namespace l2o::test {

/// A copy of a float64 tensor, axis 0 as the rows.
inline Eigen::MatrixXd matrix(const framework::Tensor& tensor) {
    return numerics::matrix(view<const double>(tensor.abi()));
}

}  // namespace l2o::test
