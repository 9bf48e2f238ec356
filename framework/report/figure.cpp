#include "framework/report/figure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "framework/evaluate/results.hpp"
#include "framework/store/csv.hpp"

namespace l2o::framework {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// More points than this are finer than the pixels of a figure.
constexpr double kPointsPerCurve = 240;
// What lies beyond has no ratio to what lies at the other end.
constexpr double kLeastOfLog = 1e-150, kMostOfLog = 1e150;

/// An axis over some values: logarithmic if none is negative and they span a factor of 20 or more.
Figure::Axis axis_over(const std::string& label, const std::vector<double>& values) {
    double low = kInfinity, high = -kInfinity, low_positive = kInfinity;
    for (const double value : values) {
        if (!std::isfinite(value)) continue;
        low = std::min(low, value);
        high = std::max(high, value);
        if (value > 0) low_positive = std::min(low_positive, value);
    }
    if (low > high) return {.label = label};
    if (low >= 0 && low_positive < kInfinity && high / low_positive >= 20)
        return {.label = label,
                .is_log = true,
                .low = std::clamp(low_positive, kLeastOfLog, kMostOfLog / 20),
                .high = std::clamp(high, 20 * kLeastOfLog, kMostOfLog)};
    const double margin = low == high ? std::max(std::abs(low), 1.0) * 0.05 : 0;
    return {.label = label, .low = low - margin, .high = high + margin};
}

void widen(Figure::Axis& axis, double share) {
    if (axis.is_log) {
        const double factor = std::pow(axis.high / axis.low, share);
        axis.low /= factor;
        axis.high *= factor;
    } else {
        const double margin = share * (axis.high - axis.low);
        axis.low -= margin;
        axis.high += margin;
    }
}

double place(const Figure::Axis& axis, double value) {
    return axis.is_log ? std::log(value / axis.low) / std::log(axis.high / axis.low)
                       : (value - axis.low) / (axis.high - axis.low);
}

/// Drops the points that no pixel would show; the first and the last stay.
Series thinned(const Series& series, const Figure::Axis& axis) {
    Series thin{.name = series.name, .label = series.label, .place = series.place};
    double last = -kInfinity;
    for (std::size_t i = 0; i < series.x.size(); ++i) {
        if (axis.is_log && series.x[i] <= 0) continue;
        if (!std::isfinite(series.y[i])) continue;
        const double here = place(axis, series.x[i]);
        if (here < last + 1 / kPointsPerCurve && i + 1 < series.x.size()) continue;
        last = here;
        thin.x.push_back(series.x[i]);
        thin.y.push_back(series.y[i]);
        if (series.low.empty()) continue;
        thin.low.push_back(series.low[i]);
        thin.high.push_back(series.high[i]);
    }
    return thin;
}

/// Cuts the axis where somebody diverges, so that the others can be told apart: at ten times the start, or
/// beyond it by a sixth of the way to the best.
/// @return whether somebody is cut
bool cut_divergence(Figure::Axis& axis, double start, bool is_higher_better) {
    if (!std::isfinite(start)) return false;
    if (is_higher_better) {
        const double limit = start - (axis.high - start) / 6;
        if (axis.is_log || axis.high <= start || axis.low >= limit) return false;
        axis.low = limit;
        return true;
    }
    const double limit = axis.is_log ? 10 * start : start + (start - axis.low) / 6;
    if (axis.low >= start || axis.high <= limit) return false;
    axis.high = limit;
    return true;
}

std::vector<double> per_solve(const Curve& curve) { return curve.seconds; }

void append_sentence(std::string& caption, const std::string& sentence) {
    if (!sentence.empty()) caption += " " + sentence;
}

std::size_t rows_that_count(const Results& results) {
    return results.judging.counted(results.judging.metric, results.curves.front().final_rows[0].size())
        .size();
}

/// What every caption says of the rows: who is left out, and who diverged; and what is swept.
void append_rows(std::string& caption, const Results& results) {
    const std::string unsolved = unsolved_text(results.curves, results.judging);
    if (!unsolved.empty()) append_sentence(caption, "There is " + unsolved + ".");
    append_sentence(caption, diverged_caption(results.curves, results.judging));
    const std::vector<Entry> entries = entries_of(results.curves);
    const std::vector<Curve> shown = curves_of(entries, results.curves);
    std::string groups, seeds;
    for (std::size_t i = 0; i < shown.size(); ++i) {
        if (begins_group(shown, i)) groups += (groups.empty() ? "" : "; ") + group_heading(shown[i]);
        if (entries[i].members.size() > 1)
            seeds += fmt::format(
                "{}{} {}", seeds.empty() ? "" : ", ", shown[i].contestant, entries[i].members.size());
    }
    if (!groups.empty()) append_sentence(caption, "Swept: " + groups + ".");
    if (!seeds.empty()) append_sentence(caption, "Over training seeds: " + seeds + ".");
}

/// Of an entry, without numbers.
Series series_of(const std::vector<Curve>& shown, std::size_t index) {
    const Curve& curve = shown[index];
    return {.name = curve.contestant, .label = short_name(curve), .place = group_places(shown)[index]};
}

Figure metric_figure(const Results& results,
                     const std::string& name,
                     const std::string& against,
                     const std::string& label,
                     std::vector<double> (*x_of)(const Curve&)) {
    const Judging& judging = results.judging;
    Figure figure{.name = name, .title = judging.metric + " against " + against};
    std::vector<Series> all;
    std::vector<double> xs, ys;
    double start = NAN;
    const std::vector<Entry> entries = entries_of(results.curves);
    const std::vector<Curve> shown = curves_of(entries, results.curves);
    for (std::size_t i = 0; i < shown.size(); ++i) {
        const Curve& curve = shown[i];
        Series series = series_of(shown, i);
        series.x = x_of(curve);
        for (const Distribution& d : curve.distributions[shown_metric(curve.metrics, judging.metric)]) {
            series.y.push_back(judging.centre_of(d));
            series.low.push_back(d.q10);
            series.high.push_back(d.q90);
        }
        if (std::isnan(start)) start = series.y.front();
        xs.insert(xs.end(), series.x.begin(), series.x.end());
        for (const std::vector<double>* values : {&series.y, &series.low, &series.high})
            ys.insert(ys.end(), values->begin(), values->end());
        all.push_back(std::move(series));
    }
    figure.x = axis_over(label, xs);
    figure.y = axis_over(judging.metric, ys);
    const bool is_higher_better = judging.is_higher_better();
    const bool is_cut = cut_divergence(figure.y, start, is_higher_better);
    widen(figure.y, 0.03);
    figure.caption = fmt::format("{} over {} solves, band from 10 to 90 %{}; {} is better.",
                                 judging.is_ratio() ? "Ratio of the sums" : "Median",
                                 rows_that_count(results),
                                 judging.is_ratio() ? " of single solves" : "",
                                 is_higher_better ? "higher" : "lower");
    if (!seeds_legend(entries).empty())
        figure.caption += " Of several trainings the median of each of these numbers.";
    append_rows(figure.caption, results);
    if (is_cut) figure.caption += " The axis is cut where somebody diverges.";
    if (figure.x.is_log) figure.caption += " The start, at 0, is left of the axis.";
    for (const Series& series : all) figure.series.push_back(thinned(series, figure.x));
    return figure;
}

/// Medians and bands of equally many neighbours.
Series binned(const std::string& name, const std::vector<double>& values) {
    Series series{.name = name};
    const auto bins = std::min(static_cast<double>(values.size()), kPointsPerCurve);
    for (double bin = 0; bin < bins; ++bin) {
        const auto first = static_cast<std::size_t>(bin * static_cast<double>(values.size()) / bins);
        const auto last = static_cast<std::size_t>((bin + 1) * static_cast<double>(values.size()) / bins);
        const Distribution d = distribution_of({values.begin() + static_cast<std::ptrdiff_t>(first),
                                                values.begin() + static_cast<std::ptrdiff_t>(last)});
        if (!std::isfinite(d.median)) continue;
        series.x.push_back(static_cast<double>(first + last + 1) / 2);
        series.y.push_back(d.median);
        series.low.push_back(d.q10);
        series.high.push_back(d.q90);
    }
    return series;
}

/// A file name for any contestant, other than those of the others.
std::string file_name(const std::string& contestant, const std::vector<Figure>& others) {
    constexpr std::size_t kMostBytes = 60;
    std::string name = "training_" + contestant.substr(0, kMostBytes);
    for (char& c : name) {
        const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_plain && c != '_' && c != '-') c = '_';
    }
    const auto is_taken = [&](const std::string& wanted) {
        return std::any_of(
            others.begin(), others.end(), [&](const Figure& other) { return other.name == wanted; });
    };
    std::string free = name;
    for (int n = 2; is_taken(free); ++n) free = fmt::format("{}_{}", name, n);
    return free;
}

}  // namespace

