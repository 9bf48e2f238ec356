#include "framework/evaluate/compare.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "framework/evaluate/entries.hpp"
#include "framework/evaluate/over_seeds.hpp"

namespace l2o::framework {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Lower is better, and NAN worst.
double loss_of(double value, double sign) { return std::isnan(value) ? kInfinity : sign * value; }

/// a - b, where equal infinities differ by nothing.
double difference_of(double a, double b) { return a == b ? 0 : a - b; }

/// Means over the starts of every instance; of a single instance the rows themselves.
std::vector<double> per_instance(const std::vector<double>& rows, std::int64_t starts) {
    const auto step = static_cast<std::size_t>(starts);
    if (step <= 1 || rows.size() <= step) return rows;
    std::vector<double> means;
    for (std::size_t first = 0; first < rows.size(); first += step) {
        double sum = 0;
        for (std::size_t i = first; i < first + step; ++i) sum += rows[i];
        // A contestant that diverged from one start and a reference that diverged from another: a draw.
        means.push_back(std::isnan(sum) ? 0 : sum / static_cast<double>(starts));
    }
    return means;
}

/// Of what a row paid for, or had at recorded points.
double best_loss(const Curve& curve, std::size_t row, const Judging& judging, double sign) {
    double best = kInfinity;
    if (judging.is_paid_for)
        return curve.staircases[row].empty() ? best : loss_of(curve.staircases[row].back().f, sign);
    for (const std::vector<double>& values : curve.history.values)
        best = std::min(best, loss_of(values[row], sign));
    return best;
}

/// What a row has to come down to, in terms of loss_of(); NAN: cannot be reached.
std::vector<double> thresholds(const std::vector<Curve>& curves, const Judging& judging, double sign) {
    const std::size_t rows = curves.front().history.values.front().size();
    if (judging.target) return std::vector<double>(rows, sign * *judging.target);
    std::vector<double> start(rows, kInfinity), best(rows, kInfinity);
    for (const Curve& curve : curves) {
        for (std::size_t row = 0; row < rows; ++row) {
            // A population may start better than its first particle: what counts is the common start.
            const double first = loss_of(curve.history.values.front()[row], sign);
            start[row] = std::isinf(start[row]) ? first : std::max(start[row], first);
            best[row] = std::min(best[row], best_loss(curve, row, judging, sign));
        }
    }
    for (std::size_t row = 0; row < rows; ++row) {
        const bool is_improved = best[row] < start[row];
        if (std::isfinite(best[row]) && std::isfinite(start[row]))
            best[row] += judging.tolerance * (start[row] - best[row]);
        if (!is_improved) best[row] = NAN;
    }
    return best;
}

/// The first stair, or recorded point, with a loss that is as low as that.
Reached first_reached(
    const Curve& curve, std::size_t row, double limit, const Judging& judging, double sign) {
    if (judging.is_paid_for) {
        for (const Stair& stair : curve.staircases[row])
            if (loss_of(stair.f, sign) <= limit) return stair.reached;
        return {};
    }
    const History& history = curve.history;
    const std::size_t shard = row / static_cast<std::size_t>(history.shard_rows);
    for (std::size_t point = 0; point < history.values.size(); ++point) {
        if (loss_of(history.values[point][row], sign) <= limit)
            return {.iteration = curve.iteration[point],
                    .evaluations = history.evaluations[point][row],
                    .seconds = history.seconds[point][shard]};
    }
    return {};
}

/// What compare() says, of any number that a row of a curve has.   @param sign  -1: higher is better
template <class Number>
std::vector<Comparison> compare_by(const Number& number,
                                   const std::vector<Curve>& curves,
                                   const Judging& judging,
                                   const std::vector<std::size_t>& counted,
                                   double sign) {
    const std::vector<Entry> entries = entries_of(curves);
    const auto reference = std::ranges::find(entries, judging.reference, &Entry::name);
    if (reference == entries.end() || counted.empty()) return {};
    /// By instance, of two trainings.
    const auto differences_of = [&](const Curve& curve, const Curve& other) {
        std::vector<double> rows;
        for (const std::size_t row : counted)
            rows.push_back(
                difference_of(loss_of(number(curve, row), sign), loss_of(number(other, row), sign)));
        std::vector<double> differences = per_instance(rows, judging.starts);
        for (double& difference : differences) difference *= sign;
        return differences;
    };
    std::vector<Comparison> comparisons;
    std::vector<double> p;
    for (const Entry& entry : entries) {
        if (&entry == &*reference) continue;
        SeedDifferences all;
        double wins = 0, pairs = 0;
        for (const std::size_t member : entry.members) {
            all.emplace_back();
            for (const std::size_t other : reference->members) {
                all.back().push_back(differences_of(curves[member], curves[other]));
                for (const double difference : all.back().back())
                    wins += sign * difference < 0 ? 1 : difference == 0 ? 0.5 : 0;
                pairs += static_cast<double>(all.back().back().size());
            }
        }
        const OverSeeds result = compare_over_seeds(all);
        comparisons.push_back({.contestant = entry.name,
                               .difference = result.difference,
                               .interval = result.interval,
                               .better = wins / pairs,
                               .signed_rank = result.signed_rank,
                               .p = result.p,
                               .degrees = result.degrees,
                               .instances = std::ssize(all.front().front()),
                               .trainings = std::ssize(entry.members),
                               .reference_trainings = std::ssize(reference->members)});
        p.push_back(result.p);
    }
    const std::vector<double> adjusted = holm(p);
    for (std::size_t i = 0; i < adjusted.size(); ++i) comparisons[i].p_holm = adjusted[i];
    return comparisons;
}

double paid_to_target(const Curve& curve, std::size_t row) {
    const Reached& reached = curve.reached[row];
    return reached.iteration >= 0 ? reached.evaluations : kInfinity;
}

}  // namespace

