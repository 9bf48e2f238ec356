#include "framework/experiment/train_section.hpp"

#include <algorithm>
#include <utility>

#include "framework/config/compose.hpp"
#include "framework/error.hpp"
#include "framework/experiment/section_schemas.hpp"

namespace l2o::framework {
namespace {

ConfigNode setting(std::string key, std::string value, const Origin& origin) {
    return {.key = std::move(key), .value = std::move(value), .origin = origin};
}

// A parameter's name may have dots, a key may not: `layer.03.theta` is layer { 03 { theta 0.1 } }.
void read_multipliers(const ConfigNode& node,
                      const Settings& section,
                      const std::string& prefix,
                      std::map<std::string, double>& multipliers) {
    for (const ConfigNode& child : node.children) {
        const std::string name = prefix + child.key;
        if (child.children.empty()) {
            multipliers[name] = section.get_real(child.key);
        } else {
            read_multipliers(child, section.nested(child.key), name + ".", multipliers);
        }
    }
}

void read_stages(const Catalog& catalog,
                 const ConfigNode& node,
                 const Settings& section,
                 TrainSettings& train) {
    if (train.schedule == Schedule::kLayerwise) {
        throw Error(ExitCode::kUsage,
                    section.where("stages") +
                        ": a layer-wise training has stages of its own; expected 'schedule flat', or "
                        "'layerwise { ... }' instead");
    }
    const Settings stages = section.child("stages");
    const auto horizon_of = [&](const StageSettings& stage) {
        return stage.horizon > 0 ? stage.horizon : train.horizon;
    };
    std::int64_t last = 0;
    for (const ConfigNode& child : node.children) {
        const Settings own = stages.child(child.key);
        StageSettings stage{.name = child.key, .multipliers = train.multipliers};
        stage.epochs = own.get_int("epochs", train.epochs);
        stage.horizon = own.get_int("horizon", 0);
        const std::int64_t horizon = horizon_of(stage);
        const bool is_whole = train.estimator == EstimatorKind::kCmaEs && stage.horizon > 0 &&
                              train.unroll == train.horizon && train.unroll_from == 0;
        stage.unroll = own.get_int("unroll", is_whole ? horizon : 0);
        if (stage.unroll > horizon) {
            throw Error(ExitCode::kUsage,
                        own.where("unroll") + " is '" + std::to_string(stage.unroll) +
                            "'; expected at most the horizon, " + std::to_string(horizon));
        }
        if (train.schedule == Schedule::kCurriculum && horizon < last) {
            throw Error(ExitCode::kUsage,
                        own.where("horizon") + " is '" + std::to_string(horizon) +
                            "'; expected at least that of the stage before, " + std::to_string(last));
        }
        last = horizon;
        stage.imitation = own.find_real("imitation");
        if (stage.imitation && !train.imitation) {
            throw Error(ExitCode::kUsage,
                        own.where("imitation") +
                            ": there is no teacher; expected 'imitation { teacher { use ID } }' in train");
        }
        stage.rate = own.get_real("rate");
        stage.decay = own.get_choice("decay", train.decay);
        if (own.has("loss")) stage.loss = read_choice(catalog, Kind::kLoss, own.plugin("loss"));
        const Settings multipliers = own.child("multipliers");
        if (const ConfigNode* written = child.find("multipliers"))
            read_multipliers(*written, multipliers, "", stage.multipliers);
        train.stages.push_back(std::move(stage));
    }
}

/// `horizon_from`, `unroll_from`: 0, or at most the longest.
std::int64_t read_shortest(const Settings& section, const std::string& key, std::int64_t longest) {
    const std::int64_t from = section.get_int(key + "_from");
    if (from > longest) {
        throw Error(ExitCode::kUsage,
                    section.where(key + "_from") + " is '" + std::to_string(from) +
                        "'; expected at most train." + key + ", " + std::to_string(longest) +
                        ", or 0 for a fixed length");
    }
    return from;
}

}  // namespace

ConfigNode train_defaults(const ConfigNode& root) {
    const auto use_default = [&](const std::string& key) {
        ConfigNode node{.key = key, .origin = root.origin};
        node.children = {setting("use", train_schema().section(key).option("use").def.value(), root.origin)};
        return node;
    };
    ConfigNode meta = use_default("meta_optimizer");
    meta.children.push_back(setting("learning_rate", "1e-3", root.origin));
    ConfigNode train{.key = "train", .origin = root.origin};
    if (const ConfigNode* optimizee = root.find("optimizee")) train.children.push_back(*optimizee);
    train.children.push_back(use_default("loss"));
    train.children.push_back(std::move(meta));
    return train;
}

void lay_train_over(ConfigNode& base, const ConfigNode& overlay, const std::string& path) {
    if (!overlay.value.empty()) {
        throw Error(ExitCode::kUsage,
                    overlay.origin.text() + ": " + path + " is '" + overlay.value +
                        "'; expected a section 'train { ... }'");
    }
    merge_section(base, overlay);
    base.origin = overlay.origin;
}

TrainSettings read_train(const Catalog& catalog, const ConfigNode& node, const Settings& section) {
    TrainSettings train{
        .optimizee = read_choice(catalog, Kind::kOptimizee, section.plugin("optimizee")),
        .loss = read_choice(catalog, Kind::kLoss, section.plugin("loss")),
        .meta_optimizer = read_choice(catalog, Kind::kOptimizer, section.plugin("meta_optimizer"))};
    train.schedule = section.get_choice<Schedule>("schedule");
    train.seed = static_cast<std::uint64_t>(section.get_int("seed"));
    train.epochs = section.get_int("epochs");
    train.estimator = section.get_choice<EstimatorKind>("estimator");
    train.horizon = section.get_int("horizon");
    const bool is_search = train.estimator == EstimatorKind::kCmaEs;
    train.unroll =
        section.get_int("unroll", is_search ? train.horizon : std::min(train.unroll, train.horizon));
    if (train.unroll > train.horizon) {
        throw Error(ExitCode::kUsage,
                    section.where("unroll") + " is '" + std::to_string(train.unroll) +
                        "'; expected at most the horizon, " + std::to_string(train.horizon));
    }
    train.horizon_from = read_shortest(section, "horizon", train.horizon);
    train.unroll_from = read_shortest(section, "unroll", train.unroll);
    train.batch = section.get_int("batch");
    train.instances = section.get_int("instances");
    train.mean = section.get_choice<std::size_t>("reduction") == 0;
    train.clip_norm = section.get_real("clip_norm");
    if (is_search && train.clip_norm > 0)
        throw Error(ExitCode::kUsage,
                    section.where("clip_norm") +
                        " is set, and estimator 'cma_es' has no gradient; remove it, or use es or pes");
    train.second_order = section.get_choice<SecondOrder>("second_order");
    train.coordinate_subsample = section.get_real("coordinate_subsample");
    if (train.coordinate_subsample < 1 && train.estimator != EstimatorKind::kBptt) {
        throw Error(ExitCode::kUsage,
                    section.where("coordinate_subsample") + " is below 1, and estimator '" +
                        section.get_text("estimator") +
                        "' differentiates nothing; expected 1, or estimator bptt");
    }
    const Settings update = section.child("update_probability");
    train.update_probability = {.first = update.get_real("first"),
                                .middle = update.get_real("middle"),
                                .last = update.get_real("last")};
    const Settings self_paced = section.child("self_paced");
    train.self_paced = {.share = self_paced.get_real("share"), .epochs = self_paced.get_int("epochs")};
    const bool is_bptt = train.estimator == EstimatorKind::kBptt;
    if (train.self_paced.share < 1 && (!is_bptt || train.schedule == Schedule::kLayerwise))
        throw Error(ExitCode::kUsage,
                    self_paced.where("share") + " is below 1, and " +
                        (is_bptt ? "schedule is 'layerwise'"
                                 : "estimator is '" + section.get_text("estimator") + "'") +
                        "; expected 1, or the estimator bptt and the schedule flat or curriculum");
    const ConfigNode* paced = node.find("self_paced");
    const bool has_share = paced != nullptr && paced->find("share") != nullptr;
    if (!has_share && train.self_paced.epochs != SelfPaced{}.epochs)
        throw Error(
            ExitCode::kUsage,
            self_paced.where("epochs") +
                " is set, and share is not: all rows count from the first trajectory on; set share, or "
                "remove epochs");
    train.memory_bytes = section.get_bytes("memory");
    train.shard_rows = section.get_int("shard_rows");
    train.checkpoint_every_s = section.get_real("checkpoint_every_s");

    if (section.has("imitation")) {
        const Settings imitation = section.child("imitation");
        if (is_search)
            throw Error(ExitCode::kUsage,
                        section.where("imitation") +
                            " is learned by a gradient, and estimator 'cma_es' has none; remove it, or use "
                            "bptt, es or pes");
        const Section teacher = imitation.plugin("teacher");
        train.imitation = {.teacher = read_choice(catalog, Kind::kOptimizer, teacher)};
        train.imitation->probability = imitation.get_real("probability");
        if (train.imitation->teacher.entry.component.has_tag("learned")) {
            throw Error(
                ExitCode::kUsage,
                teacher.where("use") + " is '" + train.imitation->teacher.id() +
                    "', which is learned; expected an optimizer that needs no training, such as 'adam'");
        }
    }
    train.augmentation.random_scaling = section.get_real("random_scaling");
    train.augmentation.convex_term = section.get_int("convex_term");
    const Settings evolution = section.child("evolution");
    train.sigma = evolution.get_real("sigma", is_search ? 0.3 : train.sigma);
    train.population = evolution.get_int("population");
    if (train.population == 1)
        throw Error(
            ExitCode::kUsage,
            evolution.where("population") + " is '1', which nothing ranks; expected 0, or at least 2");
    std::int64_t pairs = std::min<std::int64_t>(train.batch, 16);
    while (train.batch % pairs != 0) --pairs;
    train.pairs = evolution.get_int("pairs", pairs);
    if (train.batch % train.pairs != 0) {
        throw Error(ExitCode::kUsage,
                    evolution.where("pairs") + " is '" + std::to_string(train.pairs) +
                        "'; expected a divisor of train.batch, " + std::to_string(train.batch));
    }

    const Settings validate = section.child("validate");
    train.validate_every = validate.get_int("every");
    train.validate_instances = validate.get_int("instances");

    const bool is_curriculum = train.schedule == Schedule::kCurriculum;
    train.patience = validate.get_int("patience", is_curriculum ? 3 : 0);
    train.restore = validate.get_bool("restore");
    if (is_curriculum && train.validate_every == 0) {
        throw Error(ExitCode::kUsage,
                    validate.where("every") +
                        " is 0; a curriculum goes on by validation: set validate.every, in epochs");
    }
    if (is_curriculum && train.patience == 0) {
        throw Error(ExitCode::kUsage,
                    validate.where("patience") +
                        " is 0; a curriculum goes on by validation: expected a whole number >= 1");
    }
    if (train.patience > 0 && train.validate_every == 0) {
        throw Error(ExitCode::kUsage,
                    validate.where("patience") + " is " + std::to_string(train.patience) +
                        ", and nothing is validated; set validate.every");
    }

    train.decay = section.get_choice<Decay>("decay");
    train.average = section.get_real("average");
    train.warm_start = section.find_path("warm_start");

    const Settings layerwise = section.child("layerwise");
    train.steps_new = layerwise.get_int("steps_new");
    train.steps_all = layerwise.get_int("steps_all");
    train.steps_fine = layerwise.get_int("steps_fine");
    train.rate_new = layerwise.get_real("rate_new");
    train.rate_all = layerwise.get_real("rate_all");
    train.rate_fine = layerwise.get_real("rate_fine");
    train.layer_decay = layerwise.get_real("layer_decay");
    train.layer_decay_of = layerwise.get_choice<LayerDecay>("layer_decay_of");

    const Settings multipliers = section.child("multipliers");
    if (const ConfigNode* written = node.find("multipliers"))
        read_multipliers(*written, multipliers, "", train.multipliers);
    if (const ConfigNode* written = node.find("stages"); written != nullptr && !written->children.empty()) {
        read_stages(catalog, *written, section, train);
    } else if (is_curriculum) {
        throw Error(
            ExitCode::kUsage,
            section.where("stages") +
                ": a curriculum has none; expected 'stages { NAME { horizon 100 } NAME { horizon 200 } }'");
    }
    std::int64_t epochs = train.stages.empty() ? train.epochs : 0;
    for (const StageSettings& stage : train.stages) epochs += stage.epochs;
    if (train.self_paced.share < 1 && train.self_paced.epochs > epochs)
        throw Error(ExitCode::kUsage,
                    self_paced.where("epochs") + " is '" + std::to_string(train.self_paced.epochs) +
                        "'; expected at most the trajectories of the training, " + std::to_string(epochs) +
                        ": some rows would never count");
    return train;
}

}  // namespace l2o::framework