std::string Figure::csv() const {
    const bool has_band = !series.empty() && !series.front().low.empty();
    CsvWriter writer(has_band ? std::vector<std::string>{"series", "x", "y", "low", "high"}
                              : std::vector<std::string>{"series", "x", "y"});
    for (const Series& one : series) {
        for (std::size_t i = 0; i < one.x.size(); ++i) {
            if (has_band && one.low.empty())
                writer.add_row({one.name, one.x[i], one.y[i], one.y[i], one.y[i]});
            else if (has_band)
                writer.add_row({one.name, one.x[i], one.y[i], one.low[i], one.high[i]});
            else
                writer.add_row({one.name, one.x[i], one.y[i]});
        }
    }
    return writer.text();
}

std::vector<Figure> metric_figures(const Results& results) {
    return {metric_figure(results,
                          "metric_iterations",
                          "iterations",
                          "iteration",
                          [](const Curve& curve) {
                              return std::vector<double>(curve.iteration.begin(), curve.iteration.end());
                          }),
            metric_figure(results,
                          "metric_evaluations",
                          "evaluations",
                          "evaluations per solve",
                          [](const Curve& curve) { return curve.evaluations; }),
            metric_figure(results, "metric_time", "time", "time per solve (s)", &per_solve)};
}

std::optional<Figure> difference_figure(const Results& results) {
    const Judging& judging = results.judging;
    const std::vector<Comparison> comparisons = compare(results.curves, judging, judging.metric);
    const bool is_over_seeds = std::ranges::any_of(comparisons, &Comparison::is_over_seeds);
    const std::vector<Curve> shown = curves_of(entries_of(results.curves), results.curves);
    Figure figure{.name = "differences",
                  .title = judging.metric + " less that of " + judging.reference,
                  .caption = fmt::format("Median of the paired differences, with its 95 % {}interval{}; "
                                         "{} of 0 is better than {}.",
                                         is_over_seeds ? "" : "bootstrap ",
                                         is_over_seeds ? " over training seeds and instances" : "",
                                         judging.is_higher_better() ? "right" : "left",
                                         judging.reference),
                  .kind = Figure::Kind::kIntervals};
    std::vector<double> xs{0}, sizes;
    for (const Comparison& comparison : comparisons) sizes.push_back(std::abs(comparison.difference));
    std::sort(sizes.begin(), sizes.end());
    for (const Comparison& comparison : comparisons) {
        const bool has_interval = !std::isnan(comparison.interval.low);  // not of one pair
        const auto [low, high] =
            has_interval ? comparison.interval : Interval{comparison.difference, comparison.difference};
        const bool is_finite =
            std::isfinite(low) && std::isfinite(high) && std::isfinite(comparison.difference);
        // One who diverged would press all others onto the line at 0.
        const bool is_lost =
            comparison.better < 0.5 && std::abs(comparison.difference) > 10 * quantile(sizes, 0.5);
        if (!is_finite || is_lost) {
            figure.caption += fmt::format(
                " {} is off the axis, at {}.", comparison.contestant, number_text(comparison.difference));
            continue;
        }
        const auto curve = std::ranges::find(shown, comparison.contestant, &Curve::contestant);
        Series series = series_of(shown, static_cast<std::size_t>(curve - shown.begin()));
        series.x = {comparison.difference};
        series.y = {static_cast<double>(figure.series.size())};
        series.low = {low};
        series.high = {high};
        figure.series.push_back(std::move(series));
        xs.insert(xs.end(), {low, high});
    }
    if (figure.series.empty()) return std::nullopt;
    append_rows(figure.caption, results);
    figure.x = axis_over("difference in " + judging.metric, xs);
    if (figure.x.is_log) {  // 0 is part of the picture
        figure.x.is_log = false;
        figure.x.low = 0;
    }
    widen(figure.x, 0.05);
    figure.y = {.low = -0.7, .high = static_cast<double>(figure.series.size()) - 0.3};
    return figure;
}

