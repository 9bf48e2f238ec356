#include "framework/evaluate/results_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <l2o/files/json.hpp>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "framework/evaluate/results.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/csv.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {
namespace {

using nlohmann::json;

/// Columns of finals.csv before the metrics.
const std::vector<std::string> kFinalsHead{
    "contestant", "instance", "start", "reached_iteration", "reached_evaluations", "reached_seconds"};

std::vector<std::string> finals_head(const std::vector<std::string>& metrics) {
    std::vector<std::string> header = kFinalsHead;
    header.insert(header.end(), metrics.begin(), metrics.end());
    return header;
}

/// Contestants and metrics are a level each; anything deeper is somebody else's file.
constexpr std::size_t kDeepestJson = 8;
constexpr double kMostIterations = 1e15;  // counted in doubles

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& text) {
    throw Error(ExitCode::kIo, path.string() + ": " + text + "; expected what 'l2o run' writes");
}

[[noreturn]] void refuse_row(const std::filesystem::path& path, std::size_t row, const std::string& text) {
    refuse(path, "row " + std::to_string(row + 1) + ": " + text);
}

double checked(const std::filesystem::path& path,
               const std::string& what,
               double number,
               double min,
               double max = std::numeric_limits<double>::infinity()) {
    if (std::isfinite(number) && number >= min && number <= max) return number;
    refuse(
        path,
        fmt::format("{} is {}, which is not {}",
                    what,
                    number,
                    std::isfinite(max) ? fmt::format("in [{}, {}]", min, max) : fmt::format(">= {}", min)));
}

json parse_shallow(const std::filesystem::path& path) {
    try {
        return files::parse_json(read_file(path), kDeepestJson, "lists of contestants and metrics");
    } catch (const files::JsonFault& fault) {
        refuse(path, fault.what());
    }
}

/// @throw Error kIo if something is there twice
template <class Names>
void check_distinct(const std::filesystem::path& path, const std::string& what, const Names& names) {
    std::set<std::string> known;
    for (const std::string& name : names) {
        if (!known.insert(name).second) refuse(path, what + " '" + name + "' is there twice");
    }
}

