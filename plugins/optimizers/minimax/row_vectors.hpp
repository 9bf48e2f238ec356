#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <l2o/layers/layered.hpp>
#include <limits>
#include <vector>

namespace l2o::plugins {

/// The coordinates of a row over all blocks as one vector, in layers: a value by block. Empty: 0.
template <class T>
using RowVector = std::vector<layers::Value<T>>;

inline constexpr auto kProduct = [](auto a, auto b) { return a * b; };
inline constexpr auto kQuotient = [](auto a, auto b) { return a / b; };
inline constexpr auto kDifference = [](auto a, auto b) { return a - b; };
/// ln a / b, within [-6, 6].
template <class T>
inline constexpr auto kLogRatio = [](auto a, auto b) {
    using N = decltype(a / b);
    using std::log, std::max, std::min;
    return min(max(N(log(a / b)), N(T(-6))), N(T(6)));
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
/// |a|, at least the smallest number there is, so that it divides. In units of something nearly as large, on
/// which it does not depend: the squares of small numbers are 0.
template <class T>
layers::Value<T> norm(const RowVector<T>& a, layers::Value<T> unit) {
    layers::Value<T> sum;
    unit = stopped(unit);
    for (const layers::Value<T>& block : a)
        sum = sum + row_sum([](auto e, auto u) { return (e / u) * (e / u); }, block, unit);
    return map(
        [](auto u, auto squares) {
            using N = decltype(squares);
            using std::max, std::sqrt;
            return max(N(u * sqrt(squares + N(T(1e-30)))), N(std::numeric_limits<T>::min()));
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
        return max(sum, decltype(sum)(std::numeric_limits<T>::min()));
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
