#include "framework/experiment/experiment.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <utility>

#include "framework/config/info_file.hpp"
#include "framework/config/sweep_values.hpp"
#include "framework/error.hpp"
#include "framework/evaluate/entries.hpp"
#include "framework/experiment/contestants.hpp"
#include "framework/experiment/section_schemas.hpp"
#include "framework/experiment/swept_keys.hpp"
#include "framework/experiment/train_section.hpp"
#include "framework/experiment/training_hash.hpp"
#include "framework/experiment/training_seeds.hpp"
#include "framework/store/hash.hpp"
#include "framework/store/paths.hpp"
#include "framework/text/suggest.hpp"
#include "framework/weights/weights.hpp"

namespace l2o::framework {
namespace {

EvaluateSettings read_evaluate(const Settings& section) {
    return {.instances = section.get_int("instances"),
            .starts = section.get_int("starts"),
            .iterations = section.get_int("iterations"),
            .max_evaluations = section.get_int("max_evaluations"),
            .answer = section.get_choice<Answer>("answer"),
            .metrics_every = section.get_int("metrics_every"),
            .metric = section.get_text("metric"),
            .shard_rows = section.get_int("shard_rows"),
            .reference = section.get_text("reference"),
            .target = section.find_real("target"),
            .tolerance = section.get_real("tolerance"),
            .timing = section.get_bool("timing"),
            .keep_rows = section.get_bool("keep_rows"),
            .checkpoint_every_s = section.get_real("checkpoint_every_s")};
}

/// The contestant that the others are compared to.
void check_reference(const Section& evaluate, Experiment& experiment) {
    std::string& reference = experiment.evaluate.reference;
    std::vector<std::string> names, members;
    for (const Contestant& contestant : experiment.contestants) {
        // Trainings of several seeds are one entry, to which the others are compared.
        const std::string name = contestant.tune
                                     ? contestant.group
                                     : entry_name(contestant.name, contestant.group, contestant.swept);
        if (reference.empty() && !contestant.is_learned()) reference = name;
        if (std::ranges::find(names, name) != names.end()) continue;
        names.push_back(name);
        if (contestant.group == reference) members.push_back(name);
    }
    if (reference.empty()) reference = names.front();
    if (std::find(names.begin(), names.end(), reference) != names.end()) return;
    const std::string found = evaluate.where("reference") + " is '" + reference + "'";
    const auto one = std::ranges::find(experiment.contestants, reference, &Contestant::name);
    if (one != experiment.contestants.end() && one->tune)
        throw Error(
            ExitCode::kUsage,
            fmt::format(
                "{}, one of those among whom '{}' is chosen; expected '{}'", found, one->group, one->group));
    if (one != experiment.contestants.end())
        throw Error(ExitCode::kUsage,
                    fmt::format("{}, one training of several; expected '{}', which stands for all of them",
                                found,
                                entry_name(one->name, one->group, one->swept)));
    if (!members.empty())
        throw Error(ExitCode::kUsage,
                    fmt::format("{}, which stands for {} contestants; expected one of them: {}",
                                found,
                                members.size(),
                                fmt::join(members, ", ")));
    throw Error(ExitCode::kUsage,
                found + "; expected the name of a contestant" + did_you_mean(reference, names));
}

std::string read_name(const Section& root) {
    const std::string stem = std::filesystem::path(root.origin().file).stem().string();
    const std::string name = root.get_string("name", stem);
    if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos || !can_name_file(name)) {
        throw Error(ExitCode::kUsage,
                    root.where("name") + " is '" + name +
                        "', and a folder is named after it; expected letters, digits, '_' and '-'");
    }
    return name;
}

std::uint64_t checked_seed(std::uint64_t seed) {
    if (seed > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        throw Error(ExitCode::kUsage,
                    "the seed is " + std::to_string(seed) + "; expected a whole number below 2^63");
    }
    return seed;
}

void make_explicit(ConfigNode& root, const std::string& key, const std::string& value) {
    for (ConfigNode& child : root.children) {
        if (child.key == key) return static_cast<void>(child.value = value);
    }
    root.children.insert(root.children.begin(), {.key = key, .value = value, .origin = root.origin});
}

/// A path, a sweep of paths, or those of the members of a sweep.
void make_absolute(ConfigNode& setting) {
    const auto absolute = [&](const std::string& path) {
        return path.empty() ? path : absolute_path(setting.origin.folder / path).string();
    };
    if (setting.key == kSweepKey) {
        std::vector<std::string> paths = sweep_values(setting.value);
        std::ranges::transform(paths, paths.begin(), absolute);
        setting.value = sweep_list(paths);
    } else if (setting.key != kZipKey) {
        setting.value = absolute(setting.value);
    }
    for (ConfigNode& child : setting.children) make_absolute(child);
}

/// A value, or those of a sweep.
std::vector<std::string> values_of(const ConfigNode& setting) {
    return setting.is_sweep() ? sweep_values(setting.find(kSweepKey)->value) : std::vector{setting.value};
}

std::optional<Kind> kind_of_section(const std::string& key) {
    for (const char* optimizer : {"optimizer", "meta_optimizer", "teacher", "continue_with", "safeguard"}) {
        if (key == optimizer) return Kind::kOptimizer;
    }
    if (key == "optimizee") return Kind::kOptimizee;
    if (key == "loss") return Kind::kLoss;
    return std::nullopt;
}

/// Options that are paths, in every `{ use ... }` section below a node: what they refer to must not change
/// with the folder of the file.
void make_option_paths_absolute(const Catalog& catalog, ConfigNode& node) {
    for (ConfigNode& child : node.children) {
        make_option_paths_absolute(catalog, child);
        const ConfigNode* use = child.find("use");
        const std::optional<Kind> kind = kind_of_section(child.key);
        if (use == nullptr || !kind) continue;
        for (const std::string& id : values_of(*use)) {
            for (const OptionSchema& option : catalog.find(*kind, id).component.options) {
                if (option.type != L2O_OPTION_PATH) continue;
                for (ConfigNode& setting : child.children) {
                    if (setting.key == option.key) make_absolute(setting);
                }
            }
        }
    }
}

void make_warm_start_absolute(ConfigNode& train) {
    for (ConfigNode& setting : train.children)
        if (setting.key == "warm_start") make_absolute(setting);
}

std::string resolved_info(const Catalog& catalog, ConfigNode root, const Experiment& experiment) {
    make_explicit(root, "dtype", name_of(experiment.dtype));
    make_explicit(root, "seed", std::to_string(experiment.seed));
    make_explicit(root, "name", experiment.name);
    make_option_paths_absolute(catalog, root);
    for (ConfigNode& section : root.children) {
        if (section.key == "train") make_warm_start_absolute(section);
        if (section.key != "contestants") continue;
        for (ConfigNode& contestant : section.children) {
            for (ConfigNode& setting : contestant.children) {
                if (setting.key == "weights") make_absolute(setting);
                if (setting.key == "train") make_warm_start_absolute(setting);
            }
        }
    }
    return to_info(root);
}

/// At their own place, not at that of who takes them over.
void refuse_unknown_settings(const ConfigNode& node, const SectionSchema& schema, const std::string& path) {
    if (!schema.plugin.empty() || schema.nests) return;
    std::vector<std::string> known;
    for (const OptionSchema& option : schema.options) known.push_back(option.key);
    for (const SectionSchema& section : schema.sections) known.push_back(section.key);
    const bool takes_any = std::ranges::find(known, kAnyKey) != known.end();
    if (!takes_any) refuse_other_keys(node, path, known);
    for (const ConfigNode& child : node.children) {
        const auto is_its = [&](const SectionSchema& section) {
            return section.key == child.key || section.key == kAnyKey;
        };
        const auto section = std::ranges::find_if(schema.sections, is_its);
        if (section == schema.sections.end() || child.is_sweep()) continue;
        refuse_unknown_settings(child, *section, path + "." + child.key);
    }
}

/// Everybody who takes part, complete, also in the section itself.
std::vector<Member> complete_members(const Catalog& catalog,
                                     ConfigNode& contestants,
                                     const ConfigNode& root,
                                     const std::optional<ConfigNode>& train) {
    std::vector<Member> members;
    for (const ConfigNode& written : contestants.children) {
        for (Member& member : members_of_written(catalog, written, train ? &*train : nullptr)) {
            complete_contestant(catalog, member.contestant, root, member.train ? &*member.train : nullptr);
            members.push_back(std::move(member));
        }
        if (members.size() > kMostSwept && members.size() > contestants.children.size())
            throw Error(
                ExitCode::kUsage,
                fmt::format("{}: with what is swept in '{}' there are {} contestants or more; expected "
                            "at most {}",
                            written.origin.text(),
                            written.key,
                            members.size(),
                            kMostSwept));
    }
    contestants.children.clear();
    for (const Member& member : members) contestants.children.push_back(member.contestant);
    return members;
}

}  // namespace

