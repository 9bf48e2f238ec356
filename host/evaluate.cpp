#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "framework/config/info_file.hpp"
#include "framework/evaluate/entries.hpp"
#include "framework/experiment/contestants.hpp"
#include "framework/store/paths.hpp"
#include "host/experiment_line.hpp"

namespace l2o::host {
namespace {

namespace po = boost::program_options;
using namespace l2o::framework;

using NamedFiles = std::vector<std::pair<std::string, std::string>>;

Usage usage() {
    Usage usage{
        .verb = "evaluate",
        .synopsis = "EXPERIMENT.info [KEY.PATH=VALUE ...]",
        .text =
            "Compares the contestants of an experiment and trains nothing: learned ones use the weights\n"
            "given here, those of an earlier 'l2o train' or 'l2o run' or, with --untrained, the values that\n"
            "their training would start from. 'l2o describe evaluate' explains the settings of a\n"
            "comparison. 'l2o run --resume FOLDER' goes on with one that was interrupted, and trains\n"
            "nothing either.\n",
        .examples =
            "  l2o evaluate examples/experiments/sparse_recovery.info evaluate.instances=4096\n"
            "  l2o evaluate sparse.info --weights lista=lista.safetensors\n"
            "  l2o evaluate sparse.info --untrained\n",
        .max_arguments = 1000};
    add_experiment_options(usage);
    usage.options.add_options()  //
        ("weights",
         po::value<std::vector<std::string>>()->composing()->value_name("CONTESTANT=FILE"),  //
         "weights of a contestant, or of one of those that a sweep makes of it (dm.hidden=20=FILE); may be "
         "given again")                                                                //
        ("untrained", "learned contestants without --weights use their start values")  //
        ("no-report", "write no report.html and no figures");
    return usage;
}

ConfigNode* find(ConfigNode& node, const std::string& key) {
    for (ConfigNode& child : node.children) {
        if (child.key == key) return &child;
    }
    return nullptr;
}

/// Whom weights may be of, and where in the configuration: a contestant, or the number of one of those that
/// it stands for: "contestants.dm.weights", "contestants.dm.weights.2".
struct Owner {
    std::string name, contestant, setting;
    std::vector<std::string> members{};  ///< of a contestant: whose weights are no others'
};

/// Sweeps of what acts beside the weights leave them to all alike; options may be of other weights.
bool is_of_weights(const Member& member) {
    return std::ranges::any_of(member.swept, [](const auto& setting) {
        return setting.first.starts_with("train.") || setting.first.starts_with("optimizer.");
    });
}

std::vector<Owner> owners_in(const Catalog& catalog, const ConfigNode& tree) {
    std::vector<Owner> owners;
    const ConfigNode* contestants = tree.find("contestants");
    if (contestants == nullptr) return owners;
    for (const ConfigNode& contestant : contestants->children) {
        const std::string setting = "contestants." + contestant.key + ".weights";
        const std::vector<Member> members = members_of_written(catalog, contestant, tree.find("train"));
        Owner whole{contestant.key, contestant.key, setting};
        for (std::size_t i = 0; i < members.size(); ++i) {
            const std::string& name = members[i].contestant.key;
            if (is_of_weights(members[i])) whole.members.push_back(name);
            if (!members[i].swept.empty())
                owners.push_back({name, contestant.key, setting + "." + std::to_string(i + 1)});
        }
        // Of several trainings, all that differ in nothing but the seed.
        for (const Member& member : members) {
            const std::string& name = member.contestant.key;
            const std::string entry = entry_name(name, contestant.key, member.swept);
            if (entry == name || entry == contestant.key) continue;
            const auto found = std::ranges::find(owners, entry, &Owner::name);
            Owner& owner =
                found != owners.end() ? *found : owners.emplace_back(Owner{entry, contestant.key, setting});
            owner.members.push_back(name);
        }
        owners.push_back(std::move(whole));
    }
    return owners;
}

/// "dm.hidden=20=FILE": names have a '=' themselves.
std::pair<Owner, std::string> owner_of(const CommandLine& line,
                                       const std::vector<Owner>& owners,
                                       const std::pair<std::string, std::string>& given) {
    const std::string text = given.first + "=" + given.second;
    std::vector<std::string> known;
    for (const Owner& owner : owners) {
        if (text.starts_with(owner.name + "=")) return {owner, text.substr(owner.name.size() + 1)};
        known.push_back(owner.name);
    }
    check_contestant(line, known, given.first);
    throw line.refusal("--weights is '" + text + "'; expected CONTESTANT=FILE");
}

/// The experiment with weights in the place of trainings.
Experiment with_weights(const CommandLine& line,
                        const Catalog& catalog,
                        const ExperimentLine& words,
                        const NamedFiles& weights) {
    if (words.file.empty() || weights.empty()) return load_experiment(line, catalog, words);
    // Read once, as it may be a pipe, and composed twice: what is given as weights depends on the file.
    const std::string text = read_info_text(words.file);
    const Config config = Config::parse(text, words.file, words.settings);
    const std::vector<Owner> owners = owners_in(catalog, config.tree());
    NamedFiles instead_of_training;
    std::vector<std::string> settings = words.settings;
    for (const auto& given : weights) {
        const auto [owner, file] = owner_of(line, owners, given);
        if (!owner.members.empty())
            throw line.refusal(
                fmt::format("--weights: '{}' stands for {} contestants; expected weights of one of "
                            "them: {}",
                            owner.name,
                            owner.members.size(),
                            fmt::join(owner.members, ", ")));
        const bool is_whole = owner.name == owner.contestant;
        if (is_whole && config.tree().find("contestants")->find(owner.name)->find("train") != nullptr)
            instead_of_training.emplace_back(owner.name, absolute_path(file).string());
        else
            settings.push_back(owner.setting + "=" + file);
    }
    Experiment experiment =
        read_experiment(catalog, Config::parse(text, words.file, settings), line.common().seed);
    if (instead_of_training.empty()) return experiment;
    // The resolved configuration depends on no other file and names absolute paths: it can be edited.
    ConfigNode tree = parse_info(experiment.info, words.file);
    for (const auto& [name, file] : instead_of_training) {
        ConfigNode& contestant = *find(*find(tree, "contestants"), name);
        std::erase_if(contestant.children, [](const ConfigNode& child) { return child.key == "train"; });
        contestant.children.push_back({.key = "weights", .value = file});
    }
    return read_experiment(catalog, Config::parse(to_info(tree), words.file), line.common().seed);
}

/// Trainings of several seeds that do not take place are one: they would start from the same values.
void keep_one_of_seeds(Experiment& experiment) {
    std::vector<Contestant>& all = experiment.contestants;
    std::vector<Contestant> kept;
    for (Contestant& contestant : all) {
        const auto is_same = [&](const Contestant& other) {
            return other.train && other.group == contestant.group &&
                   without_seed(other.swept) == without_seed(contestant.swept);
        };
        if (!contestant.train || std::ranges::none_of(kept, is_same)) kept.push_back(std::move(contestant));
    }
    all = std::move(kept);
}

}  // namespace

ExitCode evaluate(const Arguments& given) {
    const auto line = CommandLine::parse(usage(), given);
    if (!line) return ExitCode::kOk;
    const ExperimentLine words = sort_words(*line);
    if (!words.names.empty()) {
        throw line->refusal("'" + words.names[0] + "' is one word too many; expected key.path=value");
    }
    const Catalog catalog = line->common().catalog();
    Experiment experiment = with_weights(*line, catalog, words, key_values(*line, "weights"));
    if (line->has("untrained")) keep_one_of_seeds(experiment);
    return report(*line, experiment, run_part(*line, experiment, RunPart::kEvaluate));
}

}  // namespace l2o::host
