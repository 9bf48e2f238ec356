#include "framework/report/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <l2o/files/json.hpp>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "framework/config/info_file.hpp"
#include "framework/config/value_text.hpp"
#include "framework/evaluate/entries.hpp"
#include "framework/experiment/run_folder.hpp"
#include "framework/experiment/sweep.hpp"
#include "framework/report/gnuplot.hpp"
#include "framework/report/page.hpp"
#include "framework/report/report_folder.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/paths.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {
namespace {

using nlohmann::json;

constexpr std::size_t kDeepestRecord = 4;

/// A number of a record; NAN where it is null or not there.
double number_or_nan(const json& record, const char* key, const std::string& place) {
    const auto found = record.find(key);
    if (found == record.end() || found->is_null()) return NAN;
    if (found->is_number()) return found->get<double>();
    throw Error(
        ExitCode::kIo,
        fmt::format("{}: {} is {}; expected a number or null", place, key, files::quoted_json(*found)));
}

/// Records of metrics.jsonl; a line that is cut off, as a killed run leaves it, is the last.
std::vector<TrainingPoint> read_training(const std::filesystem::path& path) {
    std::vector<TrainingPoint> points;
    if (!std::filesystem::exists(path)) return points;
    const std::string text = read_file(path);
    std::size_t number = 0;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = text.find('\n', begin);
        if (end == std::string::npos) break;
        const std::string place = fmt::format("{}: line {}", path.string(), ++number);
        const auto record = parsed_json(std::string_view(text).substr(begin, end - begin), kDeepestRecord);
        begin = end + 1;
        if (!record || !record->is_object() || !record->contains("contestant") ||
            !record->at("contestant").is_string())
            throw Error(ExitCode::kIo,
                        place + " is no record of a training; expected what 'l2o train' writes");
        TrainingPoint point{.contestant = record->at("contestant"),
                            .loss = number_or_nan(*record, "loss", place)};
        if (record->contains("validation")) point.validation = number_or_nan(*record, "validation", place);
        point.diverged = record->contains("diverged") && record->at("diverged") == true;
        points.push_back(std::move(point));
    }
    return points;
}

/// The section `evaluate` of config.info, as far as results have to fit it.
class Settings {
  public:
    explicit Settings(const ConfigNode& config) : evaluate_(config.find("evaluate")) {}

    [[nodiscard]] const ConfigNode* find(const char* key) const {
        return evaluate_ != nullptr ? evaluate_->find(key) : nullptr;
    }
    [[nodiscard]] std::int64_t whole(const char* key, std::int64_t otherwise, std::int64_t min) const {
        const ConfigNode* node = find(key);
        if (node == nullptr) return otherwise;
        const std::optional<std::int64_t> value = parse_int(node->value);
        if (value && *value >= min) return *value;
        refuse(*node, fmt::format("a whole number >= {}", min));
    }
    [[nodiscard]] std::optional<double> real(const char* key) const {
        const ConfigNode* node = find(key);
        if (node == nullptr) return std::nullopt;
        if (const std::optional<double> value = parse_real(node->value)) return value;
        refuse(*node, "a number");
    }

  private:
    [[noreturn]] static void refuse(const ConfigNode& node, const std::string& what) {
        throw Error(
            ExitCode::kIo,
            node.origin.text() + ": evaluate." + node.key + " is '" + node.value + "'; expected " + what);
    }
    const ConfigNode* evaluate_;
};

Budget read_budget(const Settings& settings) {
    const EvaluateSettings absent;
    return {.iterations = settings.whole("iterations", absent.iterations, 1),
            .max_evaluations = settings.whole("max_evaluations", absent.max_evaluations, 0),
            .metrics_every = settings.whole("metrics_every", absent.metrics_every, 1),
            .instances = settings.whole("instances", absent.instances, 1),
            .starts = settings.whole("starts", absent.starts, 1)};
}

