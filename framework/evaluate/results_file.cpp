#include "framework/evaluate/results_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <l2o/files/json.hpp>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "framework/evaluate/results.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/csv.hpp"
#include "framework/store/hash.hpp"
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

/// Files beside results.json that are as they were when it was written.
constexpr std::array<std::string_view, 3> kSealed{"config.info", "curves.csv", "finals.csv"};

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& text) {
    throw Error(ExitCode::kIo, path.string() + ": " + text + "; expected what 'l2o run' writes");
}

[[noreturn]] void refuse_row(const std::filesystem::path& path, std::size_t row, const std::string& text) {
    refuse(path, "row " + std::to_string(row + 1) + ": " + text);
}

std::string sha1_of(const std::filesystem::path& path) {
    FileHandle file(path, O_RDONLY);
    return sha1_hex(file);
}

json parse_shallow(const std::filesystem::path& path) {
    try {
        return files::parse_json(read_file(path), kDeepestJson, "lists of contestants and metrics");
    } catch (const files::JsonFault& fault) {
        refuse(path, fault.what());
    }
}

/// A value of a JSON file, which knows its place: "contestants[1].name". What it is asked for and is not, it
/// refuses. @throw Error kIo
class Place {
  public:
    Place(const std::filesystem::path& path, const json& value, std::string key = "")
        : path_(path), value_(value), key_(std::move(key)) {}

    [[nodiscard]] const json& value() const { return value_; }
    [[nodiscard]] const std::string& key() const { return key_; }
    [[noreturn]] void expect(const std::string& what) const {
        throw Error(ExitCode::kIo,
                    fmt::format("{}: {} is {}; expected {}",
                                path_.string(),
                                key_.empty() ? "the whole" : key_,
                                files::quoted_json(value_),
                                what));
    }

    [[nodiscard]] std::optional<Place> find(const std::string& name) const {
        if (!value_.is_object()) expect("an object with '" + name + "'");
        const auto found = value_.find(name);
        if (found == value_.end()) return std::nullopt;
        return Place(path_, *found, key_.empty() ? name : key_ + "." + name);
    }
    [[nodiscard]] Place at(const std::string& name) const {
        if (std::optional<Place> found = find(name)) return *found;
        throw Error(ExitCode::kIo,
                    fmt::format("{}: {}{} is missing; was it written by another l2o? evaluate again",
                                path_.string(),
                                key_.empty() ? "" : key_ + ".",
                                name));
    }
    [[nodiscard]] std::vector<Place> items() const {
        if (!value_.is_array()) expect("a list");
        std::vector<Place> all;
        for (std::size_t i = 0; i < value_.size(); ++i)
            all.emplace_back(path_, value_[i], fmt::format("{}[{}]", key_, i));
        return all;
    }
    [[nodiscard]] std::vector<std::pair<std::string, Place>> members() const {
        if (!value_.is_object()) expect("an object");
        std::vector<std::pair<std::string, Place>> all;
        for (const auto& [name, member] : value_.items())
            all.emplace_back(name, Place(path_, member, key_ + "." + name));
        return all;
    }

    [[nodiscard]] std::string text() const {
        if (!value_.is_string()) expect("a text");
        return value_.get<std::string>();
    }
    [[nodiscard]] std::string sha1() const {
        constexpr std::size_t kDigits = 40;
        const std::string digits = value_.is_string() ? value_.get<std::string>() : "";
        if (digits.size() != kDigits || digits.find_first_not_of("0123456789abcdef") != std::string::npos)
            expect("a SHA-1 of 40 digits");
        return digits;
    }
    [[nodiscard]] double real(double min, double max = std::numeric_limits<double>::infinity()) const {
        const double number = value_.is_number() ? value_.get<double>() : NAN;
        if (std::isfinite(number) && number >= min && number <= max) return number;
        expect(min == -DBL_MAX      ? "a finite number"
               : std::isfinite(max) ? fmt::format("a number in [{}, {}]", min, max)
                                    : fmt::format("a number >= {}", min));
    }
    [[nodiscard]] std::int64_t whole(double min, double max = kMostIterations) const {
        const double number = value_.is_number_integer() ? value_.get<double>() : NAN;
        if (number >= min && number <= max) return value_.get<std::int64_t>();
        expect(fmt::format("a whole number in [{}, {}]", min, max));
    }
    /// Distinct texts. @param known  what they may be; empty: anything
    [[nodiscard]] std::vector<std::string> names(const std::string& what,
                                                 const std::vector<std::string>& known = {}) const {
        std::vector<std::string> all;
        for (const Place& item : items()) {
            const std::string name = item.text();
            if (!known.empty() && std::ranges::find(known, name) == known.end())
                item.expect("one of the " + what + "s: " + fmt::format("{}", fmt::join(known, ", ")));
            if (std::ranges::find(all, name) != all.end())
                item.expect("another " + what + ", it is there twice");
            all.push_back(name);
        }
        return all;
    }

