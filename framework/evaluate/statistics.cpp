#include <algorithm>
#include <cmath>
#include <limits>

#include "framework/evaluate/evaluate.hpp"
#include "framework/evaluate/paired.hpp"

namespace l2o::framework {

double worst_value(bool is_higher_better) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    return is_higher_better ? -kInfinity : kInfinity;
}

Distribution distribution_of(std::vector<double> values, bool is_higher_better) {
    if (values.empty()) return {.mean = NAN, .median = NAN, .q10 = NAN, .q25 = NAN, .q75 = NAN, .q90 = NAN};
    const double worst = worst_value(is_higher_better);
    const auto or_worst = [&](double value) { return std::isnan(value) ? worst : value; };
    std::transform(values.begin(), values.end(), values.begin(), or_worst);
    std::sort(values.begin(), values.end());
    const auto n = static_cast<double>(values.size());
    double mean = 0;
    for (const double value : values) mean += value / n;
    // Between the best there is, -inf of an error of nothing in decibel, and the worst lies no number.
    return {
        .mean = or_worst(mean),
        .median = or_worst(quantile(values, 0.5)),
        .q10 = or_worst(quantile(values, 0.1)),
        .q25 = or_worst(quantile(values, 0.25)),
        .q75 = or_worst(quantile(values, 0.75)),
        .q90 = or_worst(quantile(values, 0.9)),
        .finite = std::count_if(values.begin(), values.end(), [&](double value) { return value != worst; }),
        .rows = std::ssize(values)};
}

Ratios ratios_of(const std::vector<double>& pairs, bool in_decibel) {
    const auto ratio = [&](double u, double w) {
        const double quotient = u == 0 ? 0 : u / w;
        return in_decibel ? 10 * std::log10(quotient) : quotient;
    };
    Ratios ratios;
    double sum_u = 0, sum_w = 0;
    for (std::size_t i = 0; i < pairs.size(); i += 2) {
        const double u = pairs[i], w = pairs[i + 1];
        ratios.rows.push_back(ratio(u, w));
        sum_u += std::isfinite(u) ? u : NAN;
        sum_w += std::isfinite(w) ? w : NAN;
    }
    ratios.pooled = std::isnan(sum_u) || std::isnan(sum_w) ? NAN : ratio(sum_u, sum_w);
    return ratios;
}

}  // namespace l2o::framework