/// Whether the points of a curve are those that its budget allows, and all of them.
std::string fault_of(const Curve& curve, const Budget& budget) {
    const std::string name = "'" + curve.contestant + "'";
    for (std::size_t i = 0; i + 1 < curve.iteration.size(); ++i) {
        if (curve.iteration[i] != static_cast<std::int64_t>(i) * budget.metrics_every)
            return fmt::format("point {} of {} is iteration {}, and evaluate.metrics_every is {}",
                               i,
                               name,
                               curve.iteration[i],
                               budget.metrics_every);
    }
    const std::int64_t last = curve.iteration.back();
    const auto points = static_cast<std::int64_t>(curve.iteration.size()) - 1;
    if (last > points * budget.metrics_every)
        return fmt::format("{} lacks points before iteration {}, and evaluate.metrics_every is {}",
                           name,
                           last,
                           budget.metrics_every);
    const double spent = curve.evaluations.back();
    const auto limit = static_cast<double>(budget.max_evaluations);
    if (limit > 0 && spent > limit * (1 + 1e-12))
        return fmt::format(
            "{} has {} evaluations, and evaluate.max_evaluations is {}", name, spent, budget.max_evaluations);
    // Who has a budget of evaluations may end before the last iteration.
    if (last > budget.iterations || (limit == 0 && last < budget.iterations))
        return fmt::format(
            "{} has {} iterations, and evaluate.iterations is {}", name, last, budget.iterations);
    return "";
}

/// Name of a curve, and what is swept in it.
using Shown = std::pair<std::string, std::vector<std::pair<std::string, std::string>>>;

/// Whom a contestant of a configuration stands for. Whether it is trained, with what the shared section
/// sweeps, is not known here, but from the results.
std::vector<Shown> members_in(const Results& results, const ConfigNode& contestant, const ConfigNode* train) {
    const auto shown = [&](const ConfigNode* with_train) {
        std::vector<Shown> all;
        for (const Member& member : members_of(contestant, with_train)) {
            if (contestant.find("tune") != nullptr)
                all.emplace_back(tuned_name(member.group, member.swept), only_seed(member.swept));
            else
                all.emplace_back(member.contestant.key, member.swept);
        }
        return all;
    };
    const auto is_there = [&](const Shown& one) {
        return std::ranges::find(results.curves, one.first, &Curve::contestant) != results.curves.end();
    };
    std::vector<Shown> members = shown(nullptr);
    if (std::ranges::any_of(members, is_there)) return members;
    std::vector<Shown> trained = shown(train);
    return std::ranges::any_of(trained, is_there) ? trained : members;
}

/// Whether the results are those of the configuration beside them.
void check_results(const RunRecord& run, const ConfigNode& config, const RunFolder& folder) {
    const auto refuse = [&](const std::string& what) {
        throw Error(ExitCode::kIo,
                    run.folder.string() + ": " + what +
                        "; expected results of the config.info beside them; run it again");
    };
    const Results& results = run.results;
    const Judging& judging = results.judging;
    const Budget& budget = run.budget;
    const auto rows = static_cast<double>(results.curves.front().reached.size());
    if (judging.starts != budget.starts ||
        rows != static_cast<double>(budget.instances) * static_cast<double>(budget.starts)) {
        refuse(
            fmt::format("its results have {} rows, {} per instance, and evaluate.instances is {}, "
                        "evaluate.starts {}",
                        rows,
                        judging.starts,
                        budget.instances,
                        budget.starts));
    }
    const Settings settings(config);
    const auto check_text = [&](const char* key, const std::string& told) {
        const ConfigNode* node = settings.find(key);
        if (node != nullptr && !node->value.empty() && node->value != told)
            refuse(fmt::format(
                "the {} of its results is '{}', and evaluate.{} is '{}'", key, told, key, node->value));
    };
    check_text("metric", judging.metric);
    check_text("reference", judging.reference);
    const auto text_of = [](const std::optional<double>& number) {
        return number ? fmt::format("{}", *number) : std::string("none");
    };
    if (const auto target = settings.real("target"); target != judging.target)
        refuse("the target of its results is " + text_of(judging.target) + ", and evaluate.target is " +
               text_of(target));
    if (const double tolerance = settings.real("tolerance").value_or(EvaluateSettings{}.tolerance);
        tolerance != judging.tolerance)
        refuse(fmt::format("the tolerance of its results is {}, and evaluate.tolerance is {}",
                           judging.tolerance,
                           tolerance));
    std::map<std::string, std::vector<std::pair<std::string, std::string>>> expected;  // what each has swept
    if (const ConfigNode* contestants = config.find("contestants")) {
        for (const ConfigNode& contestant : contestants->children) {
            for (const auto& [name, swept] : members_in(results, contestant, config.find("train")))
                expected[name] = swept;
        }
    }
    for (const Curve& curve : results.curves) {
        if (const std::string fault = fault_of(curve, budget); !fault.empty()) refuse(fault);
        const auto found = expected.find(curve.contestant);
        if (found == expected.end() || found->second != curve.swept)
            refuse("'" + curve.contestant + "' is no contestant of it");
    }
    // A run of some contestants is one of those that were trained alone.
    const std::vector<std::string> wanted = folder.request().contestants;
    for (const auto& [name, swept] : expected) {
        const bool is_there =
            std::ranges::find(results.curves, name, &Curve::contestant) != results.curves.end();
        const bool is_wanted = wanted.empty() || std::ranges::find(wanted, name) != wanted.end();
        if (is_wanted && !is_there) refuse("there are no results of its contestant '" + name + "'");
    }
}

