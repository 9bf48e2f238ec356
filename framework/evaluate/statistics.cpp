#include <algorithm>
#include <cmath>

#include "framework/evaluate/evaluate.hpp"
#include "framework/evaluate/paired.hpp"

namespace l2o::framework {

Distribution distribution_of(std::vector<double> values) {
    std::erase_if(values, [](double value) { return !std::isfinite(value); });
    if (values.empty()) return {.mean = NAN, .median = NAN, .q10 = NAN, .q25 = NAN, .q75 = NAN, .q90 = NAN};
    std::sort(values.begin(), values.end());
    const auto n = static_cast<double>(values.size());
    double mean = 0;
    for (const double value : values) mean += value / n;
    return {.mean = mean,
            .median = quantile(values, 0.5),
            .q10 = quantile(values, 0.1),
            .q25 = quantile(values, 0.25),
            .q75 = quantile(values, 0.75),
            .q90 = quantile(values, 0.9),
            .finite = static_cast<std::int64_t>(values.size())};
}

Ratios ratios_of(const std::vector<double>& pairs, bool in_decibel) {
    const auto ratio = [&](double u, double w) {
        const double quotient = u == 0 ? 0 : u / w;
        return in_decibel ? 10 * std::log10(quotient) : quotient;
    };
    Ratios ratios;
    double sum_u = 0, sum_w = 0;
    bool is_any_finite = false;
    for (std::size_t i = 0; i < pairs.size(); i += 2) {
        const double u = pairs[i], w = pairs[i + 1];
        ratios.rows.push_back(ratio(u, w));
        if (!std::isfinite(u) || !std::isfinite(w)) continue;
        is_any_finite = true;
        sum_u += u;
        sum_w += w;
    }
    ratios.pooled = is_any_finite ? ratio(sum_u, sum_w) : NAN;
    return ratios;
}

}  // namespace l2o::framework
