#include "framework/evaluate/paired.hpp"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <l2o/numerics/philox.hpp>
#include <numeric>

namespace l2o::framework {
namespace {

constexpr std::int64_t kMostExactPairs = 50;
constexpr int kBootstrapSamples = 2000;

/// P(sum of positive ranks <= limit) if every sign is a fair coin.
double exact_lower_tail(std::int64_t pairs, std::int64_t limit) {
    // ways[s]: subsets of the ranks so far with sum s; below 2^50, so a double counts them exactly.
    std::vector<double> ways(static_cast<std::size_t>(pairs * (pairs + 1) / 2 + 1), 0);
    ways[0] = 1;
    for (std::int64_t rank = 1; rank <= pairs; ++rank) {
        for (std::size_t sum = ways.size() - 1; sum >= static_cast<std::size_t>(rank); --sum)
            ways[sum] += ways[sum - static_cast<std::size_t>(rank)];
    }
    return std::accumulate(ways.begin(), ways.begin() + limit + 1, 0.0) /
           std::exp2(static_cast<double>(pairs));
}

}  // namespace

double quantile(const std::vector<double>& sorted, double probability) {
    const double place = probability * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    const double part = place - static_cast<double>(below);
    // Between two infinities of one sign, and at a place of its own, nothing is interpolated.
    if (part == 0 || sorted[below] == sorted[above]) return sorted[below];
    if (std::isinf(sorted[below]) && std::isfinite(sorted[above])) return sorted[below];
    return sorted[below] + part * (sorted[above] - sorted[below]);
}

SignedRank wilcoxon_signed_rank(std::vector<double> differences) {
    std::erase(differences, 0.0);
    std::sort(
        differences.begin(), differences.end(), [](double a, double b) { return std::abs(a) < std::abs(b); });
    const auto n = static_cast<double>(differences.size());
    SignedRank result{.pairs = static_cast<std::int64_t>(differences.size())};
    if (differences.empty()) return result;
    double tie_term = 0;
    for (std::size_t first = 0, last = 0; first < differences.size(); first = last) {
        while (last < differences.size() && std::abs(differences[last]) == std::abs(differences[first]))
            ++last;
        const auto tied = static_cast<double>(last - first);
        const double mean_rank = (static_cast<double>(first + last) + 1) / 2;
        for (std::size_t i = first; i < last; ++i) {
            if (differences[i] > 0) result.positive_ranks += mean_rank;
        }
        tie_term += tied * tied * tied - tied;
    }
    const double mean = n * (n + 1) / 4;
    result.is_exact = result.pairs <= kMostExactPairs && tie_term == 0;
    if (result.is_exact) {
        const double smaller = std::min(result.positive_ranks, 2 * mean - result.positive_ranks);
        result.p = std::min(1.0, 2 * exact_lower_tail(result.pairs, std::llround(smaller)));
        return result;
    }
    const double variance = n * (n + 1) * (2 * n + 1) / 24 - tie_term / 48;
    const double distance = std::max(0.0, std::abs(result.positive_ranks - mean) - 0.5);
    const boost::math::normal standard;
    result.p = std::min(
        1.0, 2 * boost::math::cdf(boost::math::complement(standard, distance / std::sqrt(variance))));
    return result;
}

double student_p(double t, double degrees) {
    return 2 * boost::math::cdf(boost::math::complement(boost::math::students_t(degrees), std::abs(t)));
}

double student_limit(double degrees) {
    constexpr double kUpper = 0.975;
    return boost::math::quantile(boost::math::students_t(degrees), kUpper);
}

std::vector<double> holm(const std::vector<double>& p) {
    std::vector<std::size_t> order(p.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
    std::vector<double> adjusted(p.size());
    double largest = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
        largest = std::max(largest, std::min(1.0, static_cast<double>(p.size() - i) * p[order[i]]));
        adjusted[order[i]] = largest;
    }
    return adjusted;
}

Interval bootstrap_median(const std::vector<double>& values) {
    constexpr numerics::Key kKey{0x6c326f, 0x626f6f74};
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    std::vector<double> medians;
    std::vector<std::uint32_t> drawn(sorted.size());
    std::vector<double> sample(sorted.size());
    for (int b = 0; b < kBootstrapSamples; ++b) {
        numerics::Stream stream(kKey, static_cast<std::uint64_t>(b));
        // Counting how often every sorted value is drawn sorts the sample.
        std::fill(drawn.begin(), drawn.end(), 0);
        for (std::size_t i = 0; i < sorted.size(); ++i) ++drawn[stream.below(sorted.size())];
        std::size_t filled = 0;
        for (std::size_t i = 0; i < sorted.size(); ++i) {
            for (std::uint32_t times = 0; times < drawn[i]; ++times) sample[filled++] = sorted[i];
        }
        const double median = quantile(sample, 0.5);
        medians.push_back(std::isnan(median) ? 0 : median);  // half-way between -inf and inf
    }
    std::sort(medians.begin(), medians.end());
    return {quantile(medians, 0.025), quantile(medians, 0.975)};
}

}  // namespace l2o::framework