std::vector<std::size_t> Judging::counted(const std::string& of_metric, std::size_t rows) const {
    std::vector<std::size_t> all;
    const bool is_whole = unsolved.empty() || !needs_solution.contains(of_metric);
    for (std::size_t row = 0; row < rows; ++row) {
        if (is_whole || !unsolved.contains(static_cast<std::int64_t>(row) / starts)) all.push_back(row);
    }
    return all;
}

Judging judging_of(const EvaluateSettings& evaluate,
                   const Optimizee& optimizee,
                   const std::vector<std::string>& metrics,
                   const std::vector<bool>& is_unsolved) {
    Judging judging{.metric = metrics[shown_metric(metrics, evaluate.metric)],
                    .reference = evaluate.reference,
                    .target = evaluate.target,
                    .tolerance = evaluate.tolerance,
                    .starts = evaluate.starts};
    judging.is_paid_for = reaches_by_payment(judging.metric, optimizee);
    for (const l2o_spec* metric : optimizee.metrics()) {
        if (std::ranges::find(metrics, metric->name) == metrics.end()) continue;
        if ((metric->flags & L2O_SPEC_HIGHER_IS_BETTER) != 0) judging.higher_is_better.insert(metric->name);
        if ((metric->flags & L2O_SPEC_RATIO) != 0) judging.ratios.insert(metric->name);
        if ((metric->flags & L2O_SPEC_NEEDS_SOLUTION) != 0) judging.needs_solution.insert(metric->name);
    }
    for (std::size_t instance = 0; instance < is_unsolved.size(); ++instance)
        if (is_unsolved[instance]) judging.unsolved.insert(static_cast<std::int64_t>(instance));
    return judging;
}

void find_reached(std::vector<Curve>& curves, const Judging& judging) {
    if (curves.empty()) return;
    const double sign = judging.higher_is_better.contains(judging.metric) ? -1 : 1;
    const std::vector<double> limit = thresholds(curves, judging, sign);
    for (Curve& curve : curves) {
        curve.reached.clear();
        for (std::size_t row = 0; row < limit.size(); ++row)
            curve.reached.push_back(first_reached(curve, row, limit[row], judging, sign));
        curve.history = {};
    }
}

std::vector<Comparison> compare(const std::vector<Curve>& curves,
                                const Judging& judging,
                                const std::string& metric) {
    if (curves.empty()) return {};
    const std::size_t index = shown_metric(curves.front().metrics, metric);
    return compare_by([index](const Curve& curve, std::size_t row) { return curve.final_rows[index][row]; },
                      curves,
                      judging,
                      judging.counted(metric, curves.front().final_rows[index].size()),
                      judging.higher_is_better.contains(metric) ? -1 : 1);
}