void read_head(const std::filesystem::path& path, Results& results) try {
    const json head = parse_shallow(path);
    Judging& judging = results.judging;
    judging.metric = head.at("metric");
    judging.higher_is_better = head.at("higher_is_better").get<std::set<std::string>>();
    judging.ratios = head.value("ratios", std::set<std::string>{});
    judging.reference = head.at("reference");
    if (!head.at("target").is_null())
        judging.target = checked(path, "target", head.at("target").get<double>(), -DBL_MAX);
    judging.tolerance = checked(path, "tolerance", head.at("tolerance").get<double>(), 0, 1);
    const json& starts = head.at("starts");
    if (!starts.is_number_integer())
        refuse(path, "starts is " + starts.dump() + ", which is no whole number");
    judging.starts =
        static_cast<std::int64_t>(checked(path, "starts", starts.get<double>(), 1, kMostIterations));

    const auto metrics = head.at("metrics").get<std::vector<std::string>>();
    check_distinct(path, "the metric", metrics);
    if (std::find(metrics.begin(), metrics.end(), judging.metric) == metrics.end())
        refuse(path, "the metric '" + judging.metric + "' is none of its metrics");
    std::vector<std::string> names;
    for (const json& contestant : head.at("contestants")) {
        names.push_back(contestant.at("name"));
        const auto seconds = [&](const char* key) {
            const auto found = contestant.find(key);
            if (found != contestant.end() && found->is_null()) return static_cast<double>(NAN);  // unknown
            const double value = found == contestant.end() ? 0 : found->get<double>();
            return checked(path, std::string(key) + " of '" + names.back() + "'", value, 0);
        };
        Curve curve{.contestant = names.back(),
                    .metrics = metrics,
                    .training_seconds = seconds("training_seconds"),
                    .preparation_seconds = seconds("preparation_seconds"),
                    .safeguard = contestant.value("safeguard", "")};
        if (!curve.safeguard.empty())
            curve.fallback_rate = checked(path,
                                          "fallback_rate of '" + curve.contestant + "'",
                                          contestant.at("fallback_rate").get<double>(),
                                          0,
                                          1);
        if (contestant.contains("training")) {
            curve.training = outcome_from_json(contestant["training"]);
            if (!curve.training)
                refuse(path, "training of '" + curve.contestant + "' is " + contestant["training"].dump());
        }
        results.curves.push_back(std::move(curve));
    }
    if (names.empty()) refuse(path, "there is no contestant");
    check_distinct(path, "the contestant", names);
    if (std::find(names.begin(), names.end(), judging.reference) == names.end())
        refuse(path, "the reference '" + judging.reference + "' is no contestant");
} catch (const json::exception& error) {
    refuse(path, error.what());
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

/// A CSV file with just these columns.
class Table {
  public:
    Table(std::filesystem::path path, const std::vector<std::string>& header)
        : path_(std::move(path)), csv_(CsvTable::read(path_)), header_(header) {
        for (const std::string& column : header) (void)csv_.column(column);
        if (csv_.header() != header) refuse(path_, "has other columns, or in another order");
    }

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    [[nodiscard]] std::size_t rows() const { return csv_.rows(); }
    [[nodiscard]] const std::string& text(std::size_t row, std::size_t column) const {
        return csv_.text(row, column);
    }
    [[nodiscard]] double number(std::size_t row, std::size_t column) const {
        return csv_.number(row, column);
    }
    /// Finite and not below 0.
    [[nodiscard]] double amount(std::size_t row, std::size_t column) const {
        const double value = number(row, column);
        if (!std::isfinite(value) || value < 0)
            refuse_row(path_, row, header_[column] + " is " + text(row, column) + ", which is not >= 0");
        return value;
    }
    [[nodiscard]] std::int64_t whole(std::size_t row, std::size_t column, double min, double max) const {
        const double value = number(row, column);
        if (!(value >= min && value <= max) || value != std::floor(value)) {
            refuse_row(path_,
                       row,
                       fmt::format("{} is {}, which is no whole number in [{}, {}]",
                                   header_[column],
                                   text(row, column),
                                   min,
                                   max));
        }
        return static_cast<std::int64_t>(value);
    }

  private:
    std::filesystem::path path_;
    CsvTable csv_;
    std::vector<std::string> header_;
};

/// Whether quantiles and mean are what they can be when some rows diverged: an earlier l2o left those out.
void check_distribution(const Table& csv,
                        std::size_t row,
                        const Distribution& d,
                        std::int64_t rows,
                        const Judging& judging,
                        const std::string& metric) {
    const bool is_higher_better = judging.higher_is_better.contains(metric);
    const double worst = worst_value(is_higher_better);
    const std::array<std::pair<const char*, double>, 5> quantiles{
        {{"q10", d.q10}, {"q25", d.q25}, {"median", d.median}, {"q75", d.q75}, {"q90", d.q90}}};
    constexpr std::array kProbabilities{0.1, 0.25, 0.5, 0.75, 0.9};
    // Those that diverged are at the end, or where higher is better at the beginning.
    const auto finite = static_cast<double>(d.finite), all = static_cast<double>(rows);
    for (std::size_t i = 0; i < quantiles.size(); ++i) {
        const auto& [name, value] = quantiles[i];
        const double place = kProbabilities[i] * (all - 1);
        const bool is_worst =
            is_higher_better ? std::floor(place) < all - finite : std::ceil(place) > finite - 1;
        if (std::isnan(value) || (is_worst && value != worst)) {
            refuse_row(
                csv.path(),
                row,
                fmt::format("{} is {}, though {} of {} rows diverged; was it written by an earlier l2o? "
                            "evaluate again",
                            name,
                            value,
                            rows - d.finite,
                            rows));
        }
        if (i > 0 && value < quantiles[i - 1].second)
            refuse_row(csv.path(), row, fmt::format("{} is below {}", name, quantiles[i - 1].first));
    }
    if (std::isnan(d.mean) || (d.finite < rows && !judging.ratios.contains(metric) && d.mean != worst)) {
        refuse_row(csv.path(),
                   row,
                   fmt::format("the mean is {}, though {} of {} rows diverged; was it written by an earlier "
                               "l2o? evaluate again",
                               d.mean,
                               rows - d.finite,
                               rows));
    }
}

/// Equal but for the rounding of another build.
bool is_close(double a, double b) {
    return a == b || (std::isfinite(a) && std::isfinite(b) &&
                      std::abs(a - b) <= 1e-9 * std::max(std::abs(a), std::abs(b)));
}

/// Whether the last point of the curves is that of the single rows.
void check_end(const std::filesystem::path& path, const Curve& curve, const Judging& judging) {
    for (std::size_t metric = 0; metric < curve.metrics.size(); ++metric) {
        const std::string& name = curve.metrics[metric];
        const Distribution &told = curve.distributions[metric].back(),
                           d = distribution_of(curve.final_rows[metric],
                                               judging.higher_is_better.contains(name));
        const bool is_ratio = judging.ratios.contains(name);
        if (is_close(told.median, d.median) && is_close(told.q10, d.q10) && is_close(told.q25, d.q25) &&
            is_close(told.q75, d.q75) && is_close(told.q90, d.q90) && told.finite == d.finite &&
            (is_ratio || is_close(told.mean, d.mean)))
            continue;
        refuse(path,
               fmt::format("the last {} of '{}' is not that of finals.csv: median {} and {}, {} and {} rows "
                           "that have not diverged",
                           name,
                           curve.contestant,
                           told.median,
                           d.median,
                           told.finite,
                           d.finite));
    }
}

void read_curves(const std::filesystem::path& path, Results& results) {
    const Table csv(path, kCurvesHead);
    for (std::size_t row = 0; row < csv.rows(); ++row) {
        Curve& curve = curve_of(results, csv.text(row, 0), path, row);
        curve.distributions.resize(curve.metrics.size());
        const std::string& name = csv.text(row, 5);
        const auto metric = static_cast<std::size_t>(
            std::find(curve.metrics.begin(), curve.metrics.end(), name) - curve.metrics.begin());
        if (metric == curve.metrics.size())
            refuse_row(path, row, "'" + name + "' is no metric of results.json");
        const std::int64_t iteration = csv.whole(row, 1, 0, kMostIterations);
        if (metric == 0) {
            if (curve.iteration.empty() ? iteration != 0 : iteration <= curve.iteration.back())
                refuse_row(path, row, "the iterations of '" + curve.contestant + "' do not rise from 0");
            curve.iteration.push_back(iteration);
            curve.values.push_back(csv.amount(row, 2));
            curve.gradients.push_back(csv.amount(row, 3));
            curve.seconds.push_back(csv.amount(row, 4));
        }
        std::vector<Distribution>& points = curve.distributions[metric];
        if (points.size() + 1 != curve.iteration.size() || curve.iteration.back() != iteration)
            refuse_row(path, row, "'" + name + "' is not at the point of '" + curve.metrics.front() + "'");
        const auto rows = static_cast<std::int64_t>(curve.final_rows[metric].size());
        points.push_back({.mean = csv.number(row, 6),
                          .median = csv.number(row, 7),
                          .q10 = csv.number(row, 8),
                          .q25 = csv.number(row, 9),
                          .q75 = csv.number(row, 10),
                          .q90 = csv.number(row, 11),
                          .finite = csv.whole(row, 12, 0, static_cast<double>(rows))});
        check_distribution(csv, row, points.back(), rows, results.judging, name);
    }
    for (const Curve& curve : results.curves) {
        if (curve.iteration.empty()) refuse(path, "there is nothing about '" + curve.contestant + "'");
        for (const auto& points : curve.distributions) {
            if (points.size() != curve.iteration.size())
                refuse(path, "a metric of '" + curve.contestant + "' lacks points");
        }
        for (const Reached& reached : curve.reached) {
            if (reached.iteration > curve.iteration.back())
                refuse(path.parent_path() / "finals.csv",
                       fmt::format("'{}' reached its target after {} of {} iterations",
                                   curve.contestant,
                                   reached.iteration,
                                   curve.iteration.back()));
        }
        check_end(path, curve, results.judging);
    }
}

void read_finals(const std::filesystem::path& path, Results& results) {
    const Table csv(path, finals_head(results.curves.front().metrics));
    const auto starts = static_cast<std::size_t>(results.judging.starts);
    for (std::size_t row = 0; row < csv.rows(); ++row) {
        Curve& curve = curve_of(results, csv.text(row, 0), path, row);
        curve.final_rows.resize(curve.metrics.size());
        const std::size_t own = curve.reached.size();
        if (csv.number(row, 1) != static_cast<double>(own / starts) ||
            csv.number(row, 2) != static_cast<double>(own % starts)) {
            refuse_row(
                path,
                row,
                fmt::format("is instance {}, start {}, where instance {}, start {} of '{}' has its place",
                            csv.text(row, 1),
                            csv.text(row, 2),
                            own / starts,
                            own % starts,
                            curve.contestant));
        }
        Reached reached{.iteration = csv.whole(row, 3, -1, kMostIterations)};
        if (reached.iteration >= 0) {
            reached.evaluations = csv.amount(row, 4);
            reached.seconds = csv.amount(row, 5);
        }
        curve.reached.push_back(reached);
        for (std::size_t metric = 0; metric < curve.metrics.size(); ++metric)
            curve.final_rows[metric].push_back(csv.number(row, kFinalsHead.size() + metric));
    }
    for (const Curve& curve : results.curves) {
        if (curve.reached.empty() || curve.reached.size() != results.curves.front().reached.size())
            refuse(path, "'" + curve.contestant + "' has not the rows of the others");
        if (curve.reached.size() % starts != 0)
            refuse(path,
                   fmt::format("'{}' has {} rows, and every instance {} starts",
                               curve.contestant,
                               curve.reached.size(),
                               starts));
    }
}

}  // namespace