RunRecord read_run(const std::filesystem::path& path) {
    const RunFolder folder = RunFolder::open(path);
    if (!std::filesystem::exists(folder.results())) {
        const bool only_trains = folder.request().part == RunPart::kTrain;
        throw Error(
            ExitCode::kIo,
            path.string() + ": there is no results.json, " +
                (only_trains
                     ? "as 'l2o train' only trains; expected a run that was evaluated ('l2o evaluate " +
                           folder.config().string() + "' begins one)"
                     : "so the run is not finished; expected one that was evaluated ('l2o run --resume " +
                           path.string() + "' goes on with it)"));
    }
    RunRecord run{.folder = folder.path,
                  .config = read_file(folder.config()),
                  .environment = read_file(folder.path / "environment.json"),
                  .training = read_training(folder.metrics())};
    const ConfigNode config = parse_info(run.config, folder.config());
    const Settings settings(config);
    run.budget = read_budget(settings);
    run.results = read_results(folder.path, settings.whole("shard_rows", EvaluateSettings{}.shard_rows, 1));
    const ConfigNode* name = config.find("name");
    run.name = name != nullptr ? name->value : folder.path.filename().string();
    check_results(run, config, folder);
    check_written(folder.path, run.results);
    return run;
}

constexpr std::string_view kProblem = "optimizee.";  // of keys of Results::files

/// Numbers however they were written: 50, 0050, 5e1.
void normalise(ConfigNode& node) {
    if (const auto whole = parse_int(node.value))
        node.value = fmt::format("{}", *whole);
    else if (const auto real = parse_real(node.value))
        node.value = fmt::format("{}", *real);
    for (ConfigNode& child : node.children) normalise(child);
}

/// What decides about the instances and starts of a run, but for the files whose contents are known of this
/// one and the other.
std::string problem_text(const RunRecord& run, const RunRecord& other) {
    const ConfigNode config = parse_info(run.config, run.folder / "config.info");
    ConfigNode problem;
    for (const char* key : {"seed", "dtype", "optimizee"}) {
        if (const ConfigNode* node = config.find(key)) problem.children.push_back(*node);
    }
    const auto is_known = [&](const ConfigNode& option) {
        const std::string key = std::string(kProblem) + option.key;
        return run.results.files && other.results.files && run.results.files->contains(key) &&
               other.results.files->contains(key);
    };
    for (ConfigNode& node : problem.children) std::erase_if(node.children, is_known);
    normalise(problem);
    return canonical_text(problem);
}

