#include "framework/train/stages.hpp"

#include <algorithm>
#include <cmath>

#include "framework/config/suggest.hpp"
#include "framework/error.hpp"

namespace l2o::framework {
namespace {

std::vector<double> multipliers_of(const TrainSettings& settings, const Optimizer& optimizer) {
    std::vector<std::string> known;
    for (const l2o_spec* spec : optimizer.params()) {
        if (spec->role == L2O_PARAM_LEARNED) known.emplace_back(spec->name);
    }
    for (const auto& [name, factor] : settings.multipliers) {
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            throw Error(ExitCode::kUsage,
                        "train.multipliers: optimizer '" + optimizer.id() + "' has no learned parameter '" +
                            name + "'" + did_you_mean(name, known));
        }
    }
    std::vector<double> rates;
    for (const l2o_spec* spec : optimizer.params()) {
        const auto given = settings.multipliers.find(spec->name);
        rates.push_back(given == settings.multipliers.end() ? 1.0 : given->second);
    }
    return rates;
}

}  // namespace

std::vector<Stage> stages_of(const TrainSettings& settings, const Optimizer& optimizer) {
    const std::vector<double> multipliers = multipliers_of(settings, optimizer);
    const std::int64_t layers = optimizer.info().max_steps;
    if (settings.schedule == Schedule::kFlat) {
        if (layers > 0 && settings.horizon > layers) {
            throw Error(ExitCode::kUsage,
                        "train.horizon is " + std::to_string(settings.horizon) + "; '" + optimizer.id() +
                            "' has " + std::to_string(layers) + " layers");
        }
        return {{"flat", settings.epochs, settings.horizon, settings.unroll, 0, multipliers}};
    }
    if (layers == 0) {
        throw Error(
            ExitCode::kUsage,
            "train.schedule is 'layerwise'; optimizer '" + optimizer.id() + "' has no layers, use 'flat'");
    }
    std::vector<Stage> stages;
    for (std::int64_t depth = 1; depth <= layers; ++depth) {
        const auto stage = [&](const char* part, std::int64_t steps, double rate, bool only_new) {
            if (steps == 0) return;
            Stage next{"layer " + std::to_string(depth) + ": " + part,
                       steps,
                       depth,
                       depth,
                       only_new ? depth - 1 : 0,
                       {}};
            for (std::size_t i = 0; i < multipliers.size(); ++i) {
                // Shared parameters appear in layer 0.
                const std::int64_t age = depth - 1 - optimizer.params()[i]->layer;
                const bool is_frozen = age < 0 || (only_new && age != 0);
                const double decay = std::pow(settings.layer_decay, static_cast<double>(age));
                next.rates.push_back(is_frozen ? 0 : multipliers[i] * rate * decay);
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
