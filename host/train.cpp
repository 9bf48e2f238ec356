#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "framework/evaluate/entries.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/text/suggest.hpp"
#include "host/experiment_line.hpp"

namespace l2o::host {
namespace {

namespace po = boost::program_options;
using namespace l2o::framework;

Usage usage() {
    Usage usage{.verb = "train",
                .synopsis = "EXPERIMENT.info [CONTESTANT] [KEY.PATH=VALUE ...]",
                .text =
                    "Trains one learned contestant of an experiment, or all of them, and keeps the weights\n"
                    "where 'l2o run' and 'l2o evaluate' find them again. On Ctrl-C it writes a checkpoint\n"
                    "and says how to resume. 'l2o describe train' explains the settings of a training.\n"
                    "Of a contestant with settings that are swept ('l2o describe sweep') it trains all, or\n"
                    "one, such as dm.hidden=20 or, of several seeds, dm.hidden=20,seed=3.\n",
                .examples =
                    "  l2o train examples/experiments/sparse_recovery.info lista --output lista.safetensors\n"
                    "  l2o train sparse.info train.epochs=500 --out /data/runs\n"
                    "  l2o train --resume runs/sparse_recovery/20240131-120000-1a2b3c4d lista\n",
                .max_arguments = 1000};
    add_experiment_options(usage);
    add_resume_option(usage);
    usage.options.add_options()  //
        ("output",
         po::value<std::string>()->value_name("FILE"),       //
         "also write the weights here; needs a CONTESTANT")  //
        ("retrain",
         "train again, even where weights can be found; with --resume those in the folder are replaced");
    return usage;
}

/// Words that can be no settings, whatever they hold, are names: "adam.learning_rate=0.003".
void take_names(const CommandLine& line, ExperimentLine& words) {
    const std::vector<std::string> set = line.texts("set");
    std::erase_if(words.settings, [&](const std::string& word) {
        const std::size_t end = word.find_first_of(".=");
        const std::string first = word.substr(0, end);
        const bool is_setting = word[end] == '=' ||
                                std::ranges::find(kExperimentKeys, first) != kExperimentKeys.end() ||
                                std::ranges::find(set, word) != set.end();
        if (!is_setting) words.names.push_back(word);
        return !is_setting;
    });
}

/// Those that are to be trained of an experiment.
std::vector<std::string> learned_of(const CommandLine& line,
                                    const Experiment& experiment,
                                    const std::vector<std::string>& names) {
    std::vector<std::string> learned, known, wanted;
    for (const Contestant& contestant : experiment.contestants) {
        if (!contestant.train) continue;
        learned.push_back(contestant.name);
        const std::string entry = entry_name(contestant.name, contestant.group, contestant.swept);
        for (const std::string& name : {contestant.group, entry, contestant.name})
            if (std::ranges::find(known, name) == known.end()) known.push_back(name);
        const auto is_wanted = [&](const std::string& name) {
            return name == contestant.name || name == entry || name == contestant.group;
        };
        if (std::ranges::any_of(names, is_wanted)) wanted.push_back(contestant.name);
    }
    if (learned.empty()) throw line.refusal(experiment.name + ": no contestant is to be trained");
    if (names.empty()) return learned;
    if (const std::string& name = names[0]; wanted.empty() && name.find('=') != std::string::npos) {
        const std::string first = name.substr(0, name.find_first_of(".="));
        if (std::ranges::find(known, first) == known.end())
            throw line.refusal("'" + name + "' is neither a setting nor a contestant" +
                               did_you_mean(first, kExperimentKeys));
    }
    const auto is_named = [&](const Contestant& contestant) {
        return names[0] == contestant.name || names[0] == contestant.group;
    };
    if (wanted.empty() && std::ranges::any_of(experiment.contestants, is_named))
        throw line.refusal(fmt::format(
            "'{}' is not trained; expected a contestant that is: {}", names[0], fmt::join(known, ", ")));
    check_contestant(line, known, names[0]);
    return wanted;
}

}  // namespace

ExitCode train(const Arguments& given) {
    const auto line = CommandLine::parse(usage(), given);
    if (!line) return ExitCode::kOk;
    ExperimentLine words = sort_words(*line);
    if (line->has("resume") && !words.file.empty()) {  // the folder stands in its place
        words.names.insert(words.names.begin(), words.file);
        words.file.clear();
    }
    take_names(*line, words);
    if (words.names.size() > 1) throw line->refusal("'" + words.names[1] + "' is one word too many");
    const Catalog catalog = line->common().catalog();
    std::optional<Config> config;
    if (!line->has("resume")) config = load_config(*line, words);
    Experiment experiment = config ? read_experiment(catalog, *config, line->common().seed)
                                   : resumed(*line, catalog, words).experiment;
    const std::vector<std::string> learned = learned_of(*line, experiment, words.names);
    if (line->has("output") && learned.size() != 1) {
        throw line->refusal("--output takes the weights of one contestant; name one of them");
    }
    std::erase_if(experiment.contestants, [&](const Contestant& contestant) {
        return std::find(learned.begin(), learned.end(), contestant.name) == learned.end();
    });
    if (line->has("output")) {
        std::vector<std::filesystem::path> inputs;
        if (config) inputs = sources_of(config->tree());
        for (const auto& [key, file] : experiment.files) {
            if (key.starts_with("optimizee.") || key.starts_with("contestants." + learned.front() + "."))
                inputs.emplace_back(file.path);
        }
        prepare_output(*line, inputs);
    }
    const RunResult result = run_part(*line, experiment, RunPart::kTrain, words.names);
    if (line->has("output"))
        write_file_atomically(line->text("output"), read_file(result.weights.front().file));
    return report(*line, experiment, result);
}

}  // namespace l2o::host
