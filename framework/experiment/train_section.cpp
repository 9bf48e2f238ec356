#include "framework/experiment/train_section.hpp"

#include <algorithm>
#include <utility>

#include "framework/config/compose.hpp"
#include "framework/error.hpp"

namespace l2o::framework {
namespace {

Range at_least(double min) { return {.min = min}; }
Range count_from(double min) { return {.min = min, .max = kMaxCount}; }
Range above(double min) { return {.min = min, .open_min = true}; }

ConfigNode setting(std::string key, std::string value, const Origin& origin) {
    return {.key = std::move(key), .value = std::move(value), .origin = origin};
}

// A parameter's name may have dots, a key may not: `layer.03.theta` is layer { 03 { theta 0.1 } }.
void read_multipliers(const ConfigNode& node,
                      const Section& section,
                      const std::string& prefix,
                      std::map<std::string, double>& multipliers) {
    for (const ConfigNode& child : node.children) {
        const std::string name = prefix + child.key;
        if (child.children.empty()) {
            multipliers[name] = section.get_real(child.key, 1, at_least(0));
        } else {
            read_multipliers(child, section.child(child.key), name + ".", multipliers);
        }
    }
}

Decay read_decay(const Section& section, Decay absent) {
    const std::vector<std::string> names{"constant", "linear", "cosine"};
    const auto index = static_cast<std::size_t>(absent);
    const std::string name = section.get_choice("decay", names[index], names);
    return static_cast<Decay>(std::find(names.begin(), names.end(), name) - names.begin());
}

void read_stages(const Catalog& catalog,
                 const ConfigNode& node,
                 const Section& section,
                 TrainSettings& train) {
    if (train.schedule == Schedule::kLayerwise) {
        throw Error(ExitCode::kUsage,
                    section.where("stages") +
                        ": a layer-wise training has stages of its own; expected 'schedule flat', or "
                        "'layerwise { ... }' instead");
    }
    const Section stages = section.child("stages");
    const auto horizon_of = [&](const StageSettings& stage) {
        return stage.horizon > 0 ? stage.horizon : train.horizon;
    };
    std::int64_t last = 0;
    for (const ConfigNode& child : node.children) {
        const Section own = stages.child(child.key);
        StageSettings stage{.name = child.key, .multipliers = train.multipliers};
        stage.epochs = own.get_int("epochs", train.epochs, count_from(1));
        stage.horizon = own.get_int("horizon", 0, count_from(1));
        stage.unroll = own.get_int("unroll", 0, count_from(1));
        const std::int64_t horizon = horizon_of(stage);
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
        if (own.has("imitation")) {
            stage.imitation = own.get_real("imitation", 0, {.min = 0, .max = 1});
            if (!train.imitation) {
                throw Error(
                    ExitCode::kUsage,
                    own.where("imitation") +
                        ": there is no teacher; expected 'imitation { teacher { use ID } }' in train");
            }
        }
        stage.rate = own.get_real("rate", 1, above(0));
        stage.decay = read_decay(own, train.decay);
        if (own.has("loss")) stage.loss = read_choice(catalog, Kind::kLoss, own.child("loss"));
        const Section multipliers = own.child("multipliers");
        if (const ConfigNode* written = child.find("multipliers"))
            read_multipliers(*written, multipliers, "", stage.multipliers);
        train.stages.push_back(std::move(stage));
    }
}

/// `horizon_from`, `unroll_from`: 0, or at most the longest.
std::int64_t read_shortest(const Section& section, const std::string& key, std::int64_t longest) {
    const std::int64_t from = section.get_int(key + "_from", 0, count_from(0));
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
    const Origin& origin = root.origin;
    ConfigNode loss{.key = "loss", .origin = origin};
    loss.children = {setting("use", "trajectory_sum", origin)};
    ConfigNode meta{.key = "meta_optimizer", .origin = origin};
    meta.children = {setting("use", "adam", origin), setting("learning_rate", "1e-3", origin)};
    ConfigNode train{.key = "train", .origin = origin};
    if (const ConfigNode* optimizee = root.find("optimizee")) train.children.push_back(*optimizee);
    train.children.push_back(std::move(loss));
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

TrainSettings read_train(const Catalog& catalog, const ConfigNode& node, const Section& section) {
    TrainSettings train{
        .optimizee = read_choice(catalog, Kind::kOptimizee, section.child("optimizee")),
        .loss = read_choice(catalog, Kind::kLoss, section.child("loss")),
        .meta_optimizer = read_choice(catalog, Kind::kOptimizer, section.child("meta_optimizer"))};
    const std::string schedule = section.get_choice("schedule", "flat", {"flat", "layerwise", "curriculum"});
    if (schedule != "flat")
        train.schedule = schedule == "layerwise" ? Schedule::kLayerwise : Schedule::kCurriculum;
    train.epochs = section.get_int("epochs", train.epochs, count_from(1));
    const std::string estimator = section.get_choice("estimator", "bptt", {"bptt", "es", "pes"});
    if (estimator != "bptt") train.estimator = estimator == "es" ? EstimatorKind::kEs : EstimatorKind::kPes;
    train.horizon = section.get_int("horizon", train.horizon, count_from(1));
    train.unroll = section.get_int("unroll", std::min(train.unroll, train.horizon), count_from(1));
    if (train.unroll > train.horizon) {
        throw Error(ExitCode::kUsage,
                    section.where("unroll") + " is '" + std::to_string(train.unroll) +
                        "'; expected at most the horizon, " + std::to_string(train.horizon));
    }
    train.horizon_from = read_shortest(section, "horizon", train.horizon);
    train.unroll_from = read_shortest(section, "unroll", train.unroll);
    train.batch = section.get_int("batch", train.batch, count_from(1));
    train.instances = section.get_int("instances", train.instances, count_from(0));
    train.mean = section.get_choice("reduction", "mean", {"mean", "sum"}) == "mean";
    train.clip_norm = section.get_real("clip_norm", train.clip_norm, at_least(0));
    const std::string second_order = section.get_choice("second_order", "drop", {"drop", "exact", "fd"});
    if (second_order != "drop")
        train.second_order = second_order == "exact" ? SecondOrder::kExact : SecondOrder::kFd;
    train.coordinate_subsample =
        section.get_real("coordinate_subsample", 1, {.min = 0, .max = 1, .open_min = true});
    if (train.coordinate_subsample < 1 && train.estimator != EstimatorKind::kBptt) {
        throw Error(ExitCode::kUsage,
                    section.where("coordinate_subsample") + " is below 1, and estimator '" + estimator +
                        "' differentiates nothing; expected 1, or estimator bptt");
    }
    const Section update = section.child("update_probability");
    constexpr Range kProbability{.min = 0, .max = 1, .open_min = true};
    train.update_probability = {.first = update.get_real("first", 1, kProbability),
                                .middle = update.get_real("middle", 1, kProbability),
                                .last = update.get_real("last", 1, kProbability)};
    train.memory_bytes = section.get_bytes("memory", train.memory_bytes);
    train.shard_rows = section.get_int("shard_rows", train.shard_rows, count_from(1));
    train.checkpoint_every_s = section.get_real("checkpoint_every_s", train.checkpoint_every_s, at_least(0));

    if (section.has("imitation")) {
        const Section imitation = section.child("imitation");
        const Section teacher = imitation.child("teacher");
        train.imitation = {.teacher = read_choice(catalog, Kind::kOptimizer, teacher)};
        train.imitation->probability =
            imitation.get_real("probability", train.imitation->probability, {.min = 0, .max = 1});
        if (train.imitation->teacher.entry.component.has_tag("learned")) {
            throw Error(ExitCode::kUsage,
                        teacher.where("use") + " is '" + train.imitation->teacher.id() +
                            "', which is learned; expected an optimizer that needs no training, as 'adam'");
        }
    }
    train.augmentation.random_scaling = section.get_real("random_scaling", 0, at_least(0));
    train.augmentation.convex_term = section.get_int("convex_term", 0, count_from(0));
    const Section evolution = section.child("evolution");
    train.sigma = evolution.get_real("sigma", train.sigma, above(0));
    std::int64_t pairs = std::min<std::int64_t>(train.batch, 16);
    while (train.batch % pairs != 0) --pairs;
    train.pairs = evolution.get_int("pairs", pairs, count_from(1));
    if (train.batch % train.pairs != 0) {
        throw Error(ExitCode::kUsage,
                    evolution.where("pairs") + " is '" + std::to_string(train.pairs) +
                        "'; expected a divisor of train.batch, " + std::to_string(train.batch));
    }

    const Section validate = section.child("validate");
    train.validate_every = validate.get_int("every", train.validate_every, count_from(0));
    train.validate_instances = validate.get_int("instances", train.validate_instances, count_from(1));

    const bool is_curriculum = train.schedule == Schedule::kCurriculum;
    train.patience = validate.get_int("patience", is_curriculum ? 3 : 0, count_from(is_curriculum ? 1 : 0));
    train.restore = validate.get_bool("restore", train.restore);
    if (is_curriculum && train.validate_every == 0) {
        throw Error(ExitCode::kUsage,
                    validate.where("every") +
                        " is 0; a curriculum goes on by validation: set validate.every, in epochs");
    }
    if (train.patience > 0 && train.validate_every == 0) {
        throw Error(ExitCode::kUsage,
                    validate.where("patience") + " is " + std::to_string(train.patience) +
                        ", and nothing is validated; set validate.every");
    }

    train.decay = read_decay(section, train.decay);
    train.average = section.get_real("average", train.average, {.min = 0, .max = 1, .open_max = true});
    if (section.has("warm_start")) train.warm_start = section.require_path("warm_start");

    const Section layerwise = section.child("layerwise");
    train.steps_new = layerwise.get_int("steps_new", train.steps_new, count_from(0));
    train.steps_all = layerwise.get_int("steps_all", train.steps_all, count_from(0));
    train.steps_fine = layerwise.get_int("steps_fine", train.steps_fine, count_from(0));
    train.rate_new = layerwise.get_real("rate_new", train.rate_new, above(0));
    train.rate_all = layerwise.get_real("rate_all", train.rate_all, above(0));
    train.rate_fine = layerwise.get_real("rate_fine", train.rate_fine, above(0));
    train.layer_decay = layerwise.get_real("layer_decay", train.layer_decay, at_least(0));
    if (layerwise.get_choice("layer_decay_of", "rate", {"rate", "gradient"}) == "gradient")
        train.layer_decay_of = LayerDecay::kGradient;

    const Section multipliers = section.child("multipliers");
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
    return train;
}

}  // namespace l2o::framework
