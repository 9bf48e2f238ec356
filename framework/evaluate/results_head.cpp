#include "framework/evaluate/results_head.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <l2o/files/json.hpp>
#include <limits>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "framework/evaluate/entries.hpp"
#include "framework/evaluate/entries_json.hpp"
#include "framework/evaluate/results_table.hpp"
#include "framework/evaluate/timing.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/hash.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {
namespace {

using nlohmann::json;

/// Contestants and metrics are a level each; anything deeper is somebody else's file.
constexpr std::size_t kDeepestJson = 8;

/// What a target is reached by: see find_reached(). Earlier files do not say, and mean points.
constexpr const char *kByValues = "values paid for", *kByPoints = "recorded points";

/// What targets of running times are: see Runtimes::is_absolute.
constexpr const char *kDistance = "f - f_opt", *kWay = "way to the best paid for";

constexpr double kMostSeeds = 1e15;  // that a double counts up to

/// Files beside results.json that are as they were when it was written.
constexpr std::array<std::string_view, 4> kSealed{"config.info", "curves.csv", "finals.csv", "metrics.jsonl"};

std::string sha1_of(const std::filesystem::path& path) {
    FileHandle file(path, O_RDONLY);
    return sha1_hex(file);
}

json parse_shallow(const std::filesystem::path& path) {
    try {
        return files::parse_json(read_file(path), kDeepestJson, "lists of contestants and metrics");
    } catch (const files::JsonFault& fault) {
        refuse_results(path, fault.what());
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

Tuned::Settings settings_in(const Place& list) {
    Tuned::Settings settings;
    for (const Place& item : list.items()) {
        const std::vector<Place> pair = item.items();
        if (pair.size() != 2) item.expect("a key and its value");
        settings.emplace_back(pair[0].text(), pair[1].text());
    }
    return settings;
}

Tuned tuned_in(const Place& place) {
    Tuned tuned{.chosen = settings_in(place.at("chosen")),
                .on_edge = place.at("on_edge").names("key"),
                .metric = place.at("metric").text(),
                .instances = place.at("instances").whole(1),
                .evaluations = place.at("evaluations").real(0),
                .seconds = place.at("seconds").real(0)};
    for (const Place& candidate : place.at("tried").items()) {
        const Place value = candidate.at("value");  // null: not finite
        tuned.tried.emplace_back(settings_in(candidate.at("settings")),
                                 value.value().is_null() ? static_cast<double>(NAN) : value.real(-DBL_MAX));
    }
    return tuned;
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
    if (const std::optional<Place> time = contestant.find("solve_seconds")) {
        curve.time = {.median = time->at("median").real(0),
                      .low = time->at("low").real(0),
                      .high = time->at("high").real(0),
                      .runs = time->at("runs").whole(1)};
    }
    if (const std::optional<Place> swept = contestant.find("swept")) {
        const Place group = contestant.at("group");
        curve.group = group.text();
        if (!curve.contestant.starts_with(curve.group + "."))
            group.expect("what the name '" + curve.contestant + "' begins with, before a '.'");
        curve.swept = settings_in(*swept);
        if (curve.swept.empty()) swept->expect("a key at least");
    }
    if (const std::optional<Place> tuned = contestant.find("tuned")) curve.tuned = tuned_in(*tuned);
    if (const std::optional<Place> optimizer = contestant.find("optimizer")) {
        curve.optimizer = optimizer->text();
        for (const auto& [key, option] : contestant.at("options").members())
            curve.options[key] = option.text();
    }
    if (const std::optional<Place> seed = contestant.find("training_seed"))
        curve.training_seed = static_cast<std::uint64_t>(seed->whole(0, kMostSeeds));
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

/// Numbers, so many, that never fall.
std::vector<double> rising(const Place& list, double min, double max) {
    std::vector<double> numbers;
    for (const Place& item : list.items()) {
        numbers.push_back(item.real(min, max));
        if (numbers.size() > 1 && numbers.back() < numbers[numbers.size() - 2])
            item.expect("no less than the number before it");
    }
    return numbers;
}

Runtimes read_runtimes(const Place& place, const std::vector<Curve>& curves) {
    Runtimes all{.is_absolute = one_of(place.at("targets_of"), "kind", {kDistance, kWay}) == kDistance,
                 .budgets = rising(place.at("budgets"), 0, DBL_MAX)};
    for (const Place& target : place.at("targets").items()) all.targets.push_back(target.real(0));
    all.rows = place.at("rows").whole(1);
    if (all.targets.empty() || all.budgets.empty()) place.expect("targets and budgets");
    const auto expect_size = [](const Place& list, std::size_t size) {
        if (list.items().size() != size) list.expect(fmt::format("{} numbers", size));
    };
    const std::vector<Entry> entries = entries_of(curves);
    const std::vector<Place> runs = place.at("entries").items();
    for (const Place& run : runs) {
        if (all.runs.size() == entries.size()) place.at("entries").expect("one per entry of these results");
        const auto rows =
            static_cast<double>(all.rows) * static_cast<double>(entries[all.runs.size()].members.size());
        Runtimes::Run& one = all.runs.emplace_back();
        one.contestant = run.at("name").text();
        for (const char* key : {"reached", "expected"}) expect_size(run.at(key), all.targets.size());
        expect_size(run.at("share"), all.budgets.size());
        for (const Place& item : run.at("reached").items()) one.reached.push_back(item.whole(0, rows));
        for (const Place& item : run.at("expected").items())
            one.expected.push_back(item.value().is_null() ? std::numeric_limits<double>::infinity()
                                                          : item.real(0));
        one.share = rising(run.at("share"), 0, 1);
    }
    if (!std::ranges::equal(all.runs, entries, {}, &Runtimes::Run::contestant, &Entry::name))
        place.at("entries").expect("one per entry of these results, in their order");
    return all;
}

json contestant_json(const Curve& curve) {
    json metrics = json::object();
    for (std::size_t i = 0; i < curve.metrics.size(); ++i)
        metrics[curve.metrics[i]] = to_json(curve.distributions[i].back());
    json told{{"name", curve.contestant},
              {"iterations", curve.iteration.back()},
              {"evaluations", curve.evaluations.back()},
              {"values", curve.values.back()},
              {"gradients", curve.gradients.back()},
              {"seconds", curve.seconds.back()},
              {"best_objective", curve.best.empty() ? json() : json(curve.best.back())},
              {"metrics", std::move(metrics)},
              {"training_seconds", curve.training_seconds},
              {"preparation_seconds", curve.preparation_seconds}};
    if (!curve.swept.empty()) {
        told["group"] = curve.group;
        told["swept"] = curve.swept;
    }
    if (curve.time.runs > 0) told["solve_seconds"] = to_json(curve.time);
    if (curve.tuned) told["tuned"] = to_json(*curve.tuned);
    if (!curve.optimizer.empty()) {
        told["optimizer"] = curve.optimizer;
        told["options"] = curve.options;
    }
    if (curve.training_seed) told["training_seed"] = *curve.training_seed;
    if (curve.training) {
        told["training"] = to_json(*curve.training);
        told["training_remarks"] = remarks_on(*curve.training);
    }
    if (!curve.safeguard.empty()) {
        told["safeguard"] = curve.safeguard;
        told["fallback_rate"] = curve.fallback_rate;
    }
    return told;
}

json runtimes_json(const Runtimes& all) {
    json entries = json::array();
    for (const Runtimes::Run& run : all.runs)
        entries.push_back({{"name", run.contestant},
                           {"reached", run.reached},
                           {"expected", run.expected},
                           {"share", run.share}});
    return {{"targets_of", all.is_absolute ? kDistance : kWay},
            {"targets", all.targets},
            {"budgets", all.budgets},
            {"rows", all.rows},
            {"entries", entries}};
}

}  // namespace

void read_results_head(const std::filesystem::path& path, Results& results) {
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
    if (const std::optional<Place> by = head.find("target_by")) {
        judging.is_paid_for = one_of(*by, "way", {kByValues, kByPoints}) == kByValues;
        if (judging.is_paid_for && judging.metric != "objective")
            by->expect(fmt::format("\"{}\" where the objective is not what counts", kByPoints));
    }
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
    if (const std::optional<Place> instances = head.find("instances")) {
        results.instances.emplace();
        for (const Place& item : instances->items()) {
            const std::vector<Place> pair = item.items();
            if (pair.size() != 2) item.expect("a sum and the size of its terms");
            results.instances->emplace_back(pair[0].real(-DBL_MAX), pair[1].real(0));
        }
    }
    if (const std::optional<Place> dimension = head.find("dimension"))
        results.dimension = dimension->whole(1, kMostIterations);
    if (const std::optional<Place> optima = head.find("optima")) {
        results.optima.emplace();
        for (const Place& item : optima->items())
            results.optima->push_back(item.value().is_null() ? static_cast<double>(NAN)
                                                             : item.real(-DBL_MAX));
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
    std::vector<std::string> entries;
    for (const Entry& entry : entries_of(results.curves)) entries.push_back(entry.name);
    judging.reference = one_of(head.at("reference"), "contestant", entries);
    if (const std::optional<Place> runtimes = head.find("runtimes"))
        results.runtimes = read_runtimes(*runtimes, results.curves);
}

json to_json(const Results& results) {
    const Judging& judging = results.judging;
    json contestants = json::array();
    std::int64_t iterations = 0;
    for (const Curve& curve : results.curves) {
        iterations = std::max(iterations, curve.iteration.back());
        contestants.push_back(contestant_json(curve));
    }
    json head{{"metric", judging.metric},
              {"metrics", results.curves.front().metrics},
              {"higher_is_better", judging.higher_is_better},
              {"ratios", judging.ratios},
              {"needs_solution", judging.needs_solution},
              {"unsolved", judging.unsolved},
              {"reference", judging.reference},
              {"target", judging.target ? json(*judging.target) : json()},
              {"target_by", judging.is_paid_for ? kByValues : kByPoints},
              {"tolerance", judging.tolerance},
              {"starts", judging.starts},
              {"rows", results.curves.front().final_rows.front().size()},
              {"iterations", iterations},
              {"contestants", contestants},
              {"entries", entries_json(results.curves, judging)}};
    if (results.files) {
        head["files"] = json::object();
        for (const auto& [key, file] : *results.files)
            head["files"][key] = {{"path", file.path}, {"sha1", file.sha1}};
    }
    if (results.instances) head["instances"] = *results.instances;
    if (results.dimension > 0) head["dimension"] = results.dimension;
    if (results.optima) head["optima"] = *results.optima;
    if (results.runtimes) head["runtimes"] = runtimes_json(*results.runtimes);
    return head;
}

void write_results(const std::filesystem::path& path, const Results& results) {
    json head = to_json(results), written = json::object();
    for (const std::string_view name : kSealed) {
        const std::filesystem::path beside = path.parent_path() / name;
        if (std::filesystem::exists(beside)) written[std::string(name)] = sha1_of(beside);
    }
    head["written"] = std::move(written);
    write_file_atomically(path, json_text(head, 2) + "\n");
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
