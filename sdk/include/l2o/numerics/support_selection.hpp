// The soft threshold that leaves the largest entries of a row alone.
// Source: Chen, Liu, Wang & Yin 2018 (LISTA-CPSS, arXiv:1808.10038v2), thresholding with support selection.
// The paper leaves open which entries q percent are; the codes of this family differ, see SupportRule.
#pragma once

#include <algorithm>
#include <cassert>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <type_traits>

#include "l2o/numerics/marked.hpp"
#include "l2o/numerics/soft_threshold.hpp"

namespace l2o::numerics {

/// The share of entries that layer `layer` (from 0) may select, in percent: min((layer + 1) per_layer, max).
inline double support_percent(std::ptrdiff_t layer, double percent_per_layer, double percent_max) {
    return std::min(double(layer + 1) * percent_per_layer, percent_max);
}

/// Index, in the entries of a row sorted by falling magnitude, of the one that a selected entry must exceed;
/// without ties it is the number of entries above it. It is that of the 'nearest' percentile 100 - q of
/// TensorFlow Probability: computed in double, halves rounded to even as counted from the large end, which
/// matters (n = 126, q = 1.2: 1.5 -> 2).
/// @pre n > 0, 0 <= percent <= 100
inline std::size_t support_index(std::size_t n, double percent) {
    assert(n > 0);
    const double last = double(n - 1);
    return std::size_t(std::clamp(std::nearbyint(last * (1 - (100 - percent) / 100)), 0.0, last));
}

/// Which entries are left alone. `amount` says how many, in the unit of the rule.
enum class SupportRule {
    /// |z| > theta and |z| > the magnitude at support_index, `amount` in percent: Open-L2O.
    kPercentile,
    /// |z| >= theta and |z| >= the quantile 1 - amount, interpolated linearly, `amount` in [0, 1]: the code
    /// of
    /// HyperLISTA (Chen, Liu, Wang & Yin 2021), torch.quantile. The largest entry is always one of them.
    kQuantile,
    /// |z| > the magnitude of rank `amount`, whatever theta; none if it is 0: the code of NA-ALISTA (Behrens,
    /// Sauder & Jung 2021). Without ties amount - 1 entries.
    kCount,
};

/// The magnitude T that a selected entry must exceed, or reach. NaN ranks as 0.
/// @param z, workspace  shape (n), n > 0; the workspace is overwritten.
/// @param floor         kPercentile only: T is `floor` if it is not greater. Entries up to it are not ranked:
///                      where it is a threshold, most are not.
/// Cost: O(n) on average, no allocation.
template <std::floating_point Scalar>
Scalar support_magnitude(std::type_identity_t<std::span<const Scalar>> z,
                         SupportRule rule,
                         double amount,
                         std::span<Scalar> workspace,
                         std::type_identity_t<Scalar> floor = -1) {
    assert(workspace.size() >= z.size());
    // Nothing exceeds the largest.
    if ((rule == SupportRule::kCount && amount < 1) ||
        (rule == SupportRule::kPercentile && support_index(z.size(), amount) == 0))
        return std::numeric_limits<Scalar>::infinity();
    // A NaN would break the order that nth_element relies on.
    const auto magnitude = [z](std::size_t i) {
        const Scalar size = std::abs(z[i]);
        return size >= 0 ? size : Scalar(0);
    };
    std::size_t count = 0;
    for_each_marked(
        z.size(),
        [&](std::size_t i) { return magnitude(i) > floor; },
        [&](std::size_t i) { workspace[count++] = magnitude(i); });
    const double last = double(z.size() - 1);
    const double rank = rule == SupportRule::kPercentile ? double(support_index(z.size(), amount))
                        : rule == SupportRule::kQuantile ? std::clamp(amount, 0.0, 1.0) * last
                                                         : std::min(amount - 1, last);
    if (double(count) <= rank) return floor;
    const auto end = workspace.begin() + std::ptrdiff_t(count);
    const auto nth = workspace.begin() + std::ptrdiff_t(rank);
    std::nth_element(workspace.begin(), nth, end, std::greater<>{});
    const Scalar share = Scalar(rank - std::floor(rank));
    if (rule != SupportRule::kQuantile || share == 0) return *nth;
    return *nth + share * (*std::max_element(nth + 1, end) - *nth);
}

namespace detail {

/// @param theta_of     of entry i
/// @param is_selected  of entry i, its magnitude and its theta
template <std::floating_point Scalar, class Theta, class Selected>
void support_selection(std::span<const Scalar> z,
                       const Theta& theta_of,
                       const Selected& is_selected,
                       std::span<Scalar> out,
                       std::span<std::uint8_t> selected) {
    assert(out.size() == z.size() && (selected.empty() || selected.size() == z.size()));
    for (std::size_t i = 0; i < z.size(); ++i) {
        const Scalar theta = theta_of(i);
        const bool is_left = is_selected(std::abs(z[i]), theta);
        if (!selected.empty()) selected[i] = is_left;
        out[i] = is_left ? z[i] : soft_threshold(z[i], theta);
    }
}

/// @param subtract  called with i and what of out_bar[i] goes back to theta with a minus
template <std::floating_point Scalar, class Theta, class Subtract>
void support_selection_vjp(std::span<const Scalar> z,
                           const Theta& theta_of,
                           std::span<const std::uint8_t> selected,
                           std::span<const Scalar> out_bar,
                           std::span<Scalar> z_bar,
                           const Subtract& subtract) {
    assert(selected.size() == z.size() && out_bar.size() == z.size() && z_bar.size() == z.size());
    for (std::size_t i = 0; i < z.size(); ++i) {
        const Scalar slope = std::max(Scalar(selected[i] != 0), soft_threshold_slope(z[i], theta_of(i)));
        z_bar[i] = slope * out_bar[i];
    }
    for_each_marked(
        z.size(),
        [&](std::size_t i) { return (z_bar[i] != 0) & (selected[i] == 0); },
        [&](std::size_t i) { subtract(i, double(std::copysign(Scalar(1), z[i]) * z_bar[i])); });
}

}  // namespace detail

/// One row: out = z where selected, else soft_threshold(z, theta); selected as the rule says, which is where
/// T = support_magnitude and theta come in.
/// @param z, out     shape (n); may be the same memory.
/// @param selected   shape (n), 1 or 0; empty if not wanted.
/// @param workspace  shape (n), contents undefined on return.
/// Cost: O(n) on average, no allocation.
template <std::floating_point Scalar>
void support_selection(std::type_identity_t<std::span<const Scalar>> z,
                       Scalar theta,
                       SupportRule rule,
                       double amount,
                       std::type_identity_t<std::span<Scalar>> out,
                       std::span<std::uint8_t> selected,
                       std::type_identity_t<std::span<Scalar>> workspace) {
    const Scalar floor = rule == SupportRule::kPercentile ? theta : Scalar(-1);
    const Scalar bar = support_magnitude<Scalar>(z, rule, amount, workspace, floor);
    const Scalar both = std::max(theta, bar);
    const auto theta_of = [theta](std::size_t) { return theta; };
    const auto select = [&](auto is_selected) {
        detail::support_selection<Scalar>(z, theta_of, is_selected, out, selected);
    };
    switch (rule) {
        case SupportRule::kPercentile:
            return select([both](Scalar size, Scalar) { return size > both; });
        case SupportRule::kQuantile:
            return select([both](Scalar size, Scalar) { return size >= both; });
        case SupportRule::kCount:
            return select([bar](Scalar size, Scalar) { return size > bar; });
    }
}
/// With the rule kPercentile and a threshold of its own for every entry.
/// @param theta    shape (n).   @param percent  q, share of the row that may be selected, in percent.
template <std::floating_point Scalar>
void support_selection(std::type_identity_t<std::span<const Scalar>> z,
                       std::span<const Scalar> theta,
                       double percent,
                       std::type_identity_t<std::span<Scalar>> out,
                       std::span<std::uint8_t> selected,
                       std::type_identity_t<std::span<Scalar>> workspace) {
    assert(theta.size() == z.size());
    Scalar least = std::numeric_limits<Scalar>::infinity();
    for (const Scalar t : theta) least = std::min(least, t);
    const Scalar bar = support_magnitude(z, SupportRule::kPercentile, percent, workspace, least);
    detail::support_selection<Scalar>(
        z,
        [theta](std::size_t i) { return theta[i]; },
        [bar](Scalar size, Scalar theta_i) { return size > std::max(theta_i, bar); },
        out,
        selected);
}

/// z_bar = out_bar on, written; returns theta_bar = -sum out_bar sign(z) on (1 - selected), where
/// on = max(selected, [|z| > theta] [z != 0]). The selection is a constant for differentiation.
/// @param z, out_bar, selected, z_bar  shape (n), `selected` from the forward pass; z_bar may be the memory
///        of out_bar.
/// Cost: O(n), no allocation. The sum is taken in double.
template <std::floating_point Scalar>
double support_selection_vjp(std::type_identity_t<std::span<const Scalar>> z,
                             Scalar theta,
                             std::span<const std::uint8_t> selected,
                             std::type_identity_t<std::span<const Scalar>> out_bar,
                             std::type_identity_t<std::span<Scalar>> z_bar) {
    double theta_bar = 0;
    detail::support_selection_vjp<Scalar>(
        z,
        [theta](std::size_t) { return theta; },
        selected,
        out_bar,
        z_bar,
        [&](std::size_t, double bar) { theta_bar -= bar; });
    return theta_bar;
}
/// With a threshold of its own for every entry.   @param theta, theta_bar  shape (n), the latter added to.
template <std::floating_point Scalar>
void support_selection_vjp(std::type_identity_t<std::span<const Scalar>> z,
                           std::span<const Scalar> theta,
                           std::span<const std::uint8_t> selected,
                           std::type_identity_t<std::span<const Scalar>> out_bar,
                           std::type_identity_t<std::span<Scalar>> z_bar,
                           std::span<double> theta_bar) {
    assert(theta.size() == z.size() && theta_bar.size() == z.size());
    detail::support_selection_vjp<Scalar>(
        z,
        [theta](std::size_t i) { return theta[i]; },
        selected,
        out_bar,
        z_bar,
        [&](std::size_t i, double bar) { theta_bar[i] -= bar; });
}

}  // namespace l2o::numerics