std::vector<Arrival> arrivals(const std::vector<Curve>& curves, const Judging& judging) {
    const std::vector<Entry> entries = entries_of(curves);
    std::vector<Arrival> all;
    const std::vector<std::size_t> counted =
        curves.empty() ? std::vector<std::size_t>{}
                       : judging.counted(judging.metric, curves.front().reached.size());
    double reference_seconds = NAN, reference_evaluations = NAN;
    for (const Entry& entry : entries) {
        if (counted.empty()) {
            all.push_back({NAN, NAN, NAN, NAN, NAN});
            continue;
        }
        std::vector<double> iterations, evaluations, seconds;
        double arrived = 0;
        for (const std::size_t member : entry.members) {
            for (const std::size_t row : counted) {
                const Reached& reached = curves[member].reached[row];
                const bool is_reached = reached.iteration >= 0;
                arrived += is_reached ? 1 : 0;
                iterations.push_back(is_reached ? static_cast<double>(reached.iteration) : kInfinity);
                evaluations.push_back(paid_to_target(curves[member], row));
                seconds.push_back(is_reached ? reached.seconds : kInfinity);
            }
        }
        std::sort(evaluations.begin(), evaluations.end());
        all.push_back({.share = arrived / static_cast<double>(iterations.size()),
                       .iterations = median_of(iterations),
                       .evaluations = median_of(evaluations),
                       .seconds = median_of(seconds),
                       .break_even = NAN,
                       .evaluations_95 = quantile(evaluations, 0.95)});
        if (entry.name != judging.reference) continue;
        reference_seconds = all.back().seconds;
        reference_evaluations = all.back().evaluations;
    }
    const auto solves = [](double cost, double saved) {
        if (!(cost > 0) || !std::isfinite(saved)) return static_cast<double>(NAN);
        return saved > 0 ? cost / saved : kInfinity;
    };
    for (std::size_t i = 0; i < entries.size(); ++i) {
        Arrival& way = all[i];
        way.break_even = solves(entries[i].training_seconds, reference_seconds - way.seconds);
        way.break_even_by_evaluations =
            solves(entries[i].training_evaluations, reference_evaluations - way.evaluations);
    }
    for (const Comparison& comparison : compare_by(paid_to_target, curves, judging, counted, 1)) {
        const auto entry = std::ranges::find(entries, comparison.contestant, &Entry::name);
        all[static_cast<std::size_t>(entry - entries.begin())].evaluations_p = comparison.p_holm;
    }
    return all;
}

std::vector<Profile> performance_profiles(const std::vector<Curve>& curves, const Judging& judging) {
    std::vector<Profile> profiles;
    if (curves.empty()) return profiles;
    const std::size_t rows = curves.front().reached.size();
    const std::vector<std::size_t> counted = judging.counted(judging.metric, rows);
    std::vector<double> best(rows, kInfinity);
    for (const Curve& curve : curves) {
        for (const std::size_t row : counted) {
            if (curve.reached[row].iteration >= 0)
                best[row] = std::min(best[row], curve.reached[row].evaluations);
        }
    }
    for (const Entry& entry : entries_of(curves)) {
        std::vector<double> ratios;
        for (const std::size_t member : entry.members) {
            for (const std::size_t row : counted) {
                const Reached& reached = curves[member].reached[row];
                if (reached.iteration < 0) continue;
                // A start that has arrived costs nothing: whoever pays anything is infinitely worse.
                const double ratio = reached.evaluations == best[row] ? 1 : reached.evaluations / best[row];
                if (std::isfinite(ratio)) ratios.push_back(ratio);
            }
        }
        const auto all = static_cast<double>(entry.members.size() * counted.size());
        std::sort(ratios.begin(), ratios.end());
        Profile profile;
        for (std::size_t i = 0; i < ratios.size(); ++i) {
            const double share = static_cast<double>(i + 1) / all;
            if (!profile.empty() && profile.back().first == ratios[i])
                profile.back().second = share;
            else
                profile.emplace_back(ratios[i], share);
        }
        profiles.push_back(std::move(profile));
    }
    return profiles;
}

}  // namespace l2o::framework
