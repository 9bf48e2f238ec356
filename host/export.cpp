#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iostream>
#include <optional>

#include "framework/export/coco.hpp"
#include "framework/export/export_folder.hpp"
#include "framework/export/ioh.hpp"
#include "framework/export/tidy_csv.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"
#include "host/command.hpp"
#include "host/console.hpp"

namespace l2o::host {
namespace {

namespace po = boost::program_options;
using namespace l2o::framework;

Usage usage() {
    Usage usage{
        .verb = "export",
        .synopsis = "RUN_FOLDER",
        .text =
            "Writes what every start of a finished run did, for other programs. At least one of:\n"
            "--csv: a line per contestant, training seed, instance, start and recorded point, with the\n"
            "options and swept settings as columns.\n"
            "--coco: what cocopp reads: f - f_opt of the values that were paid for, every improvement.\n"
            "--ioh: the same for IOHanalyzer and iohinspector; without a known optimum f itself.\n"
            "Runs of other functions and dimensions may go to the same folder. Nothing but the files of\n"
            "earlier exports is replaced: .l2o-export lists them.\n",
        .examples =
            "  l2o export runs/quadratic/20240131-120000-1a2b3c4d --csv rows.csv\n"
            "  l2o export runs/rastrigin/20240131-120000-1a2b3c4d --coco coco --function 3 --f-opt best\n",
        .max_arguments = 1};
    usage.options.add_options()(
        "csv", po::value<std::string>()->value_name("FILE"), "one tidy table; /dev/stdout prints it")(
        "coco", po::value<std::string>()->value_name("FOLDER"), "folders of cocopp, one per contestant")(
        "ioh", po::value<std::string>()->value_name("FOLDER"), "folders of IOHanalyzer, one per contestant")(
        "suite", po::value<std::string>()->value_name("NAME"), "what it is called there; default: bbob")(
        "function", po::value<std::string>()->value_name("N"), "number of the function there; default: 1")(
        "f-opt",
        po::value<std::string>()->value_name("best|VALUE"),
        "the least f: of every instance the best that any contestant has paid for, or a value for all; "
        "default: what the optimizee declares");
    return usage;
}

BenchmarkName benchmark_name(const CommandLine& line) {
    constexpr std::int64_t kMostFunctions = 65535;  // of iohinspector
    BenchmarkName name;
    if (line.has("suite")) name.suite = line.text("suite");
    const char* plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    if (name.suite.empty() || name.suite.find_first_not_of(plain) != std::string::npos)
        throw line.refusal("--suite is '" + name.suite + "'; expected letters, digits, - and _");
    name.function = line.integer("function", 1, kMostFunctions).value_or(1);
    return name;
}

FOpt f_opt(const CommandLine& line) {
    if (!line.has("f-opt")) return {};
    const std::string text = line.text("f-opt");
    if (text == "best") return {.source = FOpt::Source::kBest};
    double value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
        throw line.refusal("--f-opt is '" + text + "'; expected best, or a finite number");
    return {.source = FOpt::Source::kValue, .value = value};
}

/// Refuses a file that no export wrote.
void check_csv(const CommandLine& line, const std::filesystem::path& file) {
    std::error_code absent;
    if (std::filesystem::is_regular_file(file, absent) && std::filesystem::file_size(file, absent) > 0) {
        std::string begin(kTidyBegin.size(), ' ');
        std::ifstream(file).read(begin.data(), static_cast<std::streamsize>(begin.size()));
        if (begin != kTidyBegin)
            throw line.refusal("--csv is '" + file.string() +
                               "', which no export wrote, so it is not replaced; expected another name");
    }
    check_output(file);
}

/// @return the contestants that are left out
std::vector<std::string> write_trials(const CommandLine& line, const KeptRun& run) {
    const BenchmarkName name = benchmark_name(line);
    const FOpt given = f_opt(line);
    std::optional<std::vector<double>> optima = optima_of(run, given);
    if (!optima && line.has("coco"))
        throw line.refusal(
            "'" + run.optimizee +
            "' declares no least f, and COCO records the distance to it; expected --f-opt VALUE, "
            "or --f-opt best: of every instance the best that any contestant has paid for");
    if (!optima)
        optima.emplace(run.results.curves.front().reached.size() /
                       static_cast<std::size_t>(run.results.judging.starts));
    const std::vector<Trials> all = trials_of(run, *optima);
    const std::int64_t n = run.results.dimension;
    if (line.has("coco")) write_export(line.text("coco"), coco_files(all, name, n), "--coco");
    if (line.has("ioh")) write_export(line.text("ioh"), ioh_files(all, name, run.optimizee, n), "--ioh");
    std::vector<std::string> left_out;
    for (const Curve& curve : run.results.curves)
        if (std::ranges::find(all, curve.contestant, &Trials::contestant) == all.end())
            left_out.push_back(curve.contestant);
    if (given.source == FOpt::Source::kValue) {
        double least = 0;
        for (const Trials& one : all)
            for (const Trial& trial : one.trials) least = std::min(least, trial.log.back().second);
        if (least < 0)
            note(line.common(),
                 fmt::format(
                     "--f-opt {} is no least f: a value lower by {:.4g} was paid for, and stands in the "
                     "files as a negative distance",
                     line.text("f-opt"),
                     -least));
    }
    const auto unknown = std::ranges::count_if(*optima, [](double f) { return std::isnan(f); });
    if (unknown > 0)
        note(line.common(),
             std::to_string(unknown) + " of " + std::to_string(optima->size()) +
                 " instances have no certified optimum, and are left out of COCO's and IOHprofiler's files");
    for (const std::string& contestant : left_out)
        note(line.common(),
             "'" + contestant + "' has paid for no value, and is left out of COCO's and IOHprofiler's files");
    return left_out;
}

}  // namespace

ExitCode export_run(const Arguments& given) {
    const auto line = CommandLine::parse(usage(), given);
    if (!line) return ExitCode::kOk;
    if (line->arguments().empty()) throw line->refusal("a run folder is missing");
    const bool has_trials = line->has("coco") || line->has("ioh");
    if (!line->has("csv") && !has_trials)
        throw line->refusal("there is nothing to write; expected --csv FILE, --coco FOLDER or --ioh FOLDER");
    if (!has_trials) {
        for (const char* option : {"suite", "function", "f-opt"})
            if (line->has(option))
                throw line->refusal(std::string("--") + option + " is for --coco and --ioh");
    }
    if (line->has("csv")) check_csv(*line, line->text("csv"));
    const KeptRun run = read_kept_run(line->arguments().front());
    nlohmann::json told{{"contestants", run.results.curves.size()}, {"left_out", nlohmann::json::array()}};
    if (has_trials) told["left_out"] = write_trials(*line, run);
    bool is_printed = false;
    if (line->has("csv")) {
        write_tidy_csv(line->text("csv"), run);
        is_printed = is_stdout(line->text("csv"));
    }
    for (const char* option : {"csv", "coco", "ioh"}) {
        told[option] = line->has(option) ? nlohmann::json(line->text(option)) : nlohmann::json();
        if (line->has(option) && !line->common().wants_json && !is_printed)
            std::cout << option << ": " << one_line(line->text(option)) << "\n";
    }
    if (line->common().wants_json && !is_printed) print_json(told);
    return ExitCode::kOk;
}

}  // namespace l2o::host
