#include "framework/experiment/training_hash.hpp"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "framework/experiment/weights.hpp"
#include "framework/store/content_hash.hpp"
#include "framework/store/file_handle.hpp"
#include "framework/store/hash.hpp"

namespace l2o::framework {
namespace {

/// Contents of files and folders; several plugins may read the same.
class Contents {
  public:
    const std::string& of(const std::filesystem::path& path) {
        const auto [known, is_new] = known_.try_emplace(path);
        if (is_new) known->second = content_hash(path);
        return known->second;
    }

    /// @throw Error kIo if there is none
    const std::string& of_file(const std::filesystem::path& path) {
        if (of(path).empty()) static_cast<void>(FileHandle(path, O_RDONLY));
        return of(path);
    }

  private:
    std::map<std::filesystem::path, std::string> known_;
};

nlohmann::json to_json(const PluginChoice& choice, Contents& contents) {
    const std::map<std::string, std::string> options = choice.resolve().canonical();
    nlohmann::json json{{"id", choice.id()}, {"version", choice.entry.plugin->version}, {"options", options}};
    for (const OptionSchema& option : choice.entry.component.options) {
        if (option.type != L2O_PATH) continue;
        // Another content is another training.
        if (const std::string hash = contents.of(options.at(option.key)); !hash.empty())
            json["files"][option.key] = hash;
    }
    return json;
}

}  // namespace

std::string training_hash(const Experiment& experiment, const Contestant& contestant) {
    const TrainSettings& train = contestant.train.value();
    Contents contents;
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
    if (train.estimator != EstimatorKind::kBptt)
        text["evolution"] = {static_cast<int>(train.estimator), train.sigma, train.pairs};
    const auto has_imitation = [](const StageSettings& stage) { return stage.imitation.value_or(0) > 0; };
    if (train.imitation && (train.imitation->probability > 0 ||
                            std::any_of(train.stages.begin(), train.stages.end(), has_imitation)))
        text["imitation"] = {json(train.imitation->teacher), train.imitation->probability};
    if (train.horizon_from > 0 || train.unroll_from > 0)
        text["drawn_lengths"] = {train.horizon_from, train.unroll_from};
    if (train.coordinate_subsample < 1) text["coordinate_subsample"] = train.coordinate_subsample;
    if (const UpdateProbability& p = train.update_probability; !p.is_one())
        text["update_probability"] = {p.first, p.middle, p.last};
    if (!train.augmentation.is_none())
        text["augmentation"] = {train.augmentation.random_scaling, train.augmentation.convex_term};
    return sha1_hex(text.dump());
}

std::map<std::string, std::string> training_builds(const Contestant& contestant) {
    std::map<std::string, std::string> builds;
    const auto add = [&](const PluginChoice& choice) { add_build(choice.entry, builds); };
    add(contestant.optimizer);
    if (!contestant.train) return builds;
    const TrainSettings& train = *contestant.train;
    add(train.optimizee);
    add(train.loss);
    add(train.meta_optimizer);
    if (train.imitation) add(train.imitation->teacher);
    for (const StageSettings& stage : train.stages)
        if (stage.loss) add(*stage.loss);
    return builds;
}

}  // namespace l2o::framework
