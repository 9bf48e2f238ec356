#include "tests/framework/train/trainee.hpp"

#include "framework/cancel.hpp"
#include "framework/train/shards.hpp"

namespace l2o::test {

using namespace l2o::framework;

PluginChoice choice(Kind kind, const std::string& id, const OptionText& options) {
    return {.entry = catalog().find(kind, id),
            .settings = settings_from(options, {.file = "test"}),
            .context = {.origin = "test", .path = name_of(kind), .kind = name_of(kind), .id = id}};
}

Trainee::Trainee(const Setup& setup, const Lengths& lengths) {
    experiment_.seed = setup.seed;
    experiment_.dtype = setup.dtype;
    experiment_.optimizee = choice(Kind::kOptimizee, setup.optimizee, setup.problem);
    contestant_.name = "trainee";
    contestant_.hash = "0123";
    contestant_.optimizer = choice(Kind::kOptimizer, setup.optimizer, setup.options);
    contestant_.train.emplace();
    settings().optimizee = experiment_.optimizee;
    settings().loss = choice(Kind::kLoss, setup.loss, setup.loss_options);
    settings().meta_optimizer = choice(Kind::kOptimizer, setup.meta, setup.meta_options);
    settings().meta_optimizer.context.path = "train.meta_optimizer";
    settings().checkpoint_every_s = 1e6;
    using Length = std::pair<std::int64_t, std::int64_t&>;
    for (const auto& [length, setting] : {Length{lengths.epochs, settings().epochs},
                                          Length{lengths.horizon, settings().horizon},
                                          Length{lengths.unroll, settings().unroll},
                                          Length{lengths.batch, settings().batch},
                                          Length{lengths.shard_rows, settings().shard_rows},
                                          Length{lengths.validate_every, settings().validate_every},
                                          Length{lengths.validate_instances, settings().validate_instances}})
        if (length != 0) setting = length;

    optimizee_ = std::make_unique<Optimizee>(
        experiment_.optimizee.entry, experiment_.optimizee.resolve(), experiment_.dtype);
    optimizer_ = std::make_unique<Optimizer>(
        contestant_.optimizer.entry, contestant_.optimizer.resolve(), task_of(*optimizee_, 0));
    loss_ = std::make_unique<Loss>(settings().loss.entry, settings().loss.resolve(), task_of(*optimizee_, 0));
}

Trainee layerwise_lista() {
    Trainee trainee({.optimizer = "lista",
                     .options = {{"layers", "3"}},
                     .optimizee = "sparse_recovery",
                     .problem = {{"m", "6"}, {"n", "10"}},
                     .loss = "mse_to_solution"},
                    {.batch = 5, .shard_rows = 2});
    TrainSettings& settings = trainee.settings();
    settings.schedule = Schedule::kLayerwise;
    settings.steps_new = 2;
    settings.steps_all = 2;
    settings.steps_fine = 1;
    return trainee;
}

TrainResult Trainee::train(const TrainFiles& files, int threads, const ProgressSink& progress) {
    cancel_flag() = 0;
    return framework::train({.name = contestant_.name,
                             .hash = contestant_.hash,
                             .settings = settings(),
                             .builds = experiment_.builds,
                             .seed = experiment_.seed},
                            *optimizer_,
                            *optimizee_,
                            files,
                            threads,
                            progress);
}

TensorSet Trainee::initial_params() const {
    const ProblemData data = optimizee_->sample(keys().train_data, Split::kTrain, 0, 1, false);
    return TensorSet(optimizer_->init_params(keys().init_params, data));
}

double Trainee::validation_loss(const TensorSet& params) const {
    const TrainSettings& train = *contestant_.train;
    const Keys the_keys = keys();
    Shards shards(*optimizer_,
                  *optimizee_,
                  *loss_,
                  params,
                  the_keys,
                  {.split = Split::kValidation,
                   .batch = train.validate_instances,
                   .shard_rows = train.shard_rows,
                   .unroll = {.horizon = train.horizon}},
                  1);
    shards.start(0, shards.draw(0));
    return shards.score(train.horizon).loss / static_cast<double>(train.validate_instances);
}

std::string bytes(const Tensor& tensor) {
    return {static_cast<const char*>(tensor.data()), static_cast<std::size_t>(tensor.bytes())};
}

std::string bytes(const TensorSet& set) {
    std::string all;
    for (const Tensor& tensor : set.tensors()) all += bytes(tensor);
    return all;
}

const Tensor& param(const Trainee& trainee, const TensorSet& params, const std::string& name) {
    for (std::size_t i = 0; i < params.size(); ++i) {
        if (trainee.optimizer().params()[i]->name == name) return params[i];
    }
    throw std::invalid_argument("no parameter '" + name + "'");
}

ProgressSink interrupt_after(std::int64_t window) {
    return [window](const Progress& progress) {
        if (progress.done == window) cancel_flag() = 1;
    };
}

}  // namespace l2o::test