  private:
    const std::filesystem::path& path_;
    const json& value_;
    std::string key_;
};

std::set<std::string> names_or_none(const Place& head,
                                    const char* key,
                                    const std::vector<std::string>& metrics) {
    const std::optional<Place> list = head.find(key);
    if (!list) return {};
    const std::vector<std::string> names = list->names("metric", metrics);
    return {names.begin(), names.end()};
}

std::string one_of(const Place& place, const std::string& what, const std::vector<std::string>& known) {
    const std::string name = place.text();
    if (std::ranges::find(known, name) == known.end())
        place.expect(fmt::format("one of the {}s: {}", what, fmt::join(known, ", ")));
    return name;
}

Curve curve_head(const Place& contestant, const std::vector<std::string>& metrics) {
    // null: unknown
    const auto seconds = [&](const char* key) {
        const std::optional<Place> found = contestant.find(key);
        return !found ? 0 : found->value().is_null() ? static_cast<double>(NAN) : found->real(0);
    };
    Curve curve{.contestant = contestant.at("name").text(),
                .metrics = metrics,
                .training_seconds = seconds("training_seconds"),
                .preparation_seconds = seconds("preparation_seconds")};
    if (const std::optional<Place> safeguard = contestant.find("safeguard")) {
        curve.safeguard = safeguard->text();
        if (curve.safeguard.empty()) safeguard->expect("the name of an optimizer");
        curve.fallback_rate = contestant.at("fallback_rate").real(0, 1);
    } else if (const std::optional<Place> rate = contestant.find("fallback_rate")) {
        rate->expect("none where there is no safeguard");
    }
    if (const std::optional<Place> training = contestant.find("training")) {
        curve.training = outcome_from_json(training->value());
        if (!curve.training) training->expect("what 'l2o train' tells of a training");
    }
    return curve;
}

