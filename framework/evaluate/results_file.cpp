#include "framework/evaluate/results_file.hpp"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "framework/store/atomic_file.hpp"
#include "framework/store/csv.hpp"

namespace l2o::framework {
namespace {

using nlohmann::json;

/// Columns of finals.csv before the metrics.
const std::vector<std::string> kFinalsHead{
    "contestant", "instance", "start", "reached_iteration", "reached_evaluations", "reached_seconds"};

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& text) {
    throw Error(ExitCode::kIo, path.string() + ": " + text + "; expected what 'l2o run' writes");
}

void read_head(const std::filesystem::path& path, Results& results) try {
    const json head = json::parse(read_file(path));
    Judging& judging = results.judging;
    judging.metric = head.at("metric");
    judging.higher_is_better = head.at("higher_is_better").get<std::set<std::string>>();
    judging.ratios = head.value("ratios", std::set<std::string>{});
    judging.reference = head.at("reference");
    if (!head.at("target").is_null()) judging.target = head.at("target").get<double>();
    judging.tolerance = head.at("tolerance");
    judging.starts = head.at("starts");
    for (const json& contestant : head.at("contestants"))
        results.curves.push_back({.contestant = contestant.at("name"),
                                  .metrics = head.at("metrics"),
                                  .training_seconds = contestant.at("training_seconds"),
                                  .safeguard = contestant.value("safeguard", ""),
                                  .fallback_rate = contestant.value("fallback_rate", NAN)});
} catch (const json::exception& error) {
    refuse(path, error.what());
}

Curve& curve_of(Results& results, const std::string& contestant, const std::filesystem::path& path) {
    for (Curve& curve : results.curves) {
        if (curve.contestant == contestant) return curve;
    }
    refuse(path, "'" + contestant + "' is no contestant of results.json");
}

void read_curves(const std::filesystem::path& path, Results& results) {
    const CsvTable csv = CsvTable::read(path);
    const std::size_t contestant = csv.column("contestant"), iteration = csv.column("iteration"),
                      values = csv.column("values"), gradients = csv.column("gradients"),
                      seconds = csv.column("seconds"), metric = csv.column("metric"),
                      mean = csv.column("mean"), median = csv.column("median"), q10 = csv.column("q10"),
                      q25 = csv.column("q25"), q75 = csv.column("q75"), q90 = csv.column("q90"),
                      finite = csv.column("finite");
    for (std::size_t row = 0; row < csv.rows(); ++row) {
        Curve& curve = curve_of(results, csv.text(row, contestant), path);
        curve.distributions.resize(curve.metrics.size());
        if (csv.text(row, metric) == curve.metrics.front()) {
            curve.iteration.push_back(static_cast<std::int64_t>(csv.number(row, iteration)));
            curve.values.push_back(csv.number(row, values));
            curve.gradients.push_back(csv.number(row, gradients));
            curve.seconds.push_back(csv.number(row, seconds));
        }
        curve.distributions[shown_metric(curve.metrics, csv.text(row, metric))].push_back(
            {.mean = csv.number(row, mean),
             .median = csv.number(row, median),
             .q10 = csv.number(row, q10),
             .q25 = csv.number(row, q25),
             .q75 = csv.number(row, q75),
             .q90 = csv.number(row, q90),
             .finite = static_cast<std::int64_t>(csv.number(row, finite))});
    }
    for (const Curve& curve : results.curves) {
        for (const auto& points : curve.distributions) {
            if (points.size() != curve.iteration.size())
                refuse(path, "a metric of '" + curve.contestant + "' lacks points");
        }
        if (curve.iteration.empty()) refuse(path, "there is nothing about '" + curve.contestant + "'");
    }
}

void read_finals(const std::filesystem::path& path, Results& results) {
    const CsvTable csv = CsvTable::read(path);
    const std::size_t contestant = csv.column("contestant"), iteration = csv.column("reached_iteration"),
                      evaluations = csv.column("reached_evaluations"),
                      seconds = csv.column("reached_seconds");
    for (std::size_t row = 0; row < csv.rows(); ++row) {
        Curve& curve = curve_of(results, csv.text(row, contestant), path);
        curve.final_rows.resize(curve.metrics.size());
        for (std::size_t metric = 0; metric < curve.metrics.size(); ++metric)
            curve.final_rows[metric].push_back(csv.number(row, csv.column(curve.metrics[metric])));
        curve.reached.push_back({.iteration = static_cast<std::int64_t>(csv.number(row, iteration)),
                                 .evaluations = csv.number(row, evaluations),
                                 .seconds = csv.number(row, seconds)});
    }
    for (const Curve& curve : results.curves) {
        if (curve.reached.empty() || curve.reached.size() != results.curves.front().reached.size())
            refuse(path, "'" + curve.contestant + "' has not the rows of the others");
    }
}

}  // namespace

void write_finals(const std::filesystem::path& path, const Results& results) {
    std::vector<std::string> header = kFinalsHead;
    const std::vector<std::string>& metrics = results.curves.front().metrics;
    header.insert(header.end(), metrics.begin(), metrics.end());
    CsvWriter csv(header);
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
        contestants.push_back({{"name", curve.contestant}, {"training_seconds", curve.training_seconds}});
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
    write_file_atomically(path, head.dump(2) + "\n");
}

Results read_results(const std::filesystem::path& folder) {
    Results results;
    read_head(folder / "results.json", results);
    if (results.curves.empty()) refuse(folder / "results.json", "there is no contestant");
    read_curves(folder / "curves.csv", results);
    read_finals(folder / "finals.csv", results);
    return results;
}

}  // namespace l2o::framework
