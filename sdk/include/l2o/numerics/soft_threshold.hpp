// The soft threshold with a free threshold: sign(z) max(|z| - theta, 0), theta of either sign.
#pragma once

#include <algorithm>
#include <cassert>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>

#include "l2o/numerics/sum.hpp"

namespace l2o::numerics {

/// sign(z) max(|z| - theta, 0) with sign(0) = 0. A negative theta is not clamped: it moves z away from 0 by
/// |theta|. NaN stays NaN, so that a diverged iterate is seen.
/// Source: Daubechies, Defrise & De Mol 2004; learned theta: Gregor & LeCun 2010 (LISTA). Deviation: theta is
/// not kept non-negative, as in Open-L2O.
template <std::floating_point Scalar>
constexpr Scalar soft_threshold(Scalar z, Scalar theta) {
    const Scalar magnitude = std::max(std::abs(z) - theta, Scalar(0));
    return z == 0 ? z : std::copysign(magnitude, z);
}

/// The derivative with respect to z, 0 or 1: [|z| > theta] [z != 0].
template <std::floating_point Scalar>
constexpr Scalar soft_threshold_slope(Scalar z, Scalar theta) {
    return Scalar((std::abs(z) > theta) & (z != 0));  // && would not be vectorised
}

/// out = soft_threshold(z, theta), entry by entry.
/// @param z, out  shape (n); may be the same memory.
/// Cost: O(n), no allocation.
template <std::floating_point Scalar>
void soft_threshold(std::type_identity_t<std::span<const Scalar>> z,
                    Scalar theta,
                    std::type_identity_t<std::span<Scalar>> out) {
    assert(out.size() == z.size());
    for (std::size_t i = 0; i < z.size(); ++i) out[i] = soft_threshold(z[i], theta);
}

/// z_bar = out_bar on, written; returns theta_bar = -sum out_bar sign(z) on, where
/// on = [|z| > theta] [z != 0].
/// @param z, out_bar, z_bar  shape (n); z_bar may be the memory of out_bar.
/// Cost: O(n), no allocation. The sum is taken in double.
template <std::floating_point Scalar>
double soft_threshold_vjp(std::type_identity_t<std::span<const Scalar>> z,
                          Scalar theta,
                          std::type_identity_t<std::span<const Scalar>> out_bar,
                          std::type_identity_t<std::span<Scalar>> z_bar) {
    assert(out_bar.size() == z.size() && z_bar.size() == z.size());
    for (std::size_t i = 0; i < z.size(); ++i) z_bar[i] = soft_threshold_slope(z[i], theta) * out_bar[i];
    return -sum_over(z.size(), [&](std::size_t i) { return std::copysign(Scalar(1), z[i]) * z_bar[i]; });
}

}  // namespace l2o::numerics
