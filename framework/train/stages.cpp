#include "framework/train/stages.hpp"

#include <algorithm>
#include <cmath>
#include <l2o/numerics/philox.hpp>
#include <numbers>

#include "framework/error.hpp"
#include "framework/text/suggest.hpp"

namespace l2o::framework {
namespace {

/// Whether a key names a parameter: by its whole name, or by what stands behind a dot of it.
bool names(const std::string& key, const std::string& parameter) {
    return parameter == key || parameter.ends_with("." + key);
}

std::vector<double> multipliers_of(const std::map<std::string, double>& multipliers,
                                   const Optimizer& optimizer) {
    std::vector<std::string> known;
    for (const l2o_spec* spec : optimizer.params()) {
        if (!has(*spec, L2O_SPEC_DERIVED)) known.emplace_back(spec->name);
    }
    for (const auto& [key, factor] : multipliers) {
        // Clang 14 captures no structured binding as it is.
        const auto is_named = [&key = key](const auto& name) { return names(key, name); };
        if (std::none_of(known.begin(), known.end(), is_named)) {
            throw Error(ExitCode::kUsage,
                        "train.multipliers: optimizer '" + optimizer.id() + "' has no learned parameter '" +
                            key + "'" + did_you_mean(key, known));
        }
    }
    std::vector<double> rates;
    for (const l2o_spec* spec : optimizer.params()) {
        double rate = 1;
        std::size_t longest = 0;
        for (const auto& [key, factor] : multipliers) {
            if (key.size() <= longest || !names(key, spec->name)) continue;
            longest = key.size();
            rate = factor;
        }
        rates.push_back(rate);
    }
    return rates;
}

constexpr std::uint64_t kHorizonTag = 0x686f72, kUnrollTag = 0x756e72;

/// A whole number in [from, to] whose logarithm is uniform.
std::int64_t draw_length(std::int64_t from, std::int64_t to, const Key& key) {
    const double low = std::log(static_cast<double>(from)), high = std::log(static_cast<double>(to) + 1);
    const double drawn = std::exp(low + numerics::Stream(key, 0).uniform() * (high - low));
    return std::clamp(static_cast<std::int64_t>(drawn), from, to);
}

std::vector<Stage> flat_stages(const TrainSettings& settings, const Optimizer& optimizer) {
    const std::int64_t layers = optimizer.info().max_steps;
    std::vector<StageSettings> parts = settings.stages;
    if (parts.empty()) {
        parts.push_back({.name = "flat",
                         .epochs = settings.epochs,
                         .decay = settings.decay,
                         .multipliers = settings.multipliers});
    }
    const double probability = settings.imitation ? settings.imitation->probability : 0;
    std::vector<Stage> stages;
    for (const StageSettings& part : parts) {
        const std::int64_t horizon = part.horizon > 0 ? part.horizon : settings.horizon;
        if (layers > 0 && horizon > layers) {
            throw Error(ExitCode::kUsage,
                        "train" + (part.horizon > 0 ? ".stages." + part.name : "") + ".horizon is " +
                            std::to_string(horizon) + "; '" + optimizer.id() + "' has " +
                            std::to_string(layers) + " layers");
        }
        Stage stage{.name = part.name,
                    .epochs = part.epochs,
                    .horizon = horizon,
                    .unroll = part.unroll > 0 ? part.unroll : std::min(settings.unroll, horizon),
                    .horizon_from = part.horizon > 0 ? 0 : settings.horizon_from,
                    .unroll_from = part.unroll > 0 ? 0 : settings.unroll_from,
                    .validation_horizon = horizon,
                    .imitation = part.imitation.value_or(probability),
                    .first_reverse = 0,
                    .rates = multipliers_of(part.multipliers, optimizer),
                    .decay = part.decay,
                    .loss = part.loss};
        for (double& rate : stage.rates) rate *= part.rate;
        stages.push_back(std::move(stage));
    }
    for (std::size_t i = 1; settings.schedule == Schedule::kCurriculum && i < stages.size(); ++i)
        stages[i - 1].validation_horizon = stages[i].horizon;
    return stages;
}

}  // namespace

std::int64_t Stage::horizon_of(const Keys& keys, std::uint64_t index) const {
    if (horizon_from == 0) return horizon;
    return draw_length(horizon_from, horizon, numerics::derive_key(keys.train_steps, kHorizonTag, index));
}

std::int64_t Stage::unroll_of(const Keys& keys, std::uint64_t index, std::int64_t t) const {
    if (unroll_from == 0) return unroll;
    const Key of_trajectory = numerics::derive_key(keys.train_steps, kUnrollTag, index);
    return draw_length(
        unroll_from, unroll, numerics::derive_key(of_trajectory, kUnrollTag, static_cast<std::uint64_t>(t)));
}

double Stage::decayed(std::int64_t epoch) const {
    const double share = static_cast<double>(epoch) / static_cast<double>(epochs);
    switch (decay) {
        case Decay::kConstant:
            return 1;
        case Decay::kLinear:
            return 1 - share;
        case Decay::kCosine:
            return (1 + std::cos(std::numbers::pi * share)) / 2;
    }
    return 1;
}

std::vector<Stage> stages_of(const TrainSettings& settings, const Optimizer& optimizer) {
    if (settings.schedule != Schedule::kLayerwise) return flat_stages(settings, optimizer);
    const std::vector<double> multipliers = multipliers_of(settings.multipliers, optimizer);
    const std::int64_t layers = optimizer.info().max_steps;
    if (layers == 0) {
        throw Error(
            ExitCode::kUsage,
            "train.schedule is 'layerwise'; optimizer '" + optimizer.id() + "' has no layers, use 'flat'");
    }
    std::vector<Stage> stages;
    for (std::int64_t depth = 1; depth <= layers; ++depth) {
        const auto stage = [&](const char* part, std::int64_t steps, double rate, bool only_new) {
            if (steps == 0) return;
            Stage next{.name = "layer " + std::to_string(depth) + ": " + part,
                       .epochs = steps,
                       .horizon = depth,
                       .unroll = depth,
                       .validation_horizon = depth,
                       .imitation = settings.imitation ? settings.imitation->probability : 0,
                       .first_reverse = only_new ? depth - 1 : 0,
                       .rates = {},
                       .decay = settings.decay};
            for (std::size_t i = 0; i < multipliers.size(); ++i) {
                // Shared parameters appear in layer 0.
                const std::int64_t age = depth - 1 - optimizer.params()[i]->layer;
                const bool is_frozen = age < 0 || (only_new && age != 0);
                const double decay = std::pow(settings.layer_decay, static_cast<double>(age));
                const bool of_gradient = settings.layer_decay_of == LayerDecay::kGradient;
                next.rates.push_back(is_frozen ? 0 : multipliers[i] * rate * (of_gradient ? 1 : decay));
                next.gradient_factors.push_back(is_frozen || !of_gradient ? 1 : decay);
            }
            stages.push_back(std::move(next));
        };
        stage("new", settings.steps_new, settings.rate_new, true);
        stage("all", settings.steps_all, settings.rate_all, false);
        stage("fine", settings.steps_fine, settings.rate_fine, false);
    }
    return stages;
}

}  // namespace l2o::framework
