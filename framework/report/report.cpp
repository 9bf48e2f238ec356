#include "framework/report/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "framework/config/info_file.hpp"
#include "framework/config/value_text.hpp"
#include "framework/experiment/run_folder.hpp"
#include "framework/report/gnuplot.hpp"
#include "framework/report/page.hpp"
#include "framework/report/report_folder.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/paths.hpp"

namespace l2o::framework {
namespace {

using nlohmann::json;

double number_or_nan(const json& record, const char* key) {
    const auto found = record.find(key);
    return found != record.end() && found->is_number() ? found->get<double>() : NAN;
}

/// Records of metrics.jsonl; a line that is cut off, as a killed run leaves it, is the last.
std::vector<TrainingPoint> read_training(const std::filesystem::path& path) {
    std::vector<TrainingPoint> points;
    if (!std::filesystem::exists(path)) return points;
    const std::string text = read_file(path);
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        const json record = json::parse(text.substr(begin, end - begin), nullptr, false);
        begin = end + 1;
        if (!record.is_object() || !record.contains("contestant") || !record["contestant"].is_string())
            continue;
        TrainingPoint point{.contestant = record["contestant"], .loss = number_or_nan(record, "loss")};
        if (record.contains("validation")) point.validation = number_or_nan(record, "validation");
        point.diverged = record.contains("diverged") && record["diverged"] == true;
        points.push_back(std::move(point));
    }
    return points;
}

Budget read_budget(const ConfigNode& config) {
    const EvaluateSettings absent;
    const ConfigNode* evaluate = config.find("evaluate");
    const auto setting = [&](const char* key, std::int64_t otherwise) {
        const ConfigNode* node = evaluate != nullptr ? evaluate->find(key) : nullptr;
        if (node == nullptr) return otherwise;
        const std::optional<std::int64_t> value = parse_int(node->value);
        if (value && *value >= 0) return *value;
        throw Error(ExitCode::kIo,
                    node->origin.text() + ": evaluate." + key + " is '" + node->value +
                        "'; expected a whole number >= 0");
    };
    return {.iterations = setting("iterations", absent.iterations),
            .max_evaluations = setting("max_evaluations", absent.max_evaluations),
            .metrics_every = setting("metrics_every", absent.metrics_every),
            .instances = setting("instances", absent.instances),
            .starts = setting("starts", absent.starts)};
}

/// Whether the results are those of the configuration beside them.
void check_results(const RunRecord& run, const ConfigNode& config) {
    const auto refuse = [&](const std::string& what) {
        throw Error(ExitCode::kIo,
                    run.folder.string() + ": " + what +
                        "; expected results of the config.info beside them; run it again");
    };
    const Results& results = run.results;
    const Budget& budget = run.budget;
    const auto rows = static_cast<double>(results.curves.front().reached.size());
    if (results.judging.starts != budget.starts ||
        rows != static_cast<double>(budget.instances) * static_cast<double>(budget.starts)) {
        refuse(
            fmt::format("its results have {} rows, {} per instance, and evaluate.instances is {}, "
                        "evaluate.starts {}",
                        rows,
                        results.judging.starts,
                        budget.instances,
                        budget.starts));
    }
    for (const Curve& curve : results.curves) {
        if (curve.iteration.back() > budget.iterations)
            refuse(fmt::format("'{}' has {} iterations, and evaluate.iterations is {}",
                               curve.contestant,
                               curve.iteration.back(),
                               budget.iterations));
        const ConfigNode* contestants = config.find("contestants");
        if (contestants == nullptr || contestants->find(curve.contestant) == nullptr)
            refuse("'" + curve.contestant + "' is no contestant of it");
    }
}

RunRecord read_run(const std::filesystem::path& path) {
    const RunFolder folder = RunFolder::open(path);
    if (!std::filesystem::exists(folder.results())) {
        throw Error(
            ExitCode::kIo,
            path.string() +
                ": there is no results.json, so the run is not finished; expected one that was evaluated "
                "('l2o run --resume " +
                path.string() + "' goes on with it)");
    }
    RunRecord run{.folder = folder.path,
                  .config = read_file(folder.config()),
                  .environment = read_file(folder.path / "environment.json"),
                  .training = read_training(folder.metrics()),
                  .results = read_results(folder.path)};
    const ConfigNode config = parse_info(run.config, folder.config());
    const ConfigNode* name = config.find("name");
    run.name = name != nullptr ? name->value : folder.path.filename().string();
    run.budget = read_budget(config);
    check_results(run, config);
    return run;
}

/// What decides about the instances and starts of a run.
std::string problem_text(const RunRecord& run) {
    const ConfigNode config = parse_info(run.config, run.folder / "config.info");
    ConfigNode problem;
    for (const char* key : {"seed", "dtype", "optimizee"}) {
        if (const ConfigNode* node = config.find(key)) problem.children.push_back(*node);
    }
    return canonical_text(problem);
}

void check_comparable(const RunRecord& first, const RunRecord& run) {
    const auto refuse = [&](const std::string& what) {
        throw Error(ExitCode::kUsage,
                    run.folder.string() + " has another " + what + " than " + first.folder.string() +
                        "; expected runs on the same instances and starts; report them one at a time");
    };
    if (problem_text(first) != problem_text(run)) refuse("problem, seed or dtype");
    const Results &a = first.results, &b = run.results;
    if (a.judging.metric != b.judging.metric || a.curves[0].metrics != b.curves[0].metrics) refuse("metric");
    if (a.judging.higher_is_better != b.judging.higher_is_better || a.judging.ratios != b.judging.ratios)
        refuse("kind of metric");
    if (a.judging.starts != b.judging.starts || a.curves[0].reached.size() != b.curves[0].reached.size())
        refuse("number of instances or starts");
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

Results merged(const std::vector<RunRecord>& runs) {
    Results all{.judging = runs.front().results.judging};
    bool has_one_target = true;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        check_comparable(runs.front(), runs[i]);
        const Judging& judging = runs[i].results.judging;
        has_one_target = has_one_target && judging.target && judging.target == all.judging.target &&
                         runs[i].budget.metrics_every == runs.front().budget.metrics_every;
        for (Curve curve : runs[i].results.curves) {
            curve.contestant = free_name(curve.contestant, i + 1, all.curves);
            all.curves.push_back(std::move(curve));
        }
    }
    if (runs.size() > 1 && !has_one_target) {
        for (Curve& curve : all.curves) curve.reached.clear();
    }
    return all;
}

std::vector<Figure> figures_of(const std::vector<RunRecord>& runs, const Results& results) {
    std::vector<Figure> figures = metric_figures(results);
    if (const auto differences = difference_figure(results)) figures.push_back(*differences);
    if (const auto profile = profile_figure(results)) figures.push_back(*profile);
    std::vector<TrainingPoint> training;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        for (TrainingPoint point : runs[i].training) {
            if (i > 0) point.contestant += " (run " + std::to_string(i + 1) + ")";
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
    page.results = merged(page.runs);
    page.figures = figures_of(page.runs, page.results);
    ReportFolder files(folder);
    const Drawn drawn = draw(files.drafts(), page.figures);
    page.note = drawn.note;
    page.pictures = files.drafts();
    files.commit(html_of(page));
    return {.page = files.page(), .note = drawn.note, .has_failed = drawn.has_failed};
}

}  // namespace l2o::framework
