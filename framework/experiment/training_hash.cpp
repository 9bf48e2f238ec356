#include "framework/experiment/training_hash.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>

#include "framework/store/hash.hpp"
#include "framework/text/json.hpp"
#include "framework/weights/weights.hpp"

namespace l2o::framework {
namespace {

nlohmann::json to_json(const PluginChoice& choice, Contents& contents) {
    const std::map<std::string, std::string> options = choice.resolve().canonical();
    nlohmann::json json{{"id", choice.id()}, {"version", choice.entry.plugin->version}, {"options", options}};
    for (const OptionSchema& option : choice.entry.component.options) {
        if (option.type != L2O_OPTION_PATH) continue;
        // Another content is another training.
        if (const std::string hash = contents.of(options.at(option.key)); !hash.empty())
            json["files"][option.key] = hash;
    }
    return json;
}

}  // namespace

std::string training_hash(const Experiment& experiment, const Contestant& contestant, Contents& contents) {
    const TrainSettings& train = contestant.train.value();
    const auto json = [&](const PluginChoice& choice) { return to_json(choice, contents); };
    nlohmann::json stages = nlohmann::json::array();
    for (const StageSettings& stage : train.stages) {
        stages.push_back(
            {stage.name, stage.epochs, stage.rate, static_cast<int>(stage.decay), stage.multipliers});
        if (stage.horizon > 0 || stage.unroll > 0) stages.back().push_back({stage.horizon, stage.unroll});
        if (stage.imitation) stages.back().push_back({{"imitation", *stage.imitation}});
        if (stage.loss) stages.back().push_back({{"loss", json(*stage.loss)}});
    }
    nlohmann::json text = {
        {"format", kWeightFormat},
        {"seed", experiment.seed},
        {"dtype", name_of(experiment.dtype)},
        {"optimizer", json(contestant.optimizer)},
        {"optimizee", json(train.optimizee)},
        {"loss", json(train.loss)},
        {"meta_optimizer", json(train.meta_optimizer)},
        {"schedule", static_cast<int>(train.schedule)},
        {"epochs", train.epochs},
        {"horizon", train.horizon},
        {"unroll", train.unroll},
        {"batch", train.batch},
        {"instances", train.instances},
        {"mean", train.mean},
        {"clip_norm", train.clip_norm},
        {"second_order", static_cast<int>(train.second_order)},
        {"shard_rows", train.shard_rows},
        {"multipliers", train.multipliers},
        {"validate", {train.validate_every, train.validate_instances, train.patience, train.restore}},
        {"decay", static_cast<int>(train.decay)},
        {"stages", stages},
        {"average", train.average},
        {"warm_start", train.warm_start.empty() ? "" : contents.of_file(train.warm_start)},
        {"steps", {train.steps_new, train.steps_all, train.steps_fine}},
        {"rates", {train.rate_new, train.rate_all, train.rate_fine}},
        {"layer_decay", {train.layer_decay, static_cast<int>(train.layer_decay_of)}}};
    // What came later is named only where it is used: weights that were trained before are found again.
    if (train.seed > 0) text["training_seed"] = train.seed;
    if (train.estimator != EstimatorKind::kBptt)
        text["evolution"] = {static_cast<int>(train.estimator),
                             train.sigma,
                             train.estimator == EstimatorKind::kCmaEs ? train.population : train.pairs};
    const auto has_imitation = [](const StageSettings& stage) { return stage.imitation.value_or(0) > 0; };
    if (train.imitation && (train.imitation->probability > 0 ||
                            std::any_of(train.stages.begin(), train.stages.end(), has_imitation)))
        text["imitation"] = {json(train.imitation->teacher), train.imitation->probability};
    if (train.horizon_from > 0 || train.unroll_from > 0)
        text["drawn_lengths"] = {train.horizon_from, train.unroll_from};
    if (train.coordinate_subsample < 1) text["coordinate_subsample"] = train.coordinate_subsample;
    if (const UpdateProbability& p = train.update_probability; !p.is_one())
        text["update_probability"] = {p.first, p.middle, p.last};
    if (train.self_paced.share < 1) text["self_paced"] = {train.self_paced.share, train.self_paced.epochs};
    if (!train.augmentation.is_none())
        text["augmentation"] = {train.augmentation.random_scaling, train.augmentation.convex_term};
    return sha1_hex(text.dump());
}

FileContents files_of(const Experiment& experiment, Contents& contents) {
    FileContents files;
    const auto add_file = [&](const std::string& key, const std::string& path) {
        if (path.empty()) return;
        if (const std::string hash = contents.of(path); !hash.empty()) files[key] = {path, hash};
    };
    const auto add = [&](const std::string& section, const PluginChoice& choice) {
        const std::map<std::string, std::string> options = choice.resolve().canonical();
        for (const OptionSchema& option : choice.entry.component.options)
            if (option.type == L2O_OPTION_PATH) add_file(section + "." + option.key, options.at(option.key));
    };
    add("optimizee", experiment.optimizee);
    for (const Contestant& contestant : experiment.contestants) {
        const std::string section = "contestants." + contestant.name;
        add_file(section + ".weights", contestant.weights);
        // The options of weights that are given are in that file.
        if (contestant.weights.empty()) add(section + ".optimizer", contestant.optimizer);
        if (contestant.continue_with) add(section + ".continue_with", *contestant.continue_with);
        if (contestant.safeguard) add(section + ".safeguard", contestant.safeguard->classic);
        if (!contestant.train) continue;
        add(section + ".train.optimizee", contestant.train->optimizee);
        add_file(section + ".train.warm_start", contestant.train->warm_start);
    }
    return files;
}

namespace {

template <class Add>
void each_of_training(const TrainSettings& train, Add&& add) {
    add(train.optimizee);
    add(train.loss);
    add(train.meta_optimizer);
    if (train.imitation) add(train.imitation->teacher);
    for (const StageSettings& stage : train.stages)
        if (stage.loss) add(*stage.loss);
}

}  // namespace

std::map<std::string, std::string> training_builds(const Contestant& contestant) {
    std::map<std::string, std::string> builds;
    const auto add = [&](const PluginChoice& choice) { add_build(choice.entry, builds); };
    add(contestant.optimizer);
    if (contestant.train) each_of_training(*contestant.train, add);
    return builds;
}

std::vector<Catalog::Entry> plugins_of(const Experiment& experiment) {
    std::vector<Catalog::Entry> entries;
    const auto add = [&](const PluginChoice& choice) { entries.push_back(choice.entry); };
    add(experiment.optimizee);
    for (const Contestant& contestant : experiment.contestants) {
        add(contestant.optimizer);
        if (contestant.continue_with) add(*contestant.continue_with);
        if (contestant.safeguard) add(contestant.safeguard->classic);
        if (contestant.train) each_of_training(*contestant.train, add);
    }
    return entries;
}

}  // namespace l2o::framework
