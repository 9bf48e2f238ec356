#include "framework/train/stages.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "framework/config/suggest.hpp"
#include "framework/error.hpp"

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
        if (spec->role == L2O_PARAM_LEARNED) known.emplace_back(spec->name);
    }
    for (const auto& [key, factor] : multipliers) {
        if (std::none_of(known.begin(), known.end(), [&](const auto& name) { return names(key, name); })) {
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

std::vector<Stage> flat_stages(const TrainSettings& settings, const Optimizer& optimizer) {
    const std::int64_t layers = optimizer.info().max_steps;
    if (layers > 0 && settings.horizon > layers) {
        throw Error(ExitCode::kUsage,
                    "train.horizon is " + std::to_string(settings.horizon) + "; '" + optimizer.id() +
                        "' has " + std::to_string(layers) + " layers");
    }
    std::vector<StageSettings> parts = settings.stages;
    if (parts.empty()) {
        parts.push_back({.name = "flat",
                         .epochs = settings.epochs,
                         .decay = settings.decay,
                         .multipliers = settings.multipliers});
    }
    std::vector<Stage> stages;
    for (const StageSettings& part : parts) {
        Stage stage{.name = part.name,
                    .epochs = part.epochs,
                    .horizon = settings.horizon,
                    .unroll = settings.unroll,
                    .first_reverse = 0,
                    .rates = multipliers_of(part.multipliers, optimizer),
                    .decay = part.decay,
                    .loss = part.loss};
        for (double& rate : stage.rates) rate *= part.rate;
        stages.push_back(std::move(stage));
    }
    return stages;
}

}  // namespace

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
    if (settings.schedule == Schedule::kFlat) return flat_stages(settings, optimizer);
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