void read_head(const std::filesystem::path& path, Results& results) {
    const json text = parse_shallow(path);
    const Place head(path, text);
    Judging& judging = results.judging;
    const Place metrics = head.at("metrics");
    const std::vector<std::string> names = metrics.names("metric");
    if (names.empty() || names.front() != "objective") metrics.expect("\"objective\", and others after it");
    judging.metric = one_of(head.at("metric"), "metric", names);
    judging.higher_is_better = names_or_none(head, "higher_is_better", names);
    judging.ratios = names_or_none(head, "ratios", names);
    judging.needs_solution = names_or_none(head, "needs_solution", names);
    if (const Place target = head.at("target"); !target.value().is_null())
        judging.target = target.real(-DBL_MAX);
    judging.tolerance = head.at("tolerance").real(0, 1);
    judging.starts = head.at("starts").whole(1);
    if (const std::optional<Place> unsolved = head.find("unsolved")) {
        for (const Place& item : unsolved->items()) {
            if (!judging.unsolved.insert(item.whole(0)).second)
                item.expect("another instance, it is there twice");
        }
    }
    if (const std::optional<Place> files = head.find("files")) {
        results.files.emplace();
        for (const auto& [key, file] : files->members())
            (*results.files)[key] = {file.at("path").text(), file.at("sha1").sha1()};
    }
    if (const std::optional<Place> written = head.find("written")) {
        for (const auto& [name, hash] : written->members()) {
            if (std::ranges::find(kSealed, name) == kSealed.end())
                hash.expect(fmt::format("nothing but {}", fmt::join(kSealed, ", ")));
            results.written[name] = hash.sha1();
        }
    }
    const Place contestants = head.at("contestants");
    std::vector<std::string> known;
    for (const Place& contestant : contestants.items()) {
        results.curves.push_back(curve_head(contestant, names));
        const std::string& name = results.curves.back().contestant;
        if (std::ranges::find(known, name) != known.end())
            contestant.at("name").expect("another contestant, it is there twice");
        known.push_back(name);
    }
    if (known.empty()) contestants.expect("a contestant at least");
    judging.reference = one_of(head.at("reference"), "contestant", known);
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
                        const Judging& judging,
                        const std::string& metric) {
    if (d.rows == 0) {
        for (const double value : {d.mean, d.median, d.q10, d.q25, d.q75, d.q90}) {
            if (!std::isnan(value))
                refuse_row(
                    csv.path(),
                    row,
                    fmt::format(
                        "{} has the number {}, and no instance has a certified solution", metric, value));
        }
        return;
    }
    const bool is_higher_better = judging.higher_is_better.contains(metric);
    const double worst = worst_value(is_higher_better);
    const std::array<std::pair<const char*, double>, 5> quantiles{
        {{"q10", d.q10}, {"q25", d.q25}, {"median", d.median}, {"q75", d.q75}, {"q90", d.q90}}};
    constexpr std::array kProbabilities{0.1, 0.25, 0.5, 0.75, 0.9};
    // Those that diverged are at the end, or where higher is better at the beginning.
    const auto finite = static_cast<double>(d.finite), all = static_cast<double>(d.rows);
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
                            d.rows - d.finite,
                            d.rows));
        }
        if (i > 0 && value < quantiles[i - 1].second)
            refuse_row(csv.path(), row, fmt::format("{} is below {}", name, quantiles[i - 1].first));
    }
    if (std::isnan(d.mean) || (d.finite < d.rows && !judging.ratios.contains(metric) && d.mean != worst)) {
        refuse_row(csv.path(),
                   row,
                   fmt::format("the mean is {}, though {} of {} rows diverged; was it written by an earlier "
                               "l2o? evaluate again",
                               d.mean,
                               d.rows - d.finite,
                               d.rows));
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
        std::vector<double> rows;
        for (const std::size_t row : judging.counted(name, curve.final_rows[metric].size()))
            rows.push_back(curve.final_rows[metric][row]);
        const Distribution &told = curve.distributions[metric].back(),
                           d = distribution_of(rows, judging.higher_is_better.contains(name));
        if (d.rows == 0) continue;
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

/// The counters of a point: the same on all its lines, and never less than at the point before.
void read_counters(const Table& csv, std::size_t row, Curve& curve, bool is_first_line) {
    constexpr std::size_t kFirst = 2;  // column
    const std::array<std::vector<double>*, 3> counters{&curve.values, &curve.gradients, &curve.seconds};
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
        }
        std::vector<Distribution>& points = curve.distributions[metric];
        if (points.size() + 1 != curve.iteration.size() || curve.iteration.back() != iteration)
            refuse_row(path, row, "'" + name + "' is not at the point of '" + curve.metrics.front() + "'");
        read_counters(csv, row, curve, metric == 0);
        const auto rows = std::ssize(results.judging.counted(name, curve.final_rows[metric].size()));
        points.push_back({.mean = csv.number(row, 6),
                          .median = csv.number(row, 7),
                          .q10 = csv.number(row, 8),
                          .q25 = csv.number(row, 9),
                          .q75 = csv.number(row, 10),
                          .q90 = csv.number(row, 11),
                          .finite = csv.whole(row, 12, 0, static_cast<double>(rows)),
                          .rows = rows});
        check_distribution(csv, row, points.back(), results.judging, name);
    }
    for (const Curve& curve : results.curves) {
        if (curve.iteration.empty()) refuse(path, "there is nothing about '" + curve.contestant + "'");
        for (const auto& points : curve.distributions) {
            if (points.size() != curve.iteration.size())
                refuse(path, "a metric of '" + curve.contestant + "' lacks points");
        }
        check_end(path, curve, results.judging);
    }
}

