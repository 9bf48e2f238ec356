// Numbers that carry their slopes: a scalar rule written once, for any type of number, is its derivative too.
#ifndef L2O_NUMERICS_DUAL_HPP
#define L2O_NUMERICS_DUAL_HPP

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>

namespace l2o::numerics {

/// A value and its slopes by K variables. Comparisons are those of the values; where a function has a corner
/// the slope is that of the side which the value is taken from, and 0 for abs and sign at 0.
template <std::floating_point T, std::size_t K>
struct Dual {
    T value = 0;
    std::array<T, K> slope{};

    Dual() = default;
    Dual(T constant) : value(constant) {}  // NOLINT(google-explicit-constructor): a constant is a number
    /// Variable k.
    static Dual variable(T value, std::size_t k) {
        Dual d(value);
        d.slope[k] = 1;
        return d;
    }
    /// f(x) from its value and slope there.
    [[nodiscard]] Dual chain(T f, T by_x) const {
        Dual d(f);
        for (std::size_t k = 0; k < K; ++k) d.slope[k] = by_x * slope[k];
        return d;
    }
    /// f(x, y) from its value and slopes there.
    static Dual chain(const Dual& x, const Dual& y, T f, T by_x, T by_y) {
        Dual d(f);
        for (std::size_t k = 0; k < K; ++k) d.slope[k] = by_x * x.slope[k] + by_y * y.slope[k];
        return d;
    }

    // Friends, so that a constant on either side is converted.
    friend Dual operator+(const Dual& x, const Dual& y) { return chain(x, y, x.value + y.value, 1, 1); }
    friend Dual operator-(const Dual& x, const Dual& y) { return chain(x, y, x.value - y.value, 1, -1); }
    friend Dual operator*(const Dual& x, const Dual& y) {
        return chain(x, y, x.value * y.value, y.value, x.value);
    }
    friend Dual operator/(const Dual& x, const Dual& y) {
        const T f = x.value / y.value;
        return chain(x, y, f, 1 / y.value, -f / y.value);
    }
    Dual operator-() const { return chain(-value, -1); }
    friend bool operator<(const Dual& x, const Dual& y) { return x.value < y.value; }
    friend bool operator>(const Dual& x, const Dual& y) { return x.value > y.value; }
    friend bool operator<=(const Dual& x, const Dual& y) { return x.value <= y.value; }
    friend bool operator>=(const Dual& x, const Dual& y) { return x.value >= y.value; }

    friend Dual exp(const Dual& x) {
        const T f = std::exp(x.value);
        return x.chain(f, f);
    }
    friend Dual log(const Dual& x) { return x.chain(std::log(x.value), 1 / x.value); }
    friend Dual log1p(const Dual& x) { return x.chain(std::log1p(x.value), 1 / (1 + x.value)); }
    friend Dual sqrt(const Dual& x) {
        const T f = std::sqrt(x.value);
        return x.chain(f, 1 / (2 * f));
    }
    friend Dual tanh(const Dual& x) {
        const T f = std::tanh(x.value);
        return x.chain(f, 1 - f * f);
    }
    friend Dual abs(const Dual& x) { return x.chain(std::abs(x.value), T(x.value > 0) - T(x.value < 0)); }
    friend Dual max(const Dual& x, const Dual& y) { return x.value < y.value ? y : x; }
    friend Dual min(const Dual& x, const Dual& y) { return y.value < x.value ? y : x; }
    /// x within [low, high], with slope 0 outside.
    friend Dual clamp(const Dual& x, T low, T high) {
        return x.value < low ? Dual(low) : x.value > high ? Dual(high) : x;
    }
};

}  // namespace l2o::numerics

#endif
