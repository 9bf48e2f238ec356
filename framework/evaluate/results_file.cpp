#include "framework/evaluate/results_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "framework/evaluate/results.hpp"
#include "framework/evaluate/results_checks.hpp"
#include "framework/evaluate/results_head.hpp"
#include "framework/evaluate/results_table.hpp"

namespace l2o::framework {
namespace {

/// Columns of finals.csv before the metrics.
const std::vector<std::string> kFinalsHead{"contestant",
                                           "instance",
                                           "start",
                                           "reached_iteration",
                                           "reached_evaluations",
                                           "reached_seconds",
                                           "best_objective"};

constexpr std::size_t kMetricColumn = 7;  // of curves.csv

std::vector<std::string> finals_head(const std::vector<std::string>& metrics) {
    std::vector<std::string> header = kFinalsHead;
    header.insert(header.end(), metrics.begin(), metrics.end());
    return header;
}

Curve& curve_of(Results& results,
                const std::string& contestant,
                const std::filesystem::path& path,
                std::size_t row) {
    for (Curve& curve : results.curves) {
        if (curve.contestant == contestant) return curve;
    }
    refuse_row(path, row, "'" + contestant + "' is no contestant of results.json");
}

/// The counters of a point: the same on all its lines, and never less than at the point before.
void read_counters(const ResultsTable& csv, std::size_t row, Curve& curve, bool is_first_line) {
    constexpr std::size_t kFirst = 2;  // column
    const std::array<std::vector<double>*, 4> counters{
        &curve.evaluations, &curve.values, &curve.gradients, &curve.seconds};
    for (std::size_t i = 0; i < counters.size(); ++i) {
        std::vector<double>& counter = *counters[i];
        const std::string& name = kCurvesHead[kFirst + i];
        const double value = csv.amount(row, kFirst + i);
        if (!is_first_line) {
            if (value != counter.back())
                refuse_row(csv.path(),
                           row,
                           fmt::format("{} is {}, and {} on the first line of this point",
                                       name,
                                       csv.text(row, kFirst + i),
                                       counter.back()));
            continue;
        }
        if (!counter.empty() && value < counter.back())
            refuse_row(csv.path(),
                       row,
                       fmt::format("{} of '{}' falls from {} to {}",
                                   name,
                                   curve.contestant,
                                   counter.back(),
                                   csv.text(row, kFirst + i)));
        counter.push_back(value);
    }
}

/// The best objective by a point: the same on all its lines.
void read_best(const ResultsTable& csv, std::size_t row, Curve& curve, bool is_first_line) {
    const double best = csv.number_or_nan(row, kMetricColumn - 1);
    if (is_first_line) return curve.best.push_back(best);
    if (best != curve.best.back() && !(std::isnan(best) && std::isnan(curve.best.back())))
        refuse_row(
            csv.path(),
            row,
            fmt::format(
                "best_objective is {}, and {} on the first line of this point", best, curve.best.back()));
}

void read_curves(const std::filesystem::path& path, Results& results) {
    const ResultsTable csv(path, kCurvesHead);
    for (std::size_t row = 0; row < csv.rows(); ++row) {
        Curve& curve = curve_of(results, csv.text(row, 0), path, row);
        curve.distributions.resize(curve.metrics.size());
        const std::string& name = csv.text(row, kMetricColumn);
        const auto metric = static_cast<std::size_t>(
            std::find(curve.metrics.begin(), curve.metrics.end(), name) - curve.metrics.begin());
        if (metric == curve.metrics.size())
            refuse_row(path, row, "'" + name + "' is no metric of results.json");
        const std::int64_t iteration = csv.whole(row, 1, 0, kMostIterations);
        if (metric == 0) {
            if (curve.iteration.empty() ? iteration != 0 : iteration <= curve.iteration.back())
                refuse_row(path, row, "the iterations of '" + curve.contestant + "' do not rise from 0");
            curve.iteration.push_back(iteration);
        }
        std::vector<Distribution>& points = curve.distributions[metric];
        if (points.size() + 1 != curve.iteration.size() || curve.iteration.back() != iteration)
            refuse_row(path, row, "'" + name + "' is not at the point of '" + curve.metrics.front() + "'");
        read_counters(csv, row, curve, metric == 0);
        read_best(csv, row, curve, metric == 0);
        const auto rows = std::ssize(results.judging.counted(name, curve.final_rows[metric].size()));
        points.push_back({.mean = csv.number(row, kMetricColumn + 1),
                          .median = csv.number(row, kMetricColumn + 2),
                          .q10 = csv.number(row, kMetricColumn + 3),
                          .q25 = csv.number(row, kMetricColumn + 4),
                          .q75 = csv.number(row, kMetricColumn + 5),
                          .q90 = csv.number(row, kMetricColumn + 6),
                          .finite = csv.whole(row, kMetricColumn + 7, 0, static_cast<double>(rows)),
                          .rows = rows});
        check_distribution(csv, row, points.back(), results.judging, name);
    }
    for (const Curve& curve : results.curves) {
        if (curve.iteration.empty())
            refuse_results(path, "there is nothing about '" + curve.contestant + "'");
        for (const auto& points : curve.distributions) {
            if (points.size() != curve.iteration.size())
                refuse_results(path, "a metric of '" + curve.contestant + "' lacks points");
        }
        check_end(path, curve, results.judging);
    }
}

void read_finals(const std::filesystem::path& path, Results& results) {
    const Judging& judging = results.judging;
    const std::vector<std::string>& metrics = results.curves.front().metrics;
    const ResultsTable csv(path, finals_head(metrics));
    const auto starts = static_cast<std::size_t>(judging.starts);
    for (std::size_t row = 0; row < csv.rows(); ++row) {
        Curve& curve = curve_of(results, csv.text(row, 0), path, row);
        curve.final_rows.resize(metrics.size());
        const std::size_t own = curve.reached.size(), instance = own / starts, start = own % starts;
        if (csv.number(row, 1) != static_cast<double>(instance) ||
            csv.number(row, 2) != static_cast<double>(start)) {
            refuse_row(
                path,
                row,
                fmt::format("is instance {}, start {}, where instance {}, start {} of '{}' has its place",
                            csv.text(row, 1),
                            csv.text(row, 2),
                            instance,
                            start,
                            curve.contestant));
        }
        Reached reached{.iteration = csv.whole(row, 3, -1, kMostIterations)};
        if (reached.iteration >= 0) {
            reached.evaluations = csv.amount(row, 4);
            reached.seconds = csv.amount(row, 5);
        } else if (!std::isnan(csv.number(row, 4)) || !std::isnan(csv.number(row, 5))) {
            refuse_row(path, row, "has costs of reaching the target, which it never did");
        }
        curve.reached.push_back(reached);
        curve.final_best.push_back(csv.number_or_nan(row, kFinalsHead.size() - 1));
        const bool is_unsolved = judging.unsolved.contains(static_cast<std::int64_t>(instance));
        for (std::size_t metric = 0; metric < metrics.size(); ++metric) {
            const double value = csv.number(row, kFinalsHead.size() + metric);
            curve.final_rows[metric].push_back(value);
            const bool is_left_out = is_unsolved && judging.needs_solution.contains(metrics[metric]);
            if (is_left_out && !std::isnan(value))
                refuse_row(
                    path,
                    row,
                    fmt::format(
                        "{} is {}, and its instance has no certified solution", metrics[metric], value));
            if (is_left_out && metrics[metric] == judging.metric && reached.iteration >= 0)
                refuse_row(path, row, "reached a target, and its instance has no certified solution");
        }
    }
    for (const Curve& curve : results.curves) {
        if (curve.reached.empty() || curve.reached.size() != results.curves.front().reached.size())
            refuse_results(path, "'" + curve.contestant + "' has not the rows of the others");
        if (curve.reached.size() % starts != 0)
            refuse_results(path,
                           fmt::format("'{}' has {} rows, and every instance {} starts",
                                       curve.contestant,
                                       curve.reached.size(),
                                       starts));
    }
    const auto instances = static_cast<std::int64_t>(results.curves.front().reached.size() / starts);
    if (!judging.unsolved.empty() && *judging.unsolved.rbegin() >= instances)
        refuse_results(
            path,
            fmt::format("has {} instances, and number {} is one without a solution in results.json",
                        instances,
                        *judging.unsolved.rbegin()));
}

}  // namespace

void write_finals(const std::filesystem::path& path, const Results& results) {
    CsvWriter csv(finals_head(results.curves.front().metrics));
    for (const Curve& curve : results.curves) {
        for (std::size_t row = 0; row < curve.reached.size(); ++row) {
            const Reached& reached = curve.reached[row];
            const auto starts = static_cast<std::size_t>(results.judging.starts);
            std::vector<CsvCell> cells{
                curve.contestant,
                row / starts,
                row % starts,
                reached.iteration,
                reached.evaluations,
                reached.seconds,
                number_or_empty(curve.final_best.empty() ? NAN : curve.final_best[row])};
            for (const std::vector<double>& rows : curve.final_rows) cells.emplace_back(rows[row]);
            csv.add_row(cells);
        }
    }
    csv.write(path);
}

Results read_results(const std::filesystem::path& folder, std::int64_t shard_rows) {
    Results results;
    read_results_head(folder / "results.json", results);
    const std::filesystem::path finals = folder / "finals.csv";
    read_finals(finals, results);
    read_curves(folder / "curves.csv", results);
    for (const Curve& curve : results.curves) {
        check_ways(finals, curve, results.judging, shard_rows);
        check_target(finals, curve, results.judging);
    }
    return results;
}

}  // namespace l2o::framework