void write_finals(const std::filesystem::path& path, const Results& results) {
    CsvWriter csv(finals_head(results.curves.front().metrics));
    for (const Curve& curve : results.curves) {
        for (std::size_t row = 0; row < curve.reached.size(); ++row) {
            const Reached& reached = curve.reached[row];
            const auto starts = static_cast<std::size_t>(results.judging.starts);
            std::vector<CsvCell> cells{curve.contestant,
                                       row / starts,
                                       row % starts,
                                       reached.iteration,
                                       reached.evaluations,
                                       reached.seconds};
            for (const std::vector<double>& rows : curve.final_rows) cells.emplace_back(rows[row]);
            csv.add_row(cells);
        }
    }
    csv.write(path);
}

void write_results(const std::filesystem::path& path, const Results& results) {
    const Judging& judging = results.judging;
    json contestants = json::array();
    for (const Curve& curve : results.curves) {
        contestants.push_back({{"name", curve.contestant},
                               {"training_seconds", curve.training_seconds},
                               {"preparation_seconds", curve.preparation_seconds}});
        if (curve.training) contestants.back()["training"] = to_json(*curve.training);
        if (curve.safeguard.empty()) continue;
        contestants.back()["safeguard"] = curve.safeguard;
        contestants.back()["fallback_rate"] = curve.fallback_rate;
    }
    const json head{{"metric", judging.metric},
                    {"metrics", results.curves.front().metrics},
                    {"higher_is_better", judging.higher_is_better},
                    {"ratios", judging.ratios},
                    {"reference", judging.reference},
                    {"target", judging.target ? json(*judging.target) : json()},
                    {"tolerance", judging.tolerance},
                    {"starts", judging.starts},
                    {"contestants", contestants}};
    write_file_atomically(path, json_text(head, 2) + "\n");
}

Results read_results(const std::filesystem::path& folder) {
    Results results;
    read_head(folder / "results.json", results);
    read_finals(folder / "finals.csv", results);
    read_curves(folder / "curves.csv", results);
    return results;
}

}  // namespace l2o::framework
