#pragma once

#include "l2o/numerics/lanes.hpp"

namespace l2o::numerics {

/// asinh x, relative error at most 4e-7 for float and 8e-16 for double where |x| <= 1e18 (float), 1e150.
/// By log1p: log(x + sqrt(1 + x^2)) loses all digits where x is far below 0, and near 0.
/// The bits of a lane depend on its own input only.
template <class Scalar>
Lanes<Scalar> asinh(const Lanes<Scalar>& x) {
    const Lanes<Scalar> size = x.abs();
    const Lanes<Scalar> value = (size + size * size / (1 + (1 + size * size).sqrt())).log1p();
    return (x < 0).select(-value, value);
}

}  // namespace l2o::numerics
