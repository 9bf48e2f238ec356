#include "framework/check/slopes.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "framework/check/bench.hpp"

namespace l2o::framework {
namespace {

constexpr int kDirections = 8, kMayFail = 2;
constexpr double kTolerance = 1e-7, kLeast = 5e-7;
constexpr double kGrowsAtJump = 625;  // from the largest step to the smallest, a 10^5-th of it

/// Random, of each element's own size, so that the logarithm of a small one is still smooth along it: a mean
/// of squares may span many decades. Zeros are moved a little.
std::vector<double> direction(const Tensor& tensor, std::uint64_t index) {
    std::vector<double> out = normals(tensor.size(), index);
    double square = 0;
    for (std::int64_t i = 0; i < tensor.size(); ++i) square += tensor.value(i) * tensor.value(i);
    const double rms = std::sqrt(square / static_cast<double>(std::max<std::int64_t>(tensor.size(), 1)));
    for (std::int64_t i = 0; i < tensor.size(); ++i) {
        const double own = std::abs(tensor.value(i));
        // Without numbers there is no rms either.
        const double scale = !(rms > 0) ? 1 : own > 0 ? std::max(own, 1e-16 * rms) : 1e-3 * rms;
        out[static_cast<std::size_t>(i)] *= scale;
    }
    return out;
}

}  // namespace

bool check_slopes(const std::string& what,
                  const std::vector<Slope>& slopes,
                  const std::function<Sum()>& phi) {
    std::vector<std::vector<double>> kept;
    for (const Slope& slope : slopes) {
        const auto values = slope.value->values<double>();
        kept.emplace_back(values.begin(), values.end());
    }
    int failed = 0, jumps = 0;
    std::string seen;
    for (int d = 0; d < kDirections; ++d) {
        std::vector<std::vector<double>> directions;
        double said = 0;
        for (std::size_t i = 0; i < slopes.size(); ++i) {
            directions.push_back(direction(*slopes[i].value, static_cast<std::uint64_t>(d) * 1000 + 10 + i));
            for (std::size_t k = 0; k < directions[i].size(); ++k)
                said += slopes[i].derivative->values<double>()[k] * directions[i][k];
        }
        double size = 0;
        const auto at = [&](double step) {
            for (std::size_t i = 0; i < slopes.size(); ++i) {
                const auto values = slopes[i].value->values<double>();
                for (std::size_t k = 0; k < values.size(); ++k)
                    values[k] = kept[i][k] + step * directions[i][k];
            }
            const Sum sum = phi();
            size = std::max(size, sum.size);
            return sum.value;
        };
        // Fourth order (Richardson); a smaller step where the larger one crosses a kink. Where the last two
        // do not agree kinks lie close, and rounding is the smaller evil.
        bool is_right = false;
        double difference = 0, before = 0, first = NAN, rounding = 0;
        for (const double h : {1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8}) {
            const auto slope = [&](double step) { return (at(step) - at(-step)) / (2 * step); };
            const auto near = [&](double one, double other) {
                rounding = 20 * std::numeric_limits<double>::epsilon() * size / h;
                return std::abs(one - other) <= kTolerance * (std::abs(one) + std::abs(other)) + rounding;
            };
            if (h < kLeast && near(difference, before)) break;
            before = difference;
            difference = (4 * slope(h) - slope(2 * h)) / 3;
            is_right = near(difference, said);
            if (is_right) break;
            // At a kink, or a jump, the derivative is that of one side.
            const double here = at(0);
            const auto of_side = [&](double side) {
                return (4 * at(side) - at(2 * side) - 3 * here) / (2 * side);
            };
            const double right = of_side(h), left = of_side(-h);
            is_right = near(right, said) || near(left, said);
            if (is_right) break;
            // Where neither a larger step nor the other side says otherwise, a smaller step would but hide in
            // its rounding how wrong it is.
            const bool is_first = std::isnan(first);
            if (is_first) first = difference;
            const double wrong = std::abs(difference - said);
            if (!is_first && near(difference, before) && wrong > std::abs(right - left) + rounding) break;
        }
        at(0);
        // Differences that grow as the step shrinks are those of jumps, where there is no derivative.
        const bool is_jump = std::abs(difference) > kGrowsAtJump * std::abs(first) + rounding;
        if (is_right) continue;
        if (is_jump) {
            ++jumps;
            continue;
        }
        ++failed;
        seen = fmt::format("{:.9g}, central differences say {:.9g}", said, difference);
    }
    if (failed > kMayFail)
        throw Broken(fmt::format("{}: wrong along {} of {} random directions, along the last {}",
                                 what,
                                 failed,
                                 kDirections,
                                 seen));
    return jumps < kDirections;
}

std::string Said::text() const {
    std::string names;
    for (const std::string& name : unsaid_)
        if (!said_.contains(name)) names += (names.empty() ? "" : ", ") + name;
    if (names.empty()) return "";
    const std::string text = "nothing is said by " + names + ": every difference leads over a jump";
    if (said_.empty()) throw NotApplicable(text);
    return text;
}

}  // namespace l2o::framework
