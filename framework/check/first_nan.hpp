#pragma once

#include <cmath>
#include <cstdint>

#include "framework/tensor/tensor.hpp"

namespace l2o::framework {

/// The first element that is NAN; -1: there is none, or no tensor.
[[nodiscard]] inline std::int64_t first_nan(const Tensor& tensor) {
    for (std::int64_t i = 0; tensor && i < tensor.size(); ++i)
        if (std::isnan(tensor.value(i))) return i;
    return -1;
}

}  // namespace l2o::framework
