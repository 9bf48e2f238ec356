#include "framework/evaluate/runtimes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "framework/evaluate/entries.hpp"

namespace l2o::framework {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// COCO's: 10^2 to 10^-8. Relative ones chosen: as many, down to what is plotting accuracy.
constexpr int kFirstDecade = 2, kLastDecade = -8, kFirstRelative = 0, kLastRelative = -5;
constexpr int kBudgetsPerDecade = 20;

/// A target is where + scale * what it is called.
struct Scale {
    std::size_t row = 0;
    double where = 0, scale = 1;
};

std::vector<Scale> absolute_scales(std::size_t rows, std::int64_t starts, const std::vector<double>& optima) {
    std::vector<Scale> scales;
    for (std::size_t row = 0; row < rows; ++row) {
        const double optimum = optima[row / static_cast<std::size_t>(starts)];
        if (std::isfinite(optimum)) scales.push_back({row, optimum, 1});
    }
    return scales;
}

std::vector<Scale> relative_scales(std::size_t rows, const std::vector<Curve>& curves) {
    std::vector<Scale> scales;
    for (std::size_t row = 0; row < rows; ++row) {
        // A population may start better than its first particle: what counts is the common start.
        double start = -kInfinity, best = kInfinity;
        for (const Curve& curve : curves) {
            start = std::fmax(start, curve.history.values.front()[row]);
            if (!curve.staircases[row].empty()) best = std::min(best, curve.staircases[row].back().f);
        }
        if (std::isfinite(start) && best < start) scales.push_back({row, best, start - best});
    }
    return scales;
}

/// Evaluations until a value as low; inf: never. f - where is compared, as in logs of COCO.
double until(const Staircase& stairs, const Scale& scale, double target) {
    for (const Stair& stair : stairs)
        if (stair.f - scale.where <= target * scale.scale) return stair.reached.evaluations;
    return kInfinity;
}

std::vector<double> powers_of_ten(double first, double last, std::int64_t count) {
    std::vector<double> powers;
    for (std::int64_t k = 0; k < count; ++k)
        powers.push_back(
            std::pow(10, first + (last - first) * static_cast<double>(k) / static_cast<double>(count - 1)));
    return powers;
}

/// From one evaluation to all that anybody spent, and a little more.
std::vector<double> budgets_of(const std::vector<Curve>& curves, double dimension) {
    double most = 1;
    for (const Curve& curve : curves)
        for (const double spent : curve.history.evaluations.back()) most = std::max(most, spent);
    const double per_decade = kBudgetsPerDecade;
    const auto first = std::llround(std::floor(per_decade * std::log10(1 / dimension))),
               last = std::llround(std::ceil(per_decade * std::log10(most / dimension)));
    std::vector<double> budgets;
    for (auto k = first; k <= std::max(last, first + 1); ++k)
        budgets.push_back(std::pow(10, static_cast<double>(k) / per_decade));
    return budgets;
}

Runtimes::Run run_of(const Entry& entry,
                     const std::vector<Curve>& curves,
                     const std::vector<Scale>& scales,
                     const Runtimes& all,
                     double dimension) {
    Runtimes::Run run{.contestant = entry.name};
    for (const double target : all.targets) {
        std::int64_t reached = 0;
        double sum = 0;
        for (const std::size_t member : entry.members) {
            const Curve& curve = curves[member];
            for (const Scale& scale : scales) {
                const double evaluations = until(curve.staircases[scale.row], scale, target);
                reached += std::isfinite(evaluations) ? 1 : 0;
                sum += std::isfinite(evaluations) ? evaluations : curve.history.evaluations.back()[scale.row];
            }
        }
        run.reached.push_back(reached);
        run.expected.push_back(reached > 0 ? sum / static_cast<double>(reached) : kInfinity);
    }
    std::vector<double> times;
    for (const double target :
         powers_of_ten(std::log10(all.targets.front()), std::log10(all.targets.back()), kEcdfTargets))
        for (const std::size_t member : entry.members)
            for (const Scale& scale : scales)
                times.push_back(until(curves[member].staircases[scale.row], scale, target) / dimension);
    std::ranges::sort(times);
    for (const double budget : all.budgets) {
        const auto within = std::ranges::upper_bound(times, budget) - times.begin();
        run.share.push_back(static_cast<double>(within) / static_cast<double>(times.size()));
    }
    return run;
}

}  // namespace

std::optional<Runtimes> runtimes_of(const std::vector<Curve>& curves,
                                    const Judging& judging,
                                    std::int64_t dimension,
                                    const std::optional<std::vector<double>>& optima) {
    if (!judging.is_paid_for || curves.empty()) return std::nullopt;
    const std::size_t rows = curves.front().history.values.front().size();
    std::vector<Scale> scales;
    if (optima) scales = absolute_scales(rows, judging.starts, *optima);
    Runtimes all{.is_absolute = !scales.empty()};
    if (!all.is_absolute) scales = relative_scales(rows, curves);
    if (scales.empty()) return std::nullopt;
    all.rows = static_cast<std::int64_t>(scales.size());
    const int first = all.is_absolute ? kFirstDecade : kFirstRelative,
              last = all.is_absolute ? kLastDecade : kLastRelative;
    all.targets = powers_of_ten(first, last, first - last + 1);
    all.budgets = budgets_of(curves, static_cast<double>(dimension));
    for (const Entry& entry : entries_of(curves))
        all.runs.push_back(run_of(entry, curves, scales, all, static_cast<double>(dimension)));
    return all;
}

std::string targets_text(const Runtimes& runtimes) {
    const std::string range =
        fmt::format("from {:g} to {:g}", runtimes.targets.front(), runtimes.targets.back());
    return runtimes.is_absolute
               ? "f - f_opt " + range
               : "what is left of the way from the start to the best objective paid for, " + range;
}

}  // namespace l2o::framework
