// The soft threshold that leaves the largest entries of a row alone.
// Source: Chen, Liu, Wang & Yin 2018 (LISTA-CPSS, arXiv:1808.10038v2), thresholding with support selection.
// The paper leaves open which entries q percent are; this is the rule of the Open-L2O code.
#ifndef L2O_NUMERICS_SUPPORT_SELECTION_HPP
#define L2O_NUMERICS_SUPPORT_SELECTION_HPP

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

/// The magnitude T at support_index, or `floor` if that is not less. NaN ranks as 0.
/// @param z, workspace  shape (n); the workspace is overwritten.
/// @param floor         entries up to it are not ranked: where it is a threshold, most are not.
/// Cost: O(n) on average, no allocation.
template <std::floating_point Scalar>
Scalar support_magnitude(std::type_identity_t<std::span<const Scalar>> z,
                         double percent,
                         std::span<Scalar> workspace,
                         std::type_identity_t<Scalar> floor = -1) {
    assert(workspace.size() >= z.size());
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
    const std::size_t index = support_index(z.size(), percent);
    if (count <= index) return floor;
    const auto nth = workspace.begin() + std::ptrdiff_t(index);
    std::nth_element(workspace.begin(), nth, workspace.begin() + std::ptrdiff_t(count), std::greater<>{});
    return *nth;
}

namespace detail {

/// @param theta_least  of all theta_of(i)
template <std::floating_point Scalar, class Theta>
void support_selection(std::span<const Scalar> z,
                       const Theta& theta_of,
                       Scalar theta_least,
                       double percent,
                       std::span<Scalar> out,
                       std::span<std::uint8_t> selected,
                       std::span<Scalar> workspace) {
    assert(out.size() == z.size() && (selected.empty() || selected.size() == z.size()));
    const Scalar bar = support_magnitude(z, percent, workspace, theta_least);
    for (std::size_t i = 0; i < z.size(); ++i) {
        const Scalar theta = theta_of(i);
        const bool is_selected = std::abs(z[i]) > std::max(theta, bar);
        if (!selected.empty()) selected[i] = is_selected;
        out[i] = is_selected ? z[i] : soft_threshold(z[i], theta);
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
    for (std::size_t i = 0; i < z.size(); ++i)
        z_bar[i] = soft_threshold_slope(z[i], theta_of(i)) * out_bar[i];
    for_each_marked(
        z.size(),
        [&](std::size_t i) { return (z_bar[i] != 0) & (selected[i] == 0); },
        [&](std::size_t i) { subtract(i, double(std::copysign(Scalar(1), z[i]) * z_bar[i])); });
}

}  // namespace detail

/// One row: out = z where selected, else soft_threshold(z, theta); selected = [|z| > theta] [|z| > T],
/// both strict, T the magnitude at support_index.
/// @param z, out     shape (n); may be the same memory.
/// @param percent    q, share of the row that may be selected, in percent.
/// @param selected   shape (n), 1 or 0; empty if not wanted.
/// @param workspace  shape (n), contents undefined on return.
/// Cost: O(n) on average, no allocation.
template <std::floating_point Scalar>
void support_selection(std::type_identity_t<std::span<const Scalar>> z,
                       Scalar theta,
                       double percent,
                       std::type_identity_t<std::span<Scalar>> out,
                       std::span<std::uint8_t> selected,
                       std::type_identity_t<std::span<Scalar>> workspace) {
    detail::support_selection<Scalar>(
        z, [theta](std::size_t) { return theta; }, theta, percent, out, selected, workspace);
}
/// With a threshold of its own for every entry.   @param theta  shape (n).
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
    detail::support_selection<Scalar>(
        z, [theta](std::size_t i) { return theta[i]; }, least, percent, out, selected, workspace);
}

/// z_bar = out_bar on, written; returns theta_bar = -sum out_bar sign(z) on (1 - selected), where
/// on = [|z| > theta] [z != 0]. The selection is a constant for differentiation, and selected entries are on.
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

#endif