std::optional<Figure> profile_figure(const Results& results) {
    const std::vector<Profile> profiles = performance_profiles(results.curves, results.judging);
    Figure figure{
        .name = "profile",
        .title = "performance profile",
        .caption = fmt::format("Share of the solves that arrive ({}) with at most so many times the "
                               "evaluations of the best contestant (Dolan & Moré 2002).",
                               target_text(results.judging)),
        .x = {.label = "evaluations, relative to the best", .low = 1, .high = 1},
        .y = {.label = "share of solves", .low = 0, .high = 1.03}};
    for (const Profile& profile : profiles) {
        if (!profile.empty()) figure.x.high = std::max(figure.x.high, profile.back().first);
    }
    if (std::all_of(profiles.begin(), profiles.end(), [](const Profile& profile) { return profile.empty(); }))
        return std::nullopt;
    append_rows(figure.caption, results);
    figure.x.high = std::max(1.1 * figure.x.high, 2.0);
    figure.x.is_log = true;
    const std::vector<Curve> shown = curves_of(entries_of(results.curves), results.curves);
    for (std::size_t i = 0; i < profiles.size(); ++i) {
        const Profile& profile = profiles[i];
        Series series = series_of(shown, i);
        series.x.push_back(1);
        series.y.push_back(profile.empty() || profile.front().first > 1 ? 0 : profile.front().second);
        const std::size_t step = 1 + profile.size() / static_cast<std::size_t>(kPointsPerCurve);
        for (std::size_t k = 0; k < profile.size(); ++k) {
            if (k % step != 0 && k + 1 < profile.size()) continue;
            for (const double y : {series.y.back(), profile[k].second}) {  // first to the right, then up
                series.x.push_back(profile[k].first);
                series.y.push_back(y);
            }
        }
        series.x.push_back(figure.x.high);
        series.y.push_back(series.y.back());
        figure.series.push_back(std::move(series));
    }
    return figure;
}

