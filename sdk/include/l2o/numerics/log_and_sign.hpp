// The gradient preprocessing of the learned recurrent optimizers: magnitude and direction apart.
#ifndef L2O_NUMERICS_LOG_AND_SIGN_HPP
#define L2O_NUMERICS_LOG_AND_SIGN_HPP

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <span>
#include <type_traits>

#include "l2o/numerics/lanes.hpp"

namespace l2o::numerics {

/// Keeps log |g| finite at 0; the float epsilon, for float and double alike.
inline constexpr double kLogAndSignEpsilon = 0x1p-23;

/// log_part = max(ln(|g| + eps) / k, -1) (no upper clamp),   sign_part = clamp(g e^k, -1, 1),   eps = 2^-23.
/// @param k  the magnitude e^-k at which the two parts change roles; L2O-DM: 5 in the code, 10 in the paper.
/// @param g, log_part, sign_part  shape (n); the outputs overlap nothing.
/// Source: Andrychowicz et al. 2016, appendix A. Deviation, that of their code: eps inside the logarithm and
/// both parts clamped, which differs from the paper's two cases by eps only.
/// The logarithm of the rounded |g| + eps has a relative error of at most two epsilons of Scalar.
/// Cost: O(n), no allocation. The bits of an entry do not depend on its position.
template <class Scalar>
void log_and_sign(std::type_identity_t<std::span<const Scalar>> g,
                  Scalar k,
                  std::type_identity_t<std::span<Scalar>> log_part,
                  std::type_identity_t<std::span<Scalar>> sign_part) {
    assert(log_part.size() == g.size() && sign_part.size() == g.size());
    const Scalar gain = std::exp(k);
    for (std::size_t at = 0; at < g.size(); at += std::size_t(kLanes<Scalar>)) {
        const auto count = std::min(kLanes<Scalar>, Eigen::Index(g.size() - at));
        const Lanes<Scalar> tile = load_lanes(g.data() + at, count);
        const Lanes<Scalar> log_tile = ((tile.abs() + Scalar(kLogAndSignEpsilon)).log() / k).max(Scalar(-1));
        const Lanes<Scalar> sign_tile = (tile * gain).max(Scalar(-1)).min(Scalar(1));
        store_lanes(log_tile, log_part.data() + at, count);
        store_lanes(sign_tile, sign_part.data() + at, count);
    }
}

/// Adds to g_bar: log_bar sign(g) / (k (|g| + eps)) + sign_bar e^k, each 0 where its part is clamped.
/// @param g, log_bar, sign_bar, g_bar  shape (n).
/// Cost: O(n), no allocation.
template <class Scalar>
void log_and_sign_vjp(std::type_identity_t<std::span<const Scalar>> g,
                      Scalar k,
                      std::type_identity_t<std::span<const Scalar>> log_bar,
                      std::type_identity_t<std::span<const Scalar>> sign_bar,
                      std::type_identity_t<std::span<Scalar>> g_bar) {
    assert(log_bar.size() == g.size() && sign_bar.size() == g.size() && g_bar.size() == g.size());
    const Scalar gain = std::exp(k);
    const Scalar log_floor = std::exp(-k);
    for (std::size_t i = 0; i < g.size(); ++i) {
        const Scalar shifted = std::abs(g[i]) + Scalar(kLogAndSignEpsilon);
        const Scalar sign = Scalar((g[i] > 0) - (g[i] < 0));
        if (shifted > log_floor) g_bar[i] += log_bar[i] * sign / (k * shifted);
        if (std::abs(g[i] * gain) < 1) g_bar[i] += sign_bar[i] * gain;
    }
}

}  // namespace l2o::numerics

#endif
