#include "framework/evaluate/results.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "framework/config/sweep_values.hpp"
#include "framework/evaluate/groups.hpp"
#include "framework/store/csv.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {
namespace {

/// Three digits of a number from 1 to 999.
std::string three_digits(double value) {
    return fmt::format("{:.{}f}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

const Comparison* find(const std::vector<Comparison>& comparisons, const std::string& contestant) {
    for (const Comparison& comparison : comparisons) {
        if (comparison.contestant == contestant) return &comparison;
    }
    return nullptr;
}

void append_comparison(std::vector<CsvCell>& cells, const Judging& judging, const Comparison* comparison) {
    if (comparison == nullptr) {
        cells.insert(cells.end(), 7, "");
        return;
    }
    cells.insert(cells.end(),
                 {judging.reference,
                  comparison->difference,
                  comparison->interval.low,
                  comparison->interval.high,
                  comparison->better,
                  comparison->p,
                  comparison->p_holm});
}

void append_arrival(std::vector<CsvCell>& cells, const Arrival* arrival) {
    if (arrival == nullptr) {
        cells.insert(cells.end(), 5, "");
        return;
    }
    cells.insert(cells.end(),
                 {number_or_empty(arrival->share),
                  number_or_empty(arrival->iterations),
                  number_or_empty(arrival->evaluations),
                  number_or_empty(arrival->seconds),
                  number_or_empty(arrival->break_even)});
}

const std::vector<Distribution>& shown_distributions(const Curve& curve, const Judging& judging) {
    return curve.distributions[shown_metric(curve.metrics, judging.metric)];
}

std::string row_name(const Curve& curve) { return (curve.swept.empty() ? "" : "  ") + member_text(curve); }

bool have_seeds(const std::vector<Entry>& entries) {
    return std::ranges::any_of(entries, [](const Entry& entry) { return entry.members.size() > 1; });
}

std::int64_t row_count(const Curve& curve) { return static_cast<std::int64_t>(curve.final_rows[0].size()); }

}  // namespace

std::string duration_text(double seconds) {
    if (!std::isfinite(seconds)) return "-";
    if (seconds < 0.9995e-3) return three_digits(seconds * 1e6) + " us";
    if (seconds < 0.9995) return three_digits(seconds * 1e3) + " ms";
    if (seconds < 59.95) return three_digits(seconds) + " s";
    const auto whole = static_cast<std::int64_t>(std::lround(seconds));
    if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
    return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

// + 0: not "-0".
std::string number_text(double value) { return fmt::format("{:.4g}", value + 0.0); }

std::string interval_text(const Interval& interval, const std::string& between) {
    if (std::isnan(interval.low)) return "-";
    return number_text(interval.low) + between + number_text(interval.high);
}

std::string value_text(double value, bool is_higher_better) {
    if (std::isnan(value)) return "-";
    return value == worst_value(is_higher_better) ? "diverged" : number_text(value);
}

std::string band_text(const Distribution& d, bool is_higher_better, const std::string& between) {
    if (d.rows == 0) return "-";
    return value_text(d.q10, is_higher_better) + between + value_text(d.q90, is_higher_better);
}

std::string diverged_caption(const std::vector<Curve>& curves, const Judging& judging) {
    std::string who;
    for (const Curve& curve : curves_of(entries_of(curves), curves)) {
        const Distribution& d = shown_distributions(curve, judging).back();
        if (d.finite == d.rows) continue;
        who += fmt::format(
            "{}{} {} of {}", who.empty() ? "" : ", ", curve.contestant, d.rows - d.finite, d.rows);
    }
    return who.empty() ? "" : "Solves that are not finite at the end count as the worst: " + who + ".";
}

std::string unsolved_text(const std::vector<Curve>& curves, const Judging& judging) {
    if (judging.unsolved.empty() || !judging.needs_solution.contains(judging.metric)) return "";
    const std::int64_t instances = row_count(curves.front()) / judging.starts;
    const bool are_all = std::ssize(judging.unsolved) == instances;
    return fmt::format("no certified solution: {} of {} instances left out of {}{}",
                       judging.unsolved.size(),
                       instances,
                       judging.metric,
                       are_all ? ", so it says nothing; choose another evaluate.metric" : "");
}

std::string count_text(double count) {
    if (!std::isfinite(count)) return "-";
    return count == std::floor(count) ? fmt::format("{:.0f}", count) : fmt::format("{:.1f}", count);
}

std::string evaluations_text(const Evaluations& of) {
    return fmt::format(
        "{} ({} f, {} g)", count_text(of.points), count_text(of.values), count_text(of.gradients));
}

std::string percent_text(double share) {
    const double percent = 100 * share;
    return fmt::format("{:.0f} %",
                       share < 1 ? std::min(99.0, share > 0 ? std::max(1.0, percent) : 0) : percent);
}

std::string p_text(double p) { return p < 1e-4 ? "< 0.0001" : fmt::format("{:.2g}", p); }

std::string break_even_text(double solves) {
    if (std::isnan(solves)) return "-";
    if (std::isinf(solves)) return "never";
    return fmt::format("{:.0f}", std::ceil(solves));
}

std::string pairs_text(const std::vector<Comparison>& comparisons, const Judging& judging) {
    const std::int64_t instances = comparisons.front().instances;
    const bool is_over_seeds = std::ranges::any_of(comparisons, &Comparison::is_over_seeds);
    const std::string seeds = is_over_seeds ? ", over training seeds and instances" : "";
    if (judging.starts > 1 && instances == judging.starts)
        return fmt::format("{} starts of one instance{}", instances, seeds);
    return fmt::format("{} instance{}{}", instances, instances == 1 ? "" : "s", seeds);
}

std::string target_text(const Judging& judging) {
    if (judging.target) {
        return fmt::format("{} {} {:g}{}",
                           judging.metric,
                           judging.is_higher_better() ? ">=" : "<=",
                           *judging.target,
                           judging.is_paid_for ? ", paid for" : "");
    }
    return fmt::format("within {:g} % of the way from the start to the best {}",
                       100 * judging.tolerance,
                       judging.is_paid_for ? judging.metric + " paid for" : "known " + judging.metric);
}

std::string unpaid_text(const std::vector<Curve>& curves, const Judging& judging) {
    std::string who;
    for (const Entry& entry : entries_of(curves)) {
        const bool has_paid = std::ranges::any_of(entry.members, [&](std::size_t member) {
            return std::ranges::any_of(curves[member].final_best,
                                       [](double best) { return !std::isnan(best); });
        });
        if (judging.is_paid_for && !has_paid) who += (who.empty() ? "" : ", ") + entry.name;
    }
    return who.empty() ? "" : "; no value was paid for by " + who;
}

void write_curves(const std::filesystem::path& path, const std::vector<Curve>& curves) {
    CsvWriter csv(kCurvesHead);
    for (const Curve& curve : curves) {
        for (std::size_t point = 0; point < curve.iteration.size(); ++point) {
            for (std::size_t metric = 0; metric < curve.metrics.size(); ++metric) {
                const Distribution& d = curve.distributions[metric][point];
                csv.add_row({curve.contestant,
                             curve.iteration[point],
                             curve.evaluations[point],
                             curve.values[point],
                             curve.gradients[point],
                             curve.seconds[point],
                             number_or_empty(curve.best.empty() ? NAN : curve.best[point]),
                             curve.metrics[metric],
                             d.mean,
                             d.median,
                             d.q10,
                             d.q25,
                             d.q75,
                             d.q90,
                             d.finite});
            }
        }
    }
    csv.write(path);
}

void write_summary(const std::filesystem::path& path,
                   const std::vector<Curve>& curves,
                   const Judging& judging) {
    CsvWriter csv({"contestant",
                   "metric",
                   "median",
                   "q10",
                   "q90",
                   "mean",
                   "evaluations",
                   "value_evaluations",
                   "gradient_evaluations",
                   "seconds",
                   "training_seconds",
                   "finite",
                   "rows",
                   "reference",
                   "difference",
                   "difference_low",
                   "difference_high",
                   "better",
                   "p",
                   "p_holm",
                   "reached",
                   "iterations_to_target",
                   "evaluations_to_target",
                   "seconds_to_target",
                   "break_even_solves",
                   "fallback_rate",
                   "trainings",
                   "training_evaluations",
                   "break_even_by_evaluations",
                   "evaluations_to_target_95",
                   "evaluations_to_target_p_holm"});
    std::map<std::string, std::vector<Comparison>> comparisons;
    for (const std::string& metric : curves.front().metrics)
        comparisons[metric] = compare(curves, judging, metric);
    const std::vector<Arrival> ways = arrivals(curves, judging);
    const std::vector<Entry> entries = entries_of(curves);
    const std::vector<Curve> shown = curves_of(entries, curves);
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const Curve& curve = shown[i];
        for (std::size_t metric = 0; metric < curve.metrics.size(); ++metric) {
            const Distribution& d = curve.distributions[metric].back();
            std::vector<CsvCell> cells{curve.contestant,
                                       curve.metrics[metric],
                                       number_or_empty(d.median),
                                       number_or_empty(d.q10),
                                       number_or_empty(d.q90),
                                       number_or_empty(d.mean),
                                       curve.evaluations.back(),
                                       curve.values.back(),
                                       curve.gradients.back(),
                                       curve.seconds.back(),
                                       curve.training_seconds,
                                       d.finite,
                                       d.rows};
            append_comparison(cells, judging, find(comparisons[curve.metrics[metric]], curve.contestant));
            append_arrival(cells, curve.metrics[metric] == judging.metric ? &ways[i] : nullptr);
            cells.push_back(number_or_empty(curve.fallback_rate));
            cells.emplace_back(entries[i].is_trained() ? entries[i].members.size() : std::size_t{0});
            cells.push_back(number_or_empty(entries[i].training_evaluations));
            const bool has_way = curve.metrics[metric] == judging.metric;
            for (const double number :
                 {ways[i].break_even_by_evaluations, ways[i].evaluations_95, ways[i].evaluations_p})
                cells.push_back(number_or_empty(has_way ? number : NAN));
            csv.add_row(cells);
        }
    }
    csv.write(path);
}

std::string seeds_text(const Entry& entry,
                       const std::vector<Curve>& curves,
                       const Judging& judging,
                       const std::string& between) {
    if (entry.members.size() == 1) return "-";
    const auto [least, greatest] = range_of(entry, curves, [&](const Curve& curve) {
        return judging.centre_of(shown_distributions(curve, judging).back());
    });
    const bool is_higher_better = judging.is_higher_better();
    return fmt::format("{}: {}{}{}",
                       entry.members.size(),
                       value_text(least, is_higher_better),
                       between,
                       value_text(greatest, is_higher_better));
}

std::string seeds_legend(const std::vector<Entry>& entries) {
    if (!have_seeds(entries)) return "";
    return "seeds: number of trainings, and the range of what stands for each; the other numbers are medians "
           "over the trainings, evaluations and times means";
}

std::string result_table(const std::vector<Curve>& curves, const Judging& judging, std::size_t columns) {
    const std::vector<Entry> entries = entries_of(curves);
    const std::vector<Curve> shown = curves_of(entries, curves);
    TextTable table{
        .lines = {{"contestant", judging.centre_name(), "10-90 %", "evaluations", "time", "training"}},
        .numbers = true};
    const bool has_seeds = have_seeds(entries);
    constexpr std::ptrdiff_t kSeeds = 3;  // column
    if (has_seeds) table.lines[0].insert(table.lines[0].begin() + kSeeds, "seeds");
    const std::string unsolved = unsolved_text(curves, judging);
    std::string notes = unsolved.empty() ? "" : unsolved + "\n";
    for (std::size_t i = 0; i < shown.size(); ++i) {
        const Curve& curve = shown[i];
        const Distribution& d = shown_distributions(curve, judging).back();
        const bool is_higher_better = judging.is_higher_better();
        if (begins_group(shown, i)) table.lines.push_back({group_heading(curve)});
        std::vector<std::string> line{
            row_name(curve),
            value_text(judging.centre_of(d), is_higher_better),
            band_text(d, is_higher_better, " .. "),
            evaluations_text({curve.evaluations.back(), curve.values.back(), curve.gradients.back()}),
            time_of_solve_text(curve),
            training_text(curve)};
        if (has_seeds) line.insert(line.begin() + kSeeds, seeds_text(entries[i], curves, judging));
        table.lines.push_back(std::move(line));
        if (d.finite < d.rows) {
            notes += fmt::format("{}: {} of {} rows are not finite at the end{}\n",
                                 one_line(curve.contestant),
                                 d.rows - d.finite,
                                 d.rows,
                                 d.finite > 0 ? ", counted as the worst" : "");
        }
    }
    for (const Curve& curve : shown)
        for (const std::string& text : {tuned_text(curve), safeguard_text(curve)})
            notes += text.empty() ? "" : text + "\n";
    for (const std::string& text : {seeds_legend(entries), one_seed_text(entries)})
        notes += text.empty() ? "" : text + "\n";
    return table.text(columns) + folded(notes + time_text(shown) + "\n", columns);
}

std::string training_text(const Curve& curve) {
    if (std::isnan(curve.training_seconds)) return "unknown";
    return curve.training_seconds > 0 ? duration_text(curve.training_seconds) : "-";
}

std::string time_of_solve_text(const Curve& curve) {
    const SolveTime& time = curve.time;
    if (time.runs <= 1) return duration_text(curve.seconds.back());
    const double furthest = std::max(time.high - time.median, time.median - time.low);
    return duration_text(time.median) + " ±" + fmt::format("{:.0f} %", 100 * furthest / time.median);
}

std::string time_text(const std::vector<Curve>& curves) {
    constexpr double kWorthTelling = 1e-3;
    std::string preparing;
    for (const Curve& curve : curves) {
        if (curve.preparation_seconds < kWorthTelling) continue;
        preparing += (preparing.empty() ? "" : ", ") + curve.contestant + " " +
                     duration_text(curve.preparation_seconds);
    }
    const auto is_timed = [](const Curve& curve) { return curve.time.runs > 1; };
    const auto timed = std::ranges::count_if(curves, is_timed);
    constexpr const char* kTimed = "median and 10-90 % of runs of a shard on one thread, processor time";
    return (timed == std::ssize(curves) ? fmt::format("time: of a solve, {}; without sampling", kTimed)
            : timed > 0
                ? fmt::format("time: of a solve; with ±, {}, else as evaluated; without sampling", kTimed)
                : std::string("time: of a solve, as evaluated; without sampling")) +
           (preparing.empty() ? " and recording" : ", recording and preparing (" + preparing + ")");
}

std::string tuned_text(const Curve& curve) {
    if (!curve.tuned) return "";
    const Tuned& tuned = *curve.tuned;
    std::vector<std::string> keys, settings, edges;
    for (const auto& [key, value] : tuned.chosen) keys.push_back(key);
    keys = short_keys(keys);
    double value = NAN;
    for (const auto& [tried, came_to] : tuned.tried)
        if (tried == tuned.chosen) value = came_to;
    for (std::size_t k = 0; k < keys.size(); ++k) {
        settings.push_back(keys[k] + "=" + tuned.chosen[k].second);
        if (std::ranges::find(tuned.on_edge, tuned.chosen[k].first) != tuned.on_edge.end())
            edges.push_back(keys[k]);
    }
    const auto is_same = [&](const auto& one) { return one.second == value; };
    if (!std::isfinite(value))
        return fmt::format(
            "{}: none of {} candidates ends finite on {} validation instances; {} is the first of them",
            curve.contestant,
            tuned.tried.size(),
            tuned.instances,
            fmt::join(settings, ", "));
    if (tuned.tried.size() > 1 && std::ranges::all_of(tuned.tried, is_same))
        return fmt::format(
            "{}: all of {} candidates come to the same on {} validation instances, {} {}; {} is the first of "
            "them",
            curve.contestant,
            tuned.tried.size(),
            tuned.instances,
            tuned.metric,
            number_text(value),
            fmt::join(settings, ", "));
    std::string text = fmt::format(
        "{}: {} is the best of {} on {} validation instances, {} {}, found with {:.0f} evaluations",
        curve.contestant,
        fmt::join(settings, ", "),
        tuned.tried.size(),
        tuned.instances,
        tuned.metric,
        number_text(value),
        tuned.evaluations);
    if (!edges.empty())
        text += fmt::format("; no {} beyond was tried: widen the sweep", fmt::join(edges, " and no "));
    return text;
}

std::string safeguard_text(const Curve& curve) {
    if (curve.safeguard.empty()) return "";
    return fmt::format("{}: {} of its safeguarded steps were those of '{}'",
                       curve.contestant,
                       percent_text(curve.fallback_rate),
                       curve.safeguard);
}

std::string comparison_table(const std::vector<Curve>& curves, const Judging& judging, std::size_t columns) {
    const std::vector<Comparison> comparisons = compare(curves, judging, judging.metric);
    if (comparisons.empty()) return "";
    const std::vector<Curve> shown = curves_of(entries_of(curves), curves);
    // Above a group the name of one of its members would be wider than all of them.
    const std::string against = "against " + judging.reference;
    const std::string above = has_groups(shown) ? cut_to(one_line(against), columns) + "\n" : "";
    TextTable table{.lines = {{above.empty() ? against : "contestant",
                               "difference",
                               "95 %",
                               "better",
                               "p (Holm)",
                               "reached",
                               "evaluations",
                               "time",
                               "break-even"}},
                    .numbers = true};
    const std::vector<Arrival> ways = arrivals(curves, judging);
    for (std::size_t i = 0; i < shown.size(); ++i) {
        const Arrival& way = ways[i];
        if (begins_group(shown, i)) table.lines.push_back({group_heading(shown[i])});
        std::vector<std::string> line{row_name(shown[i]), "-", "-", "-", "-", "", "", "", ""};
        if (const Comparison* comparison = find(comparisons, shown[i].contestant)) {
            line[1] = number_text(comparison->difference);
            line[2] = interval_text(comparison->interval, " .. ");
            line[3] = percent_text(comparison->better);
            line[4] = p_text(comparison->p_holm);
        }
        line[5] = percent_text(way.share);
        line[6] = count_text(way.evaluations);
        line[7] = duration_text(way.seconds);
        line[8] = break_even_text(way.break_even);
        table.lines.push_back(line);
    }
    const bool has_dashes =
        std::ranges::any_of(ways, [](const Arrival& way) { return !std::isfinite(way.evaluations); });
    const std::string legend =
        fmt::format("difference: {}{}, paired on {}; reached: {}{}{}\n",
                    judging.metric,
                    judging.is_ratio() ? " row by row" : "",
                    pairs_text(comparisons, judging),
                    target_text(judging),
                    unpaid_text(curves, judging),
                    has_dashes ? "; evaluations and time: of the median solve, - where "
                                 "half of them do not arrive"
                               : "");
    return above + table.text(columns) + folded(legend, columns);
}

bool all_diverged(const std::vector<Curve>& curves) {
    return std::all_of(curves.begin(), curves.end(), [](const Curve& curve) {
        return curve.distributions[0].back().finite == 0;
    });
}

}  // namespace l2o::framework