void read_finals(const std::filesystem::path& path, Results& results) {
    const Judging& judging = results.judging;
    const std::vector<std::string>& metrics = results.curves.front().metrics;
    const Table csv(path, finals_head(metrics));
    const auto starts = static_cast<std::size_t>(judging.starts);
    for (std::size_t row = 0; row < csv.rows(); ++row) {
        Curve& curve = curve_of(results, csv.text(row, 0), path, row);
        curve.final_rows.resize(metrics.size());
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
        } else if (!std::isnan(csv.number(row, 4)) || !std::isnan(csv.number(row, 5))) {
            refuse_row(path, row, "has costs of reaching the target, which it never did");
        }
        curve.reached.push_back(reached);
        const bool is_unsolved = judging.unsolved.contains(static_cast<std::int64_t>(own / starts));
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
            refuse(path, "'" + curve.contestant + "' has not the rows of the others");
        if (curve.reached.size() % starts != 0)
            refuse(path,
                   fmt::format("'{}' has {} rows, and every instance {} starts",
                               curve.contestant,
                               curve.reached.size(),
                               starts));
    }
    const auto instances = static_cast<std::int64_t>(results.curves.front().reached.size() / starts);
    if (!judging.unsolved.empty() && *judging.unsolved.rbegin() >= instances)
        refuse(path,
               fmt::format("has {} instances, and number {} is one without a solution in results.json",
                           instances,
                           *judging.unsolved.rbegin()));
}

/// Whether what the rows of a contestant paid to the target is what the curve says that all paid by then:
/// rows of a shard pay the same, and one that arrives later no less.
void check_ways(const std::filesystem::path& path,
                const Curve& curve,
                const Judging& judging,
                std::int64_t shard_rows) {
    const auto refuse_way = [&](std::size_t row, const std::string& text) {
        refuse(path,
               fmt::format("instance {}, start {} of '{}' {}",
                           row / static_cast<std::size_t>(judging.starts),
                           row % static_cast<std::size_t>(judging.starts),
                           curve.contestant,
                           text));
    };
    const auto rows = curve.reached.size(), step = static_cast<std::size_t>(shard_rows);
    const auto points = curve.iteration.size(), shards = (rows + step - 1) / step;
    // [shard][point]: what every row of it had paid; NAN where none arrived.
    std::vector<std::vector<double>> paid[2];
    for (auto& counter : paid) counter.assign(shards, std::vector<double>(points, NAN));
    constexpr std::array kNames{"evaluations", "seconds"};
    for (std::size_t row = 0; row < rows; ++row) {
        const Reached& reached = curve.reached[row];
        if (reached.iteration < 0) continue;
        const auto point = std::ranges::lower_bound(curve.iteration, reached.iteration);
        if (point == curve.iteration.end() || *point != reached.iteration)
            refuse_way(
                row,
                fmt::format("reached its target at iteration {}, which is no point of curves.csv, whose "
                            "last is {}",
                            reached.iteration,
                            curve.iteration.back()));
        const auto at = static_cast<std::size_t>(point - curve.iteration.begin());
        const std::array costs{reached.evaluations, reached.seconds};
        for (std::size_t i = 0; i < costs.size(); ++i) {
            double& known = paid[i][row / step][at];
            if (std::isnan(known)) known = costs[i];
            if (known != costs[i])
                refuse_way(row,
                           fmt::format("reached its target at iteration {} after {} {}, and a row beside it "
                                       "after {}",
                                       reached.iteration,
                                       costs[i],
                                       kNames[i],
                                       known));
        }
    }
    for (std::size_t i = 0; i < kNames.size(); ++i) {
        std::vector<double> last(shards, 0);
        for (std::size_t point = 0; point < points; ++point) {
            // Of the curve: evaluations are a mean over the rows, seconds a sum.
            const double all =
                i == 0 ? (curve.values[point] + curve.gradients[point]) * static_cast<double>(rows)
                       : curve.seconds[point];
            double sum = 0;
            bool are_all_known = true;
            for (std::size_t shard = 0; shard < shards; ++shard) {
                const double known = paid[i][shard][point];
                if (known < last[shard])
                    refuse_way(
                        shard * step,
                        fmt::format("and rows beside it had paid {} {} at iteration {}, and more before",
                                    known,
                                    kNames[i],
                                    curve.iteration[point]));
                if (std::isnan(known))
                    are_all_known = false;
                else
                    last[shard] = known;
                sum += last[shard] * static_cast<double>(std::min(step, rows - shard * step));
            }
            if (sum > all ? !is_close(sum, all) : are_all_known && !is_close(sum, all))
                refuse(
                    path,
                    fmt::format("the rows of '{}' that reached their target by iteration {} had paid {} {} "
                                "by then, and all rows {} in curves.csv",
                                curve.contestant,
                                curve.iteration[point],
                                sum,
                                kNames[i],
                                all));
        }
    }
}