Experiment read_experiment(const Catalog& catalog, const Config& config, std::optional<std::uint64_t> seed) {
    ConfigNode tree = config.tree();
    refuse_other_keys(tree, "", kExperimentKeys);

    // The shared `train` moves to those who are trained; what is left is read from start to end.
    std::optional<ConfigNode> train;
    if (const ConfigNode* shared = tree.find("train")) {
        train = *shared;
        refuse_unknown_settings(*train, train_schema(), "train");
        // Also what no contestant takes over.
        static_cast<void>(swept_keys(*train, "train"));
        ConfigNode nobody;
        std::optional<ConfigNode> shared_by_nobody = train;
        expand_seeds(nobody, shared_by_nobody);
    }
    std::erase_if(tree.children, [](const ConfigNode& child) { return child.key == "train"; });
    const ConfigNode root = tree;
    std::vector<Member> members;
    for (ConfigNode& section : tree.children) {
        if (section.key == "contestants") members = complete_members(catalog, section, root, train);
    }
    refuse_sweeps(tree);

    const Section section(tree);
    Experiment experiment{
        .name = read_name(section),
        .seed = static_cast<std::uint64_t>(section.get_int("seed", 0, {.min = 0})),
        .dtype = dtype_from_name(section.get_choice("dtype", "float32", {"float32", "float64"})),
        .optimizee = read_choice(catalog, Kind::kOptimizee, section.child("optimizee")),
        .evaluate = read_evaluate({section.child("evaluate"), evaluate_schema()}),
        .builds = known_builds(catalog)};
    if (seed) experiment.seed = checked_seed(*seed);
    const Section contestants = section.child("contestants");
    const ConfigNode* written = tree.find("contestants");
    if (written == nullptr || written->children.empty()) {
        throw Error(ExitCode::kUsage,
                    section.where("contestants") +
                        ": there is no contestant; expected 'contestants { NAME { optimizer { use ID } } }'");
    }
    for (const Member& member : members) {
        const std::string& name = member.contestant.key;
        experiment.contestants.push_back(read_contestant(catalog, member, contestants.child(name)));
    }
    check_reference(section.child("evaluate"), experiment);
    section.refuse_unknown();

    // A shared `train` that nobody uses is checked all the same.
    const auto is_trained = [](const Contestant& contestant) { return contestant.train.has_value(); };
    if (train && std::none_of(experiment.contestants.begin(), experiment.contestants.end(), is_trained)) {
        for (const Member& member : members_of({}, &*train)) {
            ConfigNode merged = train_defaults(root), only;
            lay_train_over(merged, *member.train, "train");
            only.children.push_back(merged);
            const Section unused(only);
            static_cast<void>(read_train(catalog, merged, {unused.child("train"), train_schema()}));
            unused.refuse_unknown();
        }
    }

    Contents contents;
    for (Contestant& contestant : experiment.contestants) {
        if (contestant.train) contestant.hash = training_hash(experiment, contestant, contents);
    }
    experiment.files = files_of(experiment, contents);
    experiment.info = resolved_info(catalog, config.tree(), experiment);
    experiment.hash = sha1_hex(experiment.info);
    return experiment;
}

}  // namespace l2o::framework
