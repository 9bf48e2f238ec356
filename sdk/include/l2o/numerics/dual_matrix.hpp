// What Eigen's matrices need to hold numbers with slopes.
#pragma once

#include <Eigen/Core>
#include <cstddef>

#include "l2o/numerics/dual.hpp"

template <class T, std::size_t K>
struct Eigen::NumTraits<l2o::numerics::Dual<T, K>> : Eigen::NumTraits<T> {
    using Real = l2o::numerics::Dual<T, K>;
    using NonInteger = Real;
    using Nested = Real;
    enum { RequireInitialization = 1, AddCost = 1 + K, MulCost = 1 + 2 * K };
};

namespace l2o::numerics {

template <class T, std::size_t K>
Dual<T, K>& operator+=(Dual<T, K>& x, const Dual<T, K>& y) {
    return x = x + y;
}
template <class T, std::size_t K>
bool operator==(const Dual<T, K>& x, const Dual<T, K>& y) {
    return x.value == y.value && x.slope == y.slope;
}

}  // namespace l2o::numerics
