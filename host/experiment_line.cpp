#include "host/experiment_line.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <optional>
#include <set>

#include "framework/config/value_text.hpp"
#include "framework/evaluate/results.hpp"
#include "framework/store/paths.hpp"
#include "framework/store/system_failure.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"
#include "framework/text/suggest.hpp"
#include "host/console.hpp"
#include "host/progress.hpp"

namespace l2o::host {
namespace {

using namespace l2o::framework;
namespace po = boost::program_options;
using nlohmann::json;

const char* text_of(WeightsReport::Source source) {
    switch (source) {
        case WeightsReport::Source::kTrained:
            return "trained";
        case WeightsReport::Source::kFound:
            return "found again";
        case WeightsReport::Source::kGiven:
            return "given";
    }
    return "";
}

/// The page of a run that was evaluated.
struct Page {
    std::string file{};              ///< "" : none was wanted, or none can be written
    std::optional<Error> failure{};  ///< why there is none, or one without pictures
};

Page write_page(const CommandLine& line, const RunResult& result) try {
    if (result.results.curves.empty() || !result.report) return {};
    if (const auto page = result.folder / "report.html";
        result.was_finished && ::access(result.folder.c_str(), W_OK) != 0 && std::filesystem::exists(page))
        return {.file = page.string()};
    const ReportFile written = write_report({result.folder});
    Page page{.file = written.page.string()};
    if (written.has_failed)
        page.failure = failure_of(written);
    else if (!written.note.empty())
        note(line.common(), written.note);
    return page;
} catch (const Error& error) {
    return {.failure = Error(error.code(), std::string("the report was not written: ") + error.what())};
} catch (const std::exception& error) {
    const std::optional<Error> failure = system_failure(error);
    if (!failure) throw;
    return {.failure = Error(failure->code(), std::string("the report was not written: ") + failure->what())};
}

/// Why a run that is written has failed all the same.
std::optional<Error> failure_of(const RunResult& result, const Page& page) {
    const std::vector<Curve>& curves = result.results.curves;
    if (!curves.empty() && all_diverged(curves)) {
        const bool is_from_the_start = std::ranges::all_of(
            curves, [](const Curve& curve) { return curve.distributions[0].front().finite == 0; });
        return Error(ExitCode::kNumerical,
                     (is_from_the_start ? "'" + curves[0].metrics[0] +
                                              "' is not finite at any starting point, before the first step: "
                                              "look at the problem ('l2o check'), not at who solves it; "
                                        : "every trajectory of every contestant diverged; ") +
                         result.folder.string() + " was written all the same");
    }
    for (const WeightsReport& weights : result.weights) {
        // Who names weights has chosen them.
        if (!weights.training || !weights.training->diverged ||
            weights.source == WeightsReport::Source::kGiven)
            continue;
        return Error(ExitCode::kNumerical,
                     "the training of '" + weights.contestant +
                         "' diverged, and its weights are not what it ended with; train with smaller steps "
                         "(output_scale, train.meta_optimizer.learning_rate) or set train.clip_norm");
    }
    return page.failure;
}

json json_of(const Experiment& experiment,
             const RunResult& result,
             const std::string& page,
             const std::optional<Error>& failure) {
    json told{{"contestants", json::array()}, {"entries", json::array()}};
    if (!result.results.curves.empty()) told = to_json(result.results);
    json weights = json::array();
    for (const WeightsReport& report : result.weights) {
        json entry{
            {"meta_steps", nullptr}, {"skipped", nullptr}, {"diverged", nullptr}, {"improved", nullptr}};
        if (report.training) entry = to_json(*report.training);
        entry.update(
            {{"contestant", report.contestant},
             {"file", report.file.string()},
             {"source", text_of(report.source)},
             {"seconds", report.seconds > 0 ? json(report.seconds) : json()},
             {"remarks", report.training ? remarks_on(*report.training) : std::vector<std::string>{}}});
        weights.push_back(std::move(entry));
    }
    told.update({{"experiment", experiment.name},
                 {"seed", experiment.seed},
                 {"folder", result.folder.string()},
                 {"report", page.empty() ? json() : json(page)},
                 {"weights", weights}});
    if (failure) told["error"] = message(failure->what());
    return told;
}

void print(const RunResult& result, const std::string& page) {
    if (!result.results.curves.empty()) {
        std::cout << result_table(result.results.curves, result.results.judging, stdout_columns());
        if (result.results.curves.size() > 1)
            std::cout << "\n"
                      << comparison_table(result.results.curves, result.results.judging, stdout_columns())
                      << "\n";
    }
    for (const WeightsReport& report : result.weights) {
        std::cout << one_line(fmt::format(
            "weights of {}: {}, {}", report.contestant, text_of(report.source), report.file.string()));
        if (report.source == WeightsReport::Source::kTrained && report.training)
            std::cout << fmt::format(
                ", {} meta-steps in {:.3g} s", report.training->meta_steps, report.seconds);
        else
            std::cout << (report.seconds > 0 ? ", of an earlier training of " + duration_text(report.seconds)
                                             : ", of a training of unknown length");
        if (report.training) {
            if (const double before = report.training->warm_start_seconds; before > 0 && report.seconds > 0)
                std::cout << ", " << duration_text(report.seconds + before) << " with what it started from";
            for (const std::string& remark : remarks_on(*report.training))
                std::cout << "; " << one_line(remark);
        }
        std::cout << "\n";
    }
    std::cout << "run folder: " << one_line(result.folder.string()) << "\n";
    if (!page.empty()) std::cout << "report: " << one_line(page) << "\n";
}

}  // namespace

void add_experiment_options(Usage& usage) {
    usage.options.add_options()  //
        ("set",
         po::value<std::vector<std::string>>()->composing()->value_name("KEY.PATH=VALUE"),  //
         "overrides a setting of the file, as an argument of this form does")               //
        ("out",
         po::value<std::string>()->value_name("FOLDER"),                      //
         "where run folders and trained weights are written, default: runs")  //
        ("jobs",
         po::value<std::string>()->value_name("N"),  //
         "contestants to train or evaluate side by side, at most as many as threads, which are shared out; "
         "default 1; results do not depend on it");
}

void add_resume_option(Usage& usage) {
    usage.options.add_options()  //
        ("resume",
         po::value<std::string>()->value_name("FOLDER"),  //
         "resume an interrupted run in its folder, from its last checkpoint and with its own settings; takes "
         "no experiment file");
}

ResumedRun resumed(const CommandLine& line, const Catalog& catalog, const ExperimentLine& words) {
    if (!words.file.empty() || !words.settings.empty() || line.common().seed || line.has("out")) {
        throw line.refusal(
            "--resume goes on with the experiment of its run folder; leave out file, settings, "
            "--seed and --out");
    }
    return resumed_run(catalog, line.require("resume"));
}

ExperimentLine sort_words(const CommandLine& line) {
    ExperimentLine words;
    for (const std::string& word : line.arguments()) {
        if (word.find('=') != std::string::npos) {
            words.settings.push_back(word);
        } else if (words.file.empty()) {
            words.file = word;
        } else {
            words.names.push_back(word);
        }
    }
    for (const std::string& text : line.texts("set")) words.settings.push_back(text);
    return words;
}

Config load_config(const CommandLine& line, const ExperimentLine& words) {
    if (words.file.empty()) throw line.refusal("an experiment file is missing");
    return Config::load(words.file, words.settings);
}

std::vector<std::filesystem::path> sources_of(const ConfigNode& configuration) {
    std::vector<std::filesystem::path> files{configuration.origin.file};
    for (const ConfigNode& child : configuration.children) {
        for (const std::filesystem::path& file : sources_of(child)) {
            if (std::ranges::find(files, file) == files.end()) files.push_back(file);
        }
    }
    return files;
}

Experiment load_experiment(const CommandLine& line, const Catalog& catalog, const ExperimentLine& words) {
    return read_experiment(catalog, load_config(line, words), line.common().seed);
}

void check_contestant(const CommandLine& line,
                      const std::vector<std::string>& known,
                      const std::string& name) {
    for (const std::string& contestant : known) {
        if (contestant == name) return;
    }
    throw line.refusal("unknown contestant '" + name + "'" + did_you_mean(name, known));
}

RunResult run_part(const CommandLine& line,
                   const Experiment& experiment,
                   RunPart part,
                   const std::vector<std::string>& names) {
    const Common& common = line.common();
    std::vector<Catalog::Entry> plugins{experiment.optimizee.entry};
    for (const Contestant& contestant : experiment.contestants) {
        plugins.push_back(contestant.optimizer.entry);
        if (contestant.train) plugins.push_back(contestant.train->optimizee.entry);
    }
    warn_without_blas(common, plugins);

    ProgressLine progress(common.is_quiet);
    RunOptions options{.part = part,
                       .retrain = line.has("retrain"),
                       .report = !line.has("no-report"),
                       .untrained = line.has("untrained"),
                       .threads = common.threads,
                       .jobs = static_cast<int>(line.integer("jobs", 1, 4096).value_or(1)),
                       .build = {.version = L2O_VERSION, .type = L2O_BUILD_TYPE, .flags = L2O_BUILD_FLAGS},
                       .progress = progress.sink(),
                       .note = [&](const std::string& text) {
                           progress.clear();
                           note(common, text);
                       }};
    // Those of L2O_PLUGIN_PATH as well: who goes on may do so from another shell.
    std::set<std::string> named;
    for (const PluginFolder& folder : plugin_search_path(common.plugin_folders)) {
        const std::string path = absolute_path(folder.path).string();
        if (folder.is_named && named.insert(path).second)
            options.resume_options += " --plugin-path " + shell_word(path);
    }
    // What a new folder remembers needs no name.
    if (line.has("output") || (line.has("resume") && !names.empty())) {
        options.resume_verb = "train";
        for (const std::string& name : names) options.resume_options += " " + shell_word(name);
    }
    if (line.has("output")) {
        options.resume_options += " --output " + shell_word(absolute_path(line.text("output")).string());
    }
    if (options.jobs > 1) options.resume_options += fmt::format(" --jobs {}", options.jobs);
    if (options.untrained) note(common, "learned contestants run from their start values");
    if (line.has("out")) options.root = line.text("out");
    if (line.has("resume")) options.resume = line.text("resume");
    return run_experiment(experiment, options);
}

Error failure_of(const ReportFile& written) {
    return {ExitCode::kIo,
            written.page.string() + " was written with tables only: " +
                written.note.substr(0, written.note.find_last_not_of('.') + 1)};
}

ExitCode report(const CommandLine& line, const Experiment& experiment, const RunResult& result) {
    if (!result.results.judging.unsolved.empty())
        note(
            line.common(),
            fmt::format("{} of {} test instances have no certified solution; metrics that need it leave them "
                        "out, for everybody",
                        result.results.judging.unsolved.size(),
                        experiment.evaluate.instances));
    const Page page = write_page(line, result);
    const std::optional<Error> failure = failure_of(result, page);
    if (line.common().wants_json)
        print_json(json_of(experiment, result, page.file, failure));
    else
        print(result, page.file);
    if (failure) throw Error(*failure);
    return ExitCode::kOk;
}

}  // namespace l2o::host
