#include "framework/evaluate/results.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "framework/store/csv.hpp"

namespace l2o::framework {
namespace {

/// Three digits of a number from 1 to 999.
std::string three_digits(double value) {
    return fmt::format("{:.{}f}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

/// "850 us", "12.3 ms", "4.56 s", "2 min 03 s", "1 h 05 min".
std::string duration_text(double seconds) {
    if (seconds < 0.9995e-3) return three_digits(seconds * 1e6) + " us";
    if (seconds < 0.9995) return three_digits(seconds * 1e3) + " ms";
    if (seconds < 59.95) return three_digits(seconds) + " s";
    const auto whole = static_cast<std::int64_t>(std::lround(seconds));
    if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
    return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

std::string number_text(double value) { return fmt::format("{:.4g}", value); }

/// Evaluations of one kind or both: whole where every row had the same number.
std::string count_text(double count) {
    return count == std::floor(count) ? fmt::format("{:.0f}", count) : fmt::format("{:.1f}", count);
}

std::size_t metric_index(const Curve& curve, const std::string& metric) {
    if (metric.empty()) return curve.metrics.size() > 1 ? 1 : 0;
    const auto found = std::find(curve.metrics.begin(), curve.metrics.end(), metric);
    return found == curve.metrics.end() ? 0 : static_cast<std::size_t>(found - curve.metrics.begin());
}

std::int64_t row_count(const Curve& curve) { return static_cast<std::int64_t>(curve.final_rows[0].size()); }

}  // namespace

void write_curves(const std::filesystem::path& path, const std::vector<Curve>& curves) {
    CsvWriter csv({"contestant",
                   "iteration",
                   "values",
                   "gradients",
                   "seconds",
                   "metric",
                   "mean",
                   "median",
                   "q10",
                   "q25",
                   "q75",
                   "q90",
                   "finite"});
    for (const Curve& curve : curves) {
        for (std::size_t point = 0; point < curve.iteration.size(); ++point) {
            for (std::size_t metric = 0; metric < curve.metrics.size(); ++metric) {
                const Distribution& d = curve.distributions[metric][point];
                csv.add_row({curve.contestant,
                             curve.iteration[point],
                             curve.values[point],
                             curve.gradients[point],
                             curve.seconds[point],
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

void write_summary(const std::filesystem::path& path, const std::vector<Curve>& curves) {
    CsvWriter csv({"contestant",
                   "metric",
                   "median",
                   "q10",
                   "q90",
                   "mean",
                   "value_evaluations",
                   "gradient_evaluations",
                   "seconds",
                   "training_seconds",
                   "finite",
                   "rows"});
    for (const Curve& curve : curves) {
        for (std::size_t metric = 0; metric < curve.metrics.size(); ++metric) {
            const Distribution& d = curve.distributions[metric].back();
            csv.add_row({curve.contestant,
                         curve.metrics[metric],
                         d.median,
                         d.q10,
                         d.q90,
                         d.mean,
                         curve.values.back(),
                         curve.gradients.back(),
                         curve.seconds.back(),
                         curve.training_seconds,
                         d.finite,
                         row_count(curve)});
        }
    }
    csv.write(path);
}

std::string result_table(const std::vector<Curve>& curves, const std::string& metric) {
    if (curves.empty()) return "";
    using Line = std::array<std::string, 6>;
    const std::string& shown = curves.front().metrics[metric_index(curves.front(), metric)];
    std::vector<Line> lines{
        {"contestant", shown + " (median)", "10-90 %", "evaluations", "time", "training"}};
    std::string notes;
    for (const Curve& curve : curves) {
        const Distribution& d = curve.distributions[metric_index(curve, metric)].back();
        const double values = curve.values.back(), gradients = curve.gradients.back();
        std::string evaluations = count_text(values + gradients);
        if (values > 0 && gradients > 0)
            evaluations += " (" + count_text(values) + " f, " + count_text(gradients) + " g)";
        lines.push_back({curve.contestant,
                         number_text(d.median),
                         number_text(d.q10) + " .. " + number_text(d.q90),
                         evaluations,
                         duration_text(curve.seconds.back()),
                         curve.training_seconds > 0 ? duration_text(curve.training_seconds) : "-"});
        if (d.finite < row_count(curve)) {
            notes += fmt::format("{}: {} of {} rows are not finite at the end{}\n",
                                 curve.contestant,
                                 row_count(curve) - d.finite,
                                 row_count(curve),
                                 d.finite > 0 ? "; the numbers are those of the others" : "");
        }
    }
    std::array<std::size_t, std::tuple_size_v<Line>> widths{};
    for (const Line& line : lines) {
        for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
    }
    std::string table;
    for (const Line& line : lines) {
        table += fmt::format("{:<{}}", line[0], widths[0]);
        for (std::size_t i = 1; i < line.size(); ++i) table += fmt::format("  {:>{}}", line[i], widths[i]);
        table += '\n';
    }
    return table + notes;
}

bool all_diverged(const std::vector<Curve>& curves) {
    return std::all_of(curves.begin(), curves.end(), [](const Curve& curve) {
        return curve.distributions[0].back().finite == 0;
    });
}

}  // namespace l2o::framework
