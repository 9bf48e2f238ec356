#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/numerics/view.hpp>
#include <numbers>

namespace l2o::plugins::ring {

using numerics::RowMatrix;

inline constexpr std::int64_t kModes = 8;
inline constexpr double kRadius = 2, kDeviation = 0.05;

inline Eigen::RowVector2d centre(std::int64_t mode) {
    const double angle = 2 * std::numbers::pi * double(mode) / double(kModes);
    return kRadius * Eigen::RowVector2d(std::cos(angle), std::sin(angle));
}

/// n points, each N(centre, kDeviation^2 I) of a mode that is drawn uniformly.
template <class T>
RowMatrix<T> draw(numerics::Stream& random, std::int64_t n) {
    RowMatrix<T> points(n, 2);
    for (std::int64_t i = 0; i < n; ++i) {
        const Eigen::RowVector2d at = centre(std::int64_t(random.below(kModes)));
        for (const Eigen::Index c : {0, 1}) points(i, c) = T(at[c] + kDeviation * random.normal());
    }
    return points;
}

/// How many points [n, 2] lie within three standard deviations of each centre; of none two.
template <class T>
std::array<std::int64_t, kModes> near_centres(const RowMatrix<T>& points) {
    std::array<std::int64_t, kModes> near{};
    for (const auto& point : points.rowwise())
        for (std::int64_t k = 0; k < kModes; ++k)
            near[std::size_t(k)] += (point.template cast<double>() - centre(k)).norm() <= 3 * kDeviation;
    return near;
}

/// Between two sets of as many points, of order 1: in one dimension the mean distance of those of equal rank,
/// here its mean over directions at equal angles.
template <class T>
double sliced_wasserstein(const RowMatrix<T>& a, const RowMatrix<T>& b, std::int64_t directions) {
    double sum = 0;
    for (std::int64_t k = 0; k < directions; ++k) {
        const double angle = std::numbers::pi * double(k) / double(directions);
        const Eigen::Vector2d along(std::cos(angle), std::sin(angle));
        Eigen::VectorXd one = a.template cast<double>() * along, other = b.template cast<double>() * along;
        std::sort(one.begin(), one.end());
        std::sort(other.begin(), other.end());
        sum += (one - other).template lpNorm<1>() / double(one.size());
    }
    return sum / double(directions);
}

}  // namespace l2o::plugins::ring
