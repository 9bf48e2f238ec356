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

}  // namespace l2o::framework
