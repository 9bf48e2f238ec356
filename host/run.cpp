#include <iostream>

#include "framework/text/json.hpp"
#include "host/console.hpp"
#include "host/experiment_line.hpp"

namespace l2o::host {
namespace {

using namespace l2o::framework;

Usage usage() {
    Usage usage{
        .verb = "run",
        .synopsis = "EXPERIMENT.info [KEY.PATH=VALUE ...]",
        .text =
            "Runs an experiment: trains the learned contestants that have no weights yet, compares all\n"
            "contestants on the same instances, starting points and budgets, and writes a run folder\n"
            "  runs/<experiment>/<time>-<hash>/  config.info  environment.json  request.json  metrics.jsonl\n"
            "                                    curves.csv  finals.csv  summary.csv  results.json\n"
            "                                    checkpoints/*.safetensors  report.html  figures/\n"
            "The settings of the file are explained by 'l2o describe train', 'l2o describe evaluate' and\n"
            "'l2o describe safeguard', the options of a plugin by 'l2o describe ID'. In a contestant,\n"
            "'learning_rate { sweep 0.003 0.01 0.03 }' makes three of it: 'l2o describe sweep'.\n\n"
            "A contestant is trained once: its weights are found again as long as nothing that its\n"
            "training depends on changes. A run that is interrupted, by Ctrl-C or a closed terminal, says\n"
            "how to resume it. The table shows the final metric (median, 10-90 %), the evaluations charged\n"
            "per row, the time and the training time; a second one compares with the reference. Rows that\n"
            "diverged count as the worst.\n",
        .examples =
            "  l2o run examples/experiments/sparse_recovery.info\n"
            "  l2o run sparse.info optimizee.m=100 contestants.lista.optimizer.layers=12\n"
            "  l2o run sparse.info --print-config\n"
            "  l2o run --resume runs/sparse_recovery/20240131-120000-1a2b3c4d\n",
        .max_arguments = 1000};
    add_experiment_options(usage);
    add_resume_option(usage);
    usage.options.add_options()                               //
        ("no-report", "write no report.html and no figures")  //
        ("retrain",
         "train again, even where weights can be found; with --resume those in the folder are replaced")  //
        ("print-config",
         "show the experiment as it would run, with everything included and set; run nothing");
    return usage;
}

/// Of a file, or of the folder of --resume.
ResumedRun run_of(const CommandLine& line, const Catalog& catalog) {
    const ExperimentLine words = sort_words(line);
    if (!words.names.empty()) {
        throw line.refusal("'" + words.names[0] + "' is one word too many; expected key.path=value");
    }
    if (line.has("resume")) return resumed(line, catalog, words);
    return {.experiment = load_experiment(line, catalog, words), .request = {.part = RunPart::kAll}};
}

}  // namespace

ExitCode run(const Arguments& given) {
    const auto line = CommandLine::parse(usage(), given);
    if (!line) return ExitCode::kOk;
    const Catalog catalog = line->common().catalog();
    const auto [experiment, request] = run_of(*line, catalog);
    if (line->has("print-config")) {
        const std::string text = experiment.info + (experiment.info.ends_with('\n') ? "" : "\n");
        if (line->common().wants_json)
            print_json({{"experiment", experiment.name}, {"config", text}});
        else
            std::cout << text;
        return ExitCode::kOk;
    }
    return report(*line, experiment, run_part(*line, experiment, request.part));
}

}  // namespace l2o::host
