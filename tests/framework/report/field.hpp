#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "framework/evaluate/results_file.hpp"

namespace l2o::test {

/// A contestant with `points` recorded iterations of `rows` rows; its metric falls from 1 by `rate` per
/// iteration, and row r has 1 + r / 100 times that.
inline framework::Curve contestant(const std::string& name,
                                   double rate,
                                   int points = 100,
                                   std::size_t rows = 8) {
    framework::Curve curve{.contestant = name, .metrics = {"objective"}};
    curve.distributions.resize(1);
    for (int t = 0; t < points; ++t) {
        std::vector<double> values;
        for (std::size_t row = 0; row < rows; ++row)
            values.push_back(std::pow(rate, t) * (1 + static_cast<double>(row) / 100));
        curve.iteration.push_back(t);
        curve.evaluations.push_back(t);
        curve.values.push_back(0);
        curve.gradients.push_back(t);
        curve.seconds.push_back(t * 1e-3);
        curve.distributions[0].push_back(framework::distribution_of(values));
        curve.final_rows = {values};
    }
    // What a hundredth of the start costs, at most all of it.
    const auto until = std::min(static_cast<std::int64_t>(std::ceil(std::log(1e-2) / std::log(rate))),
                                curve.iteration.back());
    const auto cost = static_cast<double>(until);
    if (until >= 0) curve.reached.assign(rows, {until, cost, cost * 1e-3});
    curve.reached.resize(rows);
    return curve;
}

}  // namespace l2o::test
