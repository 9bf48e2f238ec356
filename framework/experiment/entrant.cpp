#include "framework/experiment/entrant.hpp"

#include <algorithm>
#include <cmath>

#include "framework/error.hpp"
#include "framework/plugin/create.hpp"
#include "framework/rollout/course.hpp"
#include "framework/rollout/sparse_updates.hpp"
#include "framework/rollout/start_share.hpp"
#include "framework/train/shards.hpp"
#include "framework/weights/weights.hpp"

namespace l2o::framework {
namespace {

std::int64_t longest_horizon(const TrainSettings& train) {
    std::int64_t longest = train.stages.empty() ? train.horizon : 0;
    for (const StageSettings& stage : train.stages)
        longest = std::max(longest, stage.horizon > 0 ? stage.horizon : train.horizon);
    return longest;
}

std::string sizes_of(const l2o_spec& spec) {
    return std::string("'") + spec.name + "' " + to_string(shape_of(spec, 1));
}

/// Weights that are learned on one problem have to fit the other; what is derived is derived there.
void check_same_parameters(const Optimizer& trained, const Optimizer& tested, const std::string& where) {
    const auto learned = [](const Optimizer& optimizer) {
        std::vector<const l2o_spec*> specs = optimizer.params();
        std::erase_if(specs, [](const l2o_spec* spec) { return has(*spec, L2O_SPEC_DERIVED); });
        return specs;
    };
    const std::vector<const l2o_spec*> here = learned(trained), there = learned(tested);
    const std::size_t n = std::max(here.size(), there.size());
    for (std::size_t i = 0; i < n; ++i) {
        const std::string of_training = i < here.size() ? sizes_of(*here[i]) : "none",
                          of_test = i < there.size() ? sizes_of(*there[i]) : "none";
        if (of_training == of_test) continue;
        throw Error(ExitCode::kUsage,
                    where + ": '" + trained.id() + "' learns the tensor " + of_training +
                        " on the problem of its training, and needs " + of_test +
                        " on that of the test; expected problems of the same sizes: set those of "
                        "'optimizee' and of 'train.optimizee' to the same");
    }
}

/// With what it started from.
double training_seconds(const WeightsReport& report) {
    if (!(report.seconds > 0)) return NAN;
    return report.seconds + (report.training ? report.training->warm_start_seconds : 0);
}

}  // namespace

Optimizee optimizee_of(const PluginChoice& choice, Dtype dtype) try {
    return {choice.entry, choice.resolve(), dtype};
} catch (const Refusal& refusal) {
    throw Error(refusal.code(), choice.context.origin + ": " + choice.context.path + ": " + refusal.what());
}

Entrant make_entrant(const Experiment& experiment,
                     const Contestant& contestant,
                     const Optimizee& optimizee,
                     bool may_train) try {
    const auto share = [&](std::int64_t budget) { return share_of_start(budget, contestant.restarts); };
    const Task task =
        task_of(optimizee, share(experiment.evaluate.iterations), share(experiment.evaluate.max_evaluations));
    const std::vector<SettingText> from_weights =
        contestant.weights.empty() ? std::vector<SettingText>{}
                                   : weight_options(contestant.weights, contestant.optimizer.id());
    Entrant entrant{.contestant = &contestant,
                    .optimizer = std::make_unique<Optimizer>(
                        contestant.optimizer.entry, contestant.optimizer.resolve(from_weights), task),
                    .continue_with = nullptr,
                    .classic = nullptr,
                    .params = {},
                    .continue_params = {},
                    .classic_params = {}};
    if (contestant.safeguard) {
        const PluginChoice& classic = contestant.safeguard->classic;
        entrant.classic = std::make_unique<Optimizer>(classic.entry, classic.resolve(), task);
    }
    if (contestant.continue_with) {
        entrant.continue_with = std::make_unique<Optimizer>(
            contestant.continue_with->entry, contestant.continue_with->resolve(), task);
    }
    if (contestant.train && may_train) {
        const TrainSettings& train = *contestant.train;
        auto own =
            std::unique_ptr<const Optimizee>(new Optimizee(optimizee_of(train.optimizee, experiment.dtype)));
        if (train.augmentation.convex_term > 0 && is_game(*own))
            throw Error(ExitCode::kUsage,
                        "contestants." + contestant.group +
                            ".train.convex_term adds a function that is minimised, and '" + own->id() +
                            "' is a game between two players; set it to 0");
        entrant.train_optimizee = augmented(std::move(own), train.augmentation);
        entrant.train_optimizer =
            std::make_unique<Optimizer>(contestant.optimizer.entry,
                                        contestant.optimizer.resolve(),
                                        task_of(*entrant.train_optimizee, longest_horizon(train)));
        if (!train.augmentation.is_none() &&
            (!entrant.train_optimizer->needs().empty() ||
             (entrant.train_optimizer->info().flags & L2O_OPTIMIZER_PARAMS_BY_PROBLEM) != 0)) {
            throw Error(ExitCode::kUsage,
                        "contestants." + contestant.group +
                            ".train: random_scaling and convex_term change the problem, and '" +
                            contestant.optimizer.id() +
                            "' is made for the data of the problem itself; set both to 0");
        }
        check_same_parameters(*entrant.train_optimizer, *entrant.optimizer, contestant.place());
        check_update_probability(train.update_probability, *entrant.train_optimizee);
        check_memory(train, *entrant.train_optimizer, *entrant.train_optimizee);
        check_training(
            train_task(experiment, contestant), *entrant.train_optimizer, *entrant.train_optimizee);
    }
    return entrant;
} catch (const Error& error) {
    // What names its place in the file says more.
    if (error.code() != ExitCode::kPlugin && std::string_view(error.what()).starts_with("contestants."))
        throw;
    throw Error(error.code(), contestant.place() + ": " + error.what());
}

TrainTask train_task(const Experiment& experiment, const Contestant& contestant) {
    return {.name = contestant.name,
            .hash = contestant.hash,
            .settings = *contestant.train,
            .builds = experiment.builds,
            .seed = experiment.seed};
}

Ready ready(const Entrant& entrant) {
    Ready ready{.name = entrant.contestant->name,
                .place = entrant.contestant->place(),
                .optimizer = entrant.optimizer.get(),
                .params = &entrant.params,
                .continue_with = entrant.continue_with.get(),
                .continue_params = &entrant.continue_params,
                .restarts = entrant.contestant->restarts,
                .training_seconds = entrant.report ? training_seconds(*entrant.report) : 0,
                .preparation_seconds = entrant.preparation_seconds,
                .training = entrant.report ? entrant.report->training : std::nullopt};
    if (entrant.classic)
        ready.safeguard.emplace(
            Safeguard{*entrant.classic, entrant.classic_params, entrant.contestant->safeguard->rule});
    return ready;
}

const Optimizer& trained_optimizer(const Entrant& entrant) {
    return entrant.train_optimizer ? *entrant.train_optimizer : *entrant.optimizer;
}

}  // namespace l2o::framework