/// Whether who reached a target is who has it at the end, as far as the end tells.
void check_target(const std::filesystem::path& path, const Curve& curve, const Judging& judging) {
    if (!judging.target) return;
    const std::vector<double>& finals = curve.final_rows[shown_metric(curve.metrics, judging.metric)];
    for (const std::size_t row : judging.counted(judging.metric, finals.size())) {
        const bool is_there =
            judging.is_higher_better() ? finals[row] >= *judging.target : finals[row] <= *judging.target;
        const std::int64_t iteration = curve.reached[row].iteration;
        if (is_there ? iteration >= 0 : iteration < curve.iteration.back()) continue;
        refuse(path,
               fmt::format("instance {}, start {} of '{}' ends with {} {}, and the target is {}, which it "
                           "reached {}",
                           row / static_cast<std::size_t>(judging.starts),
                           row % static_cast<std::size_t>(judging.starts),
                           curve.contestant,
                           judging.metric,
                           finals[row],
                           *judging.target,
                           iteration < 0 ? "never" : fmt::format("at iteration {}", iteration)));
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
    json files = json::object(), written = json::object();
    if (results.files) {
        for (const auto& [key, file] : *results.files)
            files[key] = {{"path", file.path}, {"sha1", file.sha1}};
    }
    for (const std::string_view name : kSealed) {
        const std::filesystem::path beside = path.parent_path() / name;
        if (std::filesystem::exists(beside)) written[std::string(name)] = sha1_of(beside);
    }
    json head{{"metric", judging.metric},
              {"metrics", results.curves.front().metrics},
              {"higher_is_better", judging.higher_is_better},
              {"ratios", judging.ratios},
              {"needs_solution", judging.needs_solution},
              {"unsolved", judging.unsolved},
              {"reference", judging.reference},
              {"target", judging.target ? json(*judging.target) : json()},
              {"tolerance", judging.tolerance},
              {"starts", judging.starts},
              {"contestants", contestants},
              {"written", written}};
    if (results.files) head["files"] = files;
    write_file_atomically(path, json_text(head, 2) + "\n");
}

Results read_results(const std::filesystem::path& folder, std::int64_t shard_rows) {
    Results results;
    read_head(folder / "results.json", results);
    const std::filesystem::path finals = folder / "finals.csv";
    read_finals(finals, results);
    read_curves(folder / "curves.csv", results);
    for (const Curve& curve : results.curves) {
        check_ways(finals, curve, results.judging, shard_rows);
        check_target(finals, curve, results.judging);
    }
    return results;
}

void check_written(const std::filesystem::path& folder, const Results& results) {
    for (const auto& [name, hash] : results.written) {
        if (sha1_of(folder / name) != hash)
            throw Error(ExitCode::kIo,
                        (folder / name).string() +
                            ": was changed since the run wrote its results; restore it, or evaluate again");
    }
}

}  // namespace l2o::framework
