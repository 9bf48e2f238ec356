// Numbers that carry their slopes: a scalar rule written once, for any type of number, is its derivative too.
#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <type_traits>

namespace l2o::numerics {

/// a where x < y, else b.
template <std::floating_point T>
T where_less(T x, T y, T a, T b) {
    return x < y ? a : b;
}
/// -1, 0 or 1, of any kind of number; 0 of a NaN.
template <class T>
T sign(const T& x) {
    return where_less(T(0), x, T(1), where_less(x, T(0), T(-1), T(0)));
}
template <class T>
requires(!std::floating_point<T>) T max(const T& x, const T& y) { return where_less(x, y, y, x); }
template <class T>
requires(!std::floating_point<T>) T min(const T& x, const T& y) { return where_less(y, x, y, x); }
/// x within [low, high].
template <class T>
requires(!std::floating_point<T>) T
    clamp(const T& x, const std::type_identity_t<T>& low, const std::type_identity_t<T>& high) {
    return where_less(x, low, low, where_less(high, x, high, x));
}

/// A value, a floating-point number or several side by side (packet.hpp), and its slopes by K variables.
/// Where a function has a corner the slope is that of the side which the value is taken from, and 0 for abs
/// at 0.
template <class T, std::size_t K>
struct Dual {
    T value = T(0);
    std::array<T, K> slope;

    Dual() : Dual(T(0)) {}
    template <std::convertible_to<T> Constant>
    Dual(const Constant& constant)  // NOLINT(google-explicit-constructor): a constant is a number
        : value(T(constant)) {
        slope.fill(T(0));
    }
    /// Variable k.
    static Dual variable(T value, std::size_t k) {
        Dual d(value);
        d.slope[k] = T(1);
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
    /// a where x < y, else b.
    friend Dual where_less(const Dual& x, const Dual& y, const Dual& a, const Dual& b) {
        Dual d(where_less(x.value, y.value, a.value, b.value));
        for (std::size_t k = 0; k < K; ++k) d.slope[k] = where_less(x.value, y.value, a.slope[k], b.slope[k]);
        return d;
    }

    friend Dual exp(const Dual& x) {
        using std::exp;
        const T f = exp(x.value);
        return x.chain(f, f);
    }
    friend Dual log(const Dual& x) {
        using std::log;
        return x.chain(log(x.value), 1 / x.value);
    }
    friend Dual log1p(const Dual& x) {
        using std::log1p;
        return x.chain(log1p(x.value), 1 / (1 + x.value));
    }
    friend Dual sqrt(const Dual& x) {
        using std::sqrt;
        const T f = sqrt(x.value);
        return x.chain(f, 1 / (2 * f));
    }
    friend Dual tanh(const Dual& x) {
        using std::tanh;
        const T f = tanh(x.value);
        return x.chain(f, 1 - f * f);
    }
    friend Dual abs(const Dual& x) {
        using std::abs;
        return x.chain(abs(x.value), sign(x.value));
    }
};

}  // namespace l2o::numerics