/// Refuses runs whose problem is of files that changed in between.
void check_contents(const RunRecord& first, const RunRecord& run) {
    if (!first.results.files || !run.results.files) return;
    for (const auto& [key, file] : *run.results.files) {
        const auto known = first.results.files->find(key);
        if (!key.starts_with(kProblem) || known == first.results.files->end() ||
            known->second.sha1 == file.sha1)
            continue;
        throw Error(ExitCode::kUsage,
                    fmt::format("{} was run on another content of {} ({}) than {}: SHA-1 {} and {}; expected "
                                "runs on the same instances and starts; report them one at a time",
                                run.folder.string(),
                                file.path,
                                key,
                                first.folder.string(),
                                file.sha1,
                                known->second.sha1));
    }
}

/// Files of the problem whose content a run does not tell, so that it cannot be compared.
std::vector<std::string> untold_contents(const std::vector<RunRecord>& runs) {
    std::vector<std::string> remarks;
    for (const RunRecord& run : runs) {
        const ConfigNode config = parse_info(run.config, run.folder / "config.info");
        const ConfigNode* optimizee = config.find("optimizee");
        if (optimizee == nullptr) continue;
        for (const ConfigNode& option : optimizee->children) {
            const std::string key = std::string(kProblem) + option.key;
            // A run folder has options that are paths as absolute ones, and others do not begin like that.
            const bool is_path = option.value.starts_with('/');
            if (!is_path || (run.results.files && run.results.files->contains(key))) continue;
            remarks.push_back(
                fmt::format("{} does not tell the content of {} ({}): whether all runs had the "
                            "same is not known",
                            run.folder.string(),
                            option.value,
                            key));
        }
    }
    return remarks;
}

constexpr double kRounding = 1e-4;  // chosen: far more than float32 data differ by in another order of sums

/// To rounding; true where one does not tell.
bool is_same_instances(const Results& a, const Results& b) {
    if (!a.instances || !b.instances) return true;
    return std::equal(a.instances->begin(),
                      a.instances->end(),
                      b.instances->begin(),
                      b.instances->end(),
                      [](const auto& one, const auto& other) {
                          return std::abs(one.first - other.first) <=
                                 kRounding * std::max(one.second, other.second);
                      });
}

void check_comparable(const RunRecord& first, const RunRecord& run) {
    const auto refuse = [&](const std::string& what) {
        throw Error(ExitCode::kUsage,
                    run.folder.string() + " has another " + what + " than " + first.folder.string() +
                        "; expected runs on the same instances and starts; report them one at a time");
    };
    if (problem_text(first, run) != problem_text(run, first)) refuse("problem, seed or dtype");
    check_contents(first, run);
    const Results &a = first.results, &b = run.results;
    if (a.judging.metric != b.judging.metric || a.curves[0].metrics != b.curves[0].metrics) refuse("metric");
    if (a.judging.higher_is_better != b.judging.higher_is_better || a.judging.ratios != b.judging.ratios)
        refuse("kind of metric");
    if (a.judging.unsolved != b.judging.unsolved || a.judging.needs_solution != b.judging.needs_solution)
        refuse("set of instances with a certified solution");
    if (a.judging.starts != b.judging.starts || a.curves[0].reached.size() != b.curves[0].reached.size())
        refuse("number of instances or starts");
    if (!is_same_instances(a, b))
        throw Error(
            ExitCode::kUsage,
            run.folder.string() + " has other instances or starts than " + first.folder.string() +
                ", though the configurations are the same: the problem's plugin is of another build (see "
                "environment.json in both); evaluate one of the two again, or report them one at a time");
    const Budget &given = first.budget, &other = run.budget;
    if (given.iterations == other.iterations && given.max_evaluations == other.max_evaluations) return;
    throw Error(ExitCode::kUsage,
                fmt::format("{} has another budget than {}: evaluate.iterations {} and {}, "
                            "evaluate.max_evaluations {} and {}; expected the same; evaluate one of the two "
                            "again",
                            run.folder.string(),
                            first.folder.string(),
                            other.iterations,
                            given.iterations,
                            other.max_evaluations,
                            given.max_evaluations));
}

