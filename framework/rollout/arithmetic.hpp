#pragma once

#include <cassert>
#include <cmath>
#include <cstring>

#include "framework/tensor/tensor.hpp"

namespace l2o::framework {

/// Calls body(span of a, span of b, ...) with the element type of the first tensor, float32 or float64.
template <class Body, class First, class... Rest>
decltype(auto) with_values(Body&& body, First& first, Rest&... rest) {
    if (first.dtype() == Dtype::kF32) {
        return body(first.template values<float>(), rest.template values<float>()...);
    }
    return body(first.template values<double>(), rest.template values<double>()...);
}

/// a += b
inline void add(Tensor& a, const Tensor& b) {
    with_values(
        [](auto to, auto from) {
            for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
        },
        a,
        b);
}

/// tensor *= factor
inline void scale(Tensor& tensor, double factor) {
    with_values(
        [factor](auto values) {
            using T = typename decltype(values)::value_type;
            for (auto& value : values) value *= static_cast<T>(factor);
        },
        tensor);
}

/// a[r] += scale[r] * b[r] for every row of axis 0 of b (a, b: the same number of elements).
inline void add_scaled_rows(Tensor& a, const Tensor& scale, const Tensor& b) {
    with_values(
        [](auto to, auto factor, auto from) {
            const std::size_t cols = factor.empty() ? 0 : to.size() / factor.size();
            for (std::size_t i = 0; i < to.size(); ++i) to[i] += factor[i / cols] * from[i];
        },
        a,
        scale,
        b);
}

[[nodiscard]] inline bool all_zero(const Tensor& tensor) {
    return with_values(
        [](auto values) {
            for (const auto value : values) {
                if (value != 0) return false;
            }
            return true;
        },
        tensor);
}

[[nodiscard]] inline bool all_finite(const Tensor& tensor) {
    return with_values(
        [](auto values) {
            for (const auto value : values) {
                if (!std::isfinite(value)) return false;
            }
            return true;
        },
        tensor);
}

/// Row `row` of `a` and row `b_row` of `b`, which are as long, to the bit.
[[nodiscard]] inline bool is_same_row(const Tensor& a,
                                      std::int64_t row,
                                      const Tensor& b,
                                      std::int64_t b_row) {
    const std::int64_t bytes = a.bytes() / a.shape()[0];
    return std::memcmp(static_cast<const std::byte*>(a.data()) + row * bytes,
                       static_cast<const std::byte*>(b.data()) + b_row * bytes,
                       static_cast<std::size_t>(bytes)) == 0;
}

/// Row `row` of `from` over row `to_row` of `to`; the rows of both are as long as those of `to`.
inline void copy_row(const Tensor& from, std::int64_t row, Tensor& to, std::int64_t to_row) {
    const std::int64_t bytes = to.bytes() / to.shape()[0];
    std::memcpy(static_cast<std::byte*>(to.data()) + to_row * bytes,
                static_cast<const std::byte*>(from.data()) + row * bytes,
                static_cast<std::size_t>(bytes));
}

/// Row `row` of `rows`, whatever the axes are.
inline void zero_row(Tensor& tensor, std::int64_t row, std::int64_t rows) {
    const std::int64_t bytes = tensor.bytes() / rows;
    std::memset(static_cast<std::byte*>(tensor.data()) + row * bytes, 0, static_cast<std::size_t>(bytes));
}

inline void copy_values(Tensor& to, const Tensor& from) {
    with_values(
        [](auto target, auto source) { std::copy(source.begin(), source.end(), target.begin()); }, to, from);
}

}  // namespace l2o::framework
