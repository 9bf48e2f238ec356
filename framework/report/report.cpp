#include "framework/report/report.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>
#include <system_error>

#include "framework/config/info_file.hpp"
#include "framework/experiment/run_folder.hpp"
#include "framework/report/gnuplot.hpp"
#include "framework/report/page.hpp"
#include "framework/store/atomic_file.hpp"

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
        points.push_back(std::move(point));
    }
    return points;
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
    if (a.judging.starts != b.judging.starts || a.curves[0].reached.size() != b.curves[0].reached.size())
        refuse("number of instances or starts");
}

Results merged(const std::vector<RunRecord>& runs) {
    Results all{.judging = runs.front().results.judging};
    bool has_one_target = true;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        check_comparable(runs.front(), runs[i]);
        const Judging& judging = runs[i].results.judging;
        has_one_target = has_one_target && judging.target && judging.target == all.judging.target;
        for (Curve curve : runs[i].results.curves) {
            const auto has_its_name = [&](const Curve& other) {
                return other.contestant == curve.contestant;
            };
            if (std::any_of(all.curves.begin(), all.curves.end(), has_its_name))
                curve.contestant += " (run " + std::to_string(i + 1) + ")";
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

/// A folder that takes the place of another once it is complete, and goes away if it never is.
class NewFolder {
  public:
    explicit NewFolder(std::filesystem::path target)
        : target_(std::move(target)),
          path_(target_.parent_path() /
                ("." + target_.filename().string() + ".tmp." + std::to_string(::getpid()))) {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
        make_folders(path_);
    }
    NewFolder(const NewFolder&) = delete;
    NewFolder& operator=(const NewFolder&) = delete;
    ~NewFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    void commit() {
        std::error_code code;
        std::filesystem::remove_all(target_, code);
        std::filesystem::rename(path_, target_, code);
        if (code)
            throw io_error(
                target_, "cannot be replaced", code.value(), "remove it, or check its permissions");
    }

  private:
    std::filesystem::path target_, path_;
};

}  // namespace

ReportFile write_report(const std::vector<std::filesystem::path>& runs, const std::filesystem::path& output) {
    Page page;
    for (const std::filesystem::path& run : runs) page.runs.push_back(read_run(run));
    const std::filesystem::path folder =
        output.empty() ? page.runs.front().folder : std::filesystem::absolute(output).lexically_normal();
    page.results = merged(page.runs);
    page.figures = figures_of(page.runs, page.results);
    make_folders(folder);
    NewFolder pictures(folder / "figures");
    page.note = draw(pictures.path(), page.figures);
    page.pictures = pictures.path();
    const std::string html = html_of(page);
    pictures.commit();
    const std::filesystem::path file = folder / "report.html";
    write_file_atomically(file, html);
    return {file, page.note};
}

}  // namespace l2o::framework