/// A name that nobody else has.
std::string free_name(const std::string& name, std::size_t run, const std::vector<Curve>& others) {
    const auto is_taken = [&](const std::string& wanted) {
        return std::any_of(
            others.begin(), others.end(), [&](const Curve& other) { return other.contestant == wanted; });
    };
    std::string free = name;
    while (is_taken(free)) free += fmt::format(" (run {})", run);
    return free;
}

/// The same for a group, as a contestant of another run may be called too.
std::string free_group(const std::string& group, std::size_t run, std::span<const Curve> others) {
    const auto is_taken = [&](const std::string& wanted) {
        return std::any_of(others.begin(), others.end(), [&](const Curve& other) {
            return other.group == wanted || other.contestant == wanted;
        });
    };
    std::string free = group;
    while (is_taken(free)) free += fmt::format(" (run {})", run);
    return free;
}

/// What the contestants of each run are called among those of all.
using Names = std::vector<std::map<std::string, std::string>>;

Results merged(const std::vector<RunRecord>& runs, Names& names) {
    Results all{.judging = runs.front().results.judging};
    names.resize(runs.size());
    bool has_one_target = true;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        check_comparable(runs.front(), runs[i]);
        const Judging& judging = runs[i].results.judging;
        has_one_target =
            has_one_target && judging.target && judging.target == all.judging.target &&
            judging.is_paid_for == all.judging.is_paid_for &&
            (judging.is_paid_for || runs[i].budget.metrics_every == runs.front().budget.metrics_every);
        const std::size_t earlier = all.curves.size();
        for (Curve curve : runs[i].results.curves) {
            std::string free = free_name(curve.contestant, i + 1, all.curves);
            if (!curve.swept.empty()) {  // groups of one name are told apart, with those in them
                const std::string group =
                    free_group(curve.group, i + 1, std::span(all.curves).first(earlier));
                free = group + curve.contestant.substr(curve.group.size());
                curve.group = group;
            }
            names[i][curve.contestant] = free;
            curve.contestant = free;
            all.curves.push_back(std::move(curve));
        }
    }
    // Those of several runs would be relative to other bests, and of other budgets.
    if (runs.size() == 1) all.runtimes = runs.front().results.runtimes;
    if (runs.size() > 1 && !has_one_target) {
        for (Curve& curve : all.curves) curve.reached.clear();
    }
    return all;
}

std::vector<Figure> figures_of(const std::vector<RunRecord>& runs,
                               const Results& results,
                               const Names& names) {
    std::vector<Figure> figures = metric_figures(results);
    if (const auto differences = difference_figure(results)) figures.push_back(*differences);
    if (const auto profile = profile_figure(results)) figures.push_back(*profile);
    if (const auto ecdf = ecdf_figure(results)) figures.push_back(*ecdf);
    std::vector<TrainingPoint> training;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        for (TrainingPoint point : runs[i].training) {
            const auto name = names[i].find(point.contestant);
            if (name != names[i].end()) point.contestant = name->second;
            training.push_back(std::move(point));
        }
    }
    for (Figure& figure : training_figures(training)) figures.push_back(std::move(figure));
    return figures;
}

}  // namespace

ReportFile write_report(const std::vector<std::filesystem::path>& runs, const std::filesystem::path& output) {
    Page page;
    for (const std::filesystem::path& run : runs) page.runs.push_back(read_run(run));
    const std::filesystem::path folder = output.empty() ? page.runs.front().folder : absolute_path(output);
    Names names;
    page.results = merged(page.runs, names);
    if (page.runs.size() > 1) page.remarks = untold_contents(page.runs);
    page.figures = figures_of(page.runs, page.results, names);
    ReportFolder files(folder);
    const Drawn drawn = draw(files.drafts(), page.figures);
    page.note = drawn.note;
    page.pictures = files.drafts();
    files.commit(html_of(page));
    return {.page = files.page(),
            .note = drawn.note,
            .has_failed = drawn.has_failed,
            .remarks = std::move(page.remarks),
            .results = std::move(page.results)};
}

}  // namespace l2o::framework
