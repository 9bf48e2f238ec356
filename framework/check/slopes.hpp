#pragma once

#include <functional>
#include <string>
#include <vector>

#include "framework/tensor/tensor.hpp"

namespace l2o::framework {

/// A tensor that a function reads, and what is said to be the derivative of the function with respect to it.
struct Slope {
    Tensor* value = nullptr;  ///< float64
    const Tensor* derivative = nullptr;
};

/// A value, and the size of what was added up to it: rounding is relative to the latter.
struct Sum {
    double value = 0, size = 0;
    void add(double term) {
        value += term;
        size += term < 0 ? -term : term;
    }
};

/// Compares derivatives with differences of phi along random directions through all values at once. A few
/// directions may fail: the function may have a kink near the point.
/// @throw Broken "<what>: ..." with the two numbers of one direction.
void check_slopes(const std::string& what, const std::vector<Slope>& slopes, const std::function<Sum()>& phi);

}  // namespace l2o::framework