std::optional<Figure> ecdf_figure(const Results& results) {
    if (!results.runtimes) return std::nullopt;
    const Runtimes& runtimes = *results.runtimes;
    Figure figure{
        .name = "ecdf",
        .title = "targets reached against evaluations",
        .caption = fmt::format("Share of {} targets ({}, evenly spaced in their logarithm) on {} solves that "
                               "are reached, by a value paid for, within so many evaluations per dimension "
                               "of x (Hansen et al. 2021).",
                               kEcdfTargets,
                               targets_text(runtimes),
                               runtimes.rows),
        .x = {.label = "evaluations / dimension",
              .is_log = true,
              .low = runtimes.budgets.front(),
              .high = runtimes.budgets.back()},
        .y = {.label = "share of targets", .low = 0, .high = 1.03}};
    const std::vector<Curve> shown = curves_of(entries_of(results.curves), results.curves);
    for (std::size_t i = 0; i < runtimes.runs.size(); ++i) {
        Series series = series_of(shown, i);
        series.x = runtimes.budgets;
        series.y = runtimes.runs[i].share;
        figure.series.push_back(std::move(series));
    }
    return figure;
}

std::vector<Figure> training_figures(const std::vector<TrainingPoint>& points) {
    std::vector<std::string> contestants;
    for (const TrainingPoint& point : points) {
        if (std::find(contestants.begin(), contestants.end(), point.contestant) == contestants.end())
            contestants.push_back(point.contestant);
    }
    std::vector<Figure> figures;
    for (const std::string& contestant : contestants) {
        std::vector<double> losses;
        std::int64_t diverged = 0;
        Series validation{.name = "validation", .place = {.group = 1}};
        for (const TrainingPoint& point : points) {
            if (point.contestant != contestant) continue;
            losses.push_back(point.loss);
            if (point.diverged) ++diverged;
            if (!point.validation || !std::isfinite(*point.validation)) continue;
            validation.x.push_back(static_cast<double>(losses.size()));
            validation.y.push_back(*point.validation);
        }
        const Series training = binned("training", losses);
        if (training.x.empty()) continue;
        std::vector<double> ys = validation.y;
        for (const std::vector<double>* values : {&training.y, &training.low, &training.high})
            ys.insert(ys.end(), values->begin(), values->end());
        Figure figure{.name = file_name(contestant, figures),
                      .title = "training of " + contestant,
                      .caption = "Meta-loss per instance, by trajectory.",
                      .kind = Figure::Kind::kDots,
                      .x = {.label = "trajectory", .low = 0, .high = static_cast<double>(losses.size()) + 1},
                      .y = axis_over("meta-loss", ys),
                      .series = {training}};
        if (const auto all = static_cast<double>(losses.size()); all > kPointsPerCurve)
            figure.caption +=
                fmt::format(" Median and 10-90 % of {:.0f} neighbours each.", all / kPointsPerCurve);
        const std::int64_t finite = distribution_of(losses).finite;
        if (const auto all = static_cast<std::int64_t>(losses.size()); finite < all)
            append_sentence(
                figure.caption,
                fmt::format("Losses that are not finite count as the worst: {} of {}.", all - finite, all));
        if (diverged > 0)
            append_sentence(
                figure.caption,
                fmt::format("{} of {} trajectories diverged; finite windows of one are drawn at their mean.",
                            diverged,
                            losses.size()));
        if (!validation.x.empty()) figure.series.push_back(validation);
        widen(figure.y, 0.03);
        figures.push_back(std::move(figure));
    }
    return figures;
}

}  // namespace l2o::framework
