#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <l2o/layers/layered.hpp>
#include <l2o/numerics/dual.hpp>
#include <limits>
#include <vector>

namespace l2o::plugins {

/// The coordinates of a row over all blocks as one vector, in layers: a value by block. Empty: 0.
template <class T>
using RowVector = std::vector<layers::Value<T>>;

/// What divides is at least so large.
template <class T>
inline constexpr T kLeast = std::numeric_limits<T>::min();

inline constexpr auto kProduct = [](auto a, auto b) { return a * b; };
inline constexpr auto kDifference = [](auto a, auto b) { return a - b; };
/// a / b, without slopes where b is so small that they, which go with 1 / b, leave the numbers on their way:
/// what has arrived has nothing to teach.
template <class T>
inline constexpr auto kQuotient = [](auto a, auto b) {
    using N = decltype(a / b);
    using numerics::where_less;
    const N ratio = a / b;
    N without = ratio;
    if constexpr (requires { ratio.slope; }) without = N(ratio.value);
    return where_less(N(b), N(std::sqrt(std::sqrt(kLeast<T>))), without, ratio);
};
/// ln a / b, within [-6, 6].
template <class T>
inline constexpr auto kLogRatio = [](auto a, auto b) {
    using N = decltype(a / b);
    using std::log, std::max, std::min;
    return min(max(N(log(kQuotient<T>(a, b))), N(T(-6))), N(T(6)));
};

/// rule(entry of a, entry of b); b may be one number per row.
template <class Rule, class T>
RowVector<T> each(const Rule& rule, const RowVector<T>& a, const RowVector<T>& b) {
    RowVector<T> to;
    for (std::size_t k = 0; k < a.size(); ++k) to.push_back(map(rule, a[k], b[b.size() == 1 ? 0 : k]));
    return to;
}
template <class T>
layers::Value<T> dot(const RowVector<T>& a, const RowVector<T>& b) {
    layers::Value<T> sum;
    for (std::size_t k = 0; k < a.size(); ++k) sum = sum + row_sum(kProduct, a[k], b[k]);
    return sum;
}
/// |a|, at least the smallest number there is, so that it divides; of 0 without slopes. In units of something
/// nearly as large, on which it does not depend: the squares of small numbers are 0.
template <class T>
layers::Value<T> norm(const RowVector<T>& a, layers::Value<T> unit) {
    const auto square = [](auto e, auto u) {
        const auto share = kQuotient<T>(e, u);
        return share * share;
    };
    layers::Value<T> sum;
    unit = map(
        [](auto u) {
            using std::max;
            return max(u, decltype(u)(kLeast<T>));
        },
        stopped(unit));
    for (const layers::Value<T>& block : a) sum = sum + row_sum(square, block, unit);
    return map(
        [](auto u, auto squares) {
            using N = decltype(squares);
            using numerics::where_less;
            using std::max, std::sqrt;
            const N size = max(N(u * sqrt(squares + N(T(1e-30)))), N(kLeast<T>));
            return where_less(N(T(0)), squares, size, N(kLeast<T>));
        },
        unit,
        sum);
}
/// The same, in units of the sum of its |entries|.
template <class T>
layers::Value<T> norm(const RowVector<T>& a) {
    const auto size = [](auto e) {
        using std::abs;
        return abs(e);
    };
    const auto above_0 = [](auto sum) {
        using std::max;
        return max(sum, decltype(sum)(kLeast<T>));
    };
    layers::Value<T> sum;
    for (const layers::Value<T>& block : a) sum = sum + row_sum(size, block);
    return norm(a, map(above_0, sum));
}
template <class T>
RowVector<T> state_of(layers::Step<T>& step, const BlockStates& states) {
    RowVector<T> all;
    for (std::size_t k = 0; k < step.blocks(); ++k) all.push_back(step.state(states[k]));
    return all;
}
template <class T>
void keep(layers::Step<T>& step, const BlockStates& states, const RowVector<T>& values) {
    for (std::size_t k = 0; k < step.blocks(); ++k)
        step.set(states[k], values.empty() ? layers::Value<T>{} : values[k]);
}

}  // namespace l2o::plugins
