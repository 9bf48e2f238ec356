#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "framework/store/safetensors.hpp"
#include "framework/train/shards.hpp"
#include "framework/train/stages.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/framework/train/trainee.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;

double rate_of(const Trainee& trainee, const Stage& stage, const std::string& name) {
    for (std::size_t i = 0; i < stage.rates.size(); ++i) {
        if (trainee.optimizer().params()[i]->name == name) return stage.rates[i];
    }
    return NAN;
}

/// The parameters in a checkpoint, by name.
std::map<std::string, std::string> phi_in(const std::filesystem::path& checkpoint) {
    std::map<std::string, std::string> out;
    for (const auto& [name, tensor] : read_safetensors(checkpoint).tensors) {
        if (name.starts_with("phi/")) out[name.substr(4)] = bytes(tensor);
    }
    return out;
}

}  // namespace

TEST_CASE("a flat training is one stage with the settings' lengths") {
    const Trainee trainee({});
    TrainSettings settings;
    settings.epochs = 7, settings.horizon = 30, settings.unroll = 20;
    settings.multipliers = {{"decay", 0.5}};
    const auto stages = stages_of(settings, trainee.optimizer());
    REQUIRE(stages.size() == 1);
    CHECK(stages[0].name == "flat");
    CHECK(stages[0].epochs == 7);
    CHECK(stages[0].horizon == 30);
    CHECK(stages[0].unroll == 20);
    CHECK(stages[0].first_reverse == 0);
    CHECK(rate_of(trainee, stages[0], "decay") == 0.5);
    CHECK(rate_of(trainee, stages[0], "log_step") == 1);
}

TEST_CASE("the stages of a flat training have their own lengths, rates and multipliers") {
    Trainee trainee = layerwise_lista();
    TrainSettings& settings = trainee.settings();
    settings.schedule = Schedule::kFlat;
    settings.horizon = settings.unroll = 3;
    settings.stages = {{.name = "numbers", .epochs = 4, .multipliers = {{"S", 0}, {"B", 0}}},
                       {.name = "all",
                        .epochs = 6,
                        .rate = 0.5,
                        .decay = Decay::kCosine,
                        .multipliers = {{"S", 0.1}, {"layer.02.S", 0.2}}}};
    const auto stages = stages_of(settings, trainee.optimizer());
    REQUIRE(stages.size() == 2);
    CHECK(stages[0].name == "numbers");
    CHECK(stages[0].epochs == 4);
    CHECK(stages[0].horizon == 3);
    CHECK(rate_of(trainee, stages[0], "layer.01.S") == 0);
    CHECK(rate_of(trainee, stages[0], "shared.B") == 0);
    CHECK(rate_of(trainee, stages[0], "layer.01.theta") == 1);
    CHECK(stages[1].epochs == 6);
    CHECK(rate_of(trainee, stages[1], "layer.01.S") == doctest::Approx(0.05));
    CHECK(rate_of(trainee, stages[1], "layer.02.S") == doctest::Approx(0.1));  // the longer name
    CHECK(rate_of(trainee, stages[1], "shared.B") == 0.5);
}

TEST_CASE("rates fall from 1 to 0 over the epochs of a stage, linearly or as a cosine") {
    Stage stage{.name = "", .epochs = 8, .rates = {}};
    CHECK(stage.decayed(7) == 1);
    stage.decay = Decay::kLinear;
    CHECK(stage.decayed(0) == 1);
    CHECK(stage.decayed(2) == 0.75);
    stage.decay = Decay::kCosine;
    CHECK(stage.decayed(0) == 1);
    CHECK(stage.decayed(4) == doctest::Approx(0.5));
    CHECK(stage.decayed(6) == doctest::Approx((1 - std::sqrt(0.5)) / 2));
}

TEST_CASE("layer_decay of the gradient leaves the rates alone") {
    Trainee trainee = layerwise_lista();
    trainee.settings().layer_decay_of = LayerDecay::kGradient;
    const auto stages = stages_of(trainee.settings(), trainee.optimizer());
    const Stage& all = stages[7];
    CHECK(rate_of(trainee, all, "layer.00.theta") == doctest::Approx(0.2));
    for (std::size_t i = 0; i < all.rates.size(); ++i) {
        const std::string name = trainee.optimizer().params()[i]->name;
        const double expected = name.find("02") != std::string::npos   ? 1
                                : name.find("01") != std::string::npos ? 0.3
                                                                       : 0.09;
        CHECK(all.gradient_factors[i] == doctest::Approx(expected));
    }
}

TEST_CASE("a gradient damped by age moves old layers less under descent, and hardly at all under Adam") {
    for (const char* meta : {"gradient_descent", "adam"}) {
        Trainee trainee({.optimizer = "lista",
                         .options = {{"layers", "2"}},
                         .optimizee = "sparse_recovery",
                         .problem = {{"m", "6"}, {"n", "10"}},
                         .loss = "mse_to_solution",
                         .meta = meta,
                         .meta_options = {{"learning_rate", "1e-3"}}});
        TrainSettings& settings = trainee.settings();
        settings.schedule = Schedule::kLayerwise;
        settings.steps_new = settings.steps_fine = 0;
        settings.steps_all = 1;
        settings.layer_decay_of = LayerDecay::kGradient;
        settings.layer_decay = 1;
        const auto moved = [&](double decay) {
            settings.layer_decay = decay;
            const TensorSet start = trainee.initial_params(), end = trainee.train().params;
            return param(trainee, end, "layer.00.theta").value(0) -
                   param(trainee, start, "layer.00.theta").value(0);
        };
        // Two steps: one at depth 1, where nothing is old, one at depth 2.
        const double at_depth_1 = moved(0), whole = moved(1) - at_depth_1, damped = moved(0.3) - at_depth_1;
        CAPTURE(meta);
        CHECK(damped / whole == doctest::Approx(std::string(meta) == "adam" ? 1 : 0.3).epsilon(1e-3));
    }
}

TEST_CASE("layers run once for all epochs of a fixed training set give the bits of running them every time") {
    Trainee trainee = layerwise_lista();
    TrainSettings& settings = trainee.settings();
    settings.steps_new = settings.steps_all = 60;
    settings.instances = 150;  // 30 batches: every one is met twice in a stage
    settings.validate_every = 10;
    settings.validate_instances = 4;
    const TrainResult kept = trainee.train();
    // Enough for the recorded points, and for a part of the instances: no prefix fits any more.
    settings.memory_bytes = static_cast<std::uint64_t>(kept.engine_bytes) * 5 / 4;
    REQUIRE(settings.memory_bytes < std::uint64_t{150} * (6 + 10) * sizeof(double));
    CHECK(bytes(trainee.train().params) == bytes(kept.params));
}

TEST_CASE("layer by layer: every depth has its new parameters first, then all of them, damped by age") {
    Trainee trainee = layerwise_lista();
    trainee.settings().multipliers = {{"layer.01.theta", 10}};
    const auto stages = stages_of(trainee.settings(), trainee.optimizer());
    std::vector<std::string> names;
    for (const Stage& stage : stages) names.push_back(stage.name);
    CHECK(names == std::vector<std::string>{"layer 1: new",
                                            "layer 1: all",
                                            "layer 1: fine",
                                            "layer 2: new",
                                            "layer 2: all",
                                            "layer 2: fine",
                                            "layer 3: new",
                                            "layer 3: all",
                                            "layer 3: fine"});
    const Stage &fresh = stages[3], &all = stages[7], &fine = stages[8];
    CHECK(fresh.epochs == 2);
    CHECK(fresh.horizon == 2);
    CHECK(fresh.unroll == 2);
    CHECK(fresh.first_reverse == 1);
    CHECK(rate_of(trainee, fresh, "shared.B") == 0);
    CHECK(rate_of(trainee, fresh, "layer.00.theta") == 0);
    CHECK(rate_of(trainee, fresh, "layer.01.S") == 1);
    CHECK(rate_of(trainee, fresh, "layer.01.theta") == 10);
    CHECK(rate_of(trainee, fresh, "layer.02.S") == 0);
    CHECK(all.first_reverse == 0);
    CHECK(rate_of(trainee, all, "layer.02.S") == doctest::Approx(0.2));
    CHECK(rate_of(trainee, all, "layer.01.theta") == doctest::Approx(10 * 0.2 * 0.3));
    CHECK(rate_of(trainee, all, "shared.B") == doctest::Approx(0.2 * 0.3 * 0.3));
    CHECK(fine.epochs == 1);
    CHECK(rate_of(trainee, fine, "layer.02.S") == doctest::Approx(0.02));
}

TEST_CASE("parts of no steps are left out, and layer_decay 0 keeps the older layers as they are") {
    Trainee trainee = layerwise_lista();
    trainee.settings().steps_new = 0;
    trainee.settings().steps_fine = 0;
    trainee.settings().layer_decay = 0;
    const auto stages = stages_of(trainee.settings(), trainee.optimizer());
    REQUIRE(stages.size() == 3);
    CHECK(stages[1].name == "layer 2: all");
    CHECK(rate_of(trainee, stages[1], "layer.01.S") == doctest::Approx(0.2));
    CHECK(rate_of(trainee, stages[1], "layer.00.theta") == 0);
}

TEST_CASE("schedules and multipliers that do not fit the optimizer are refused by message") {
    Trainee flat({});
    flat.settings().schedule = Schedule::kLayerwise;
    CHECK(refusal([&] { flat.train(); }) ==
          "2 train.schedule is 'layerwise'; optimizer 'learned_momentum' has no layers, use 'flat'");
    flat.settings().schedule = Schedule::kFlat;
    flat.settings().multipliers = {{"decai", 0.1}};
    CHECK(refusal([&] { flat.train(); }) ==
          "2 train.multipliers: optimizer 'learned_momentum' has no learned parameter 'decai'; did you mean "
          "'decay'? known: decay, f_weight, log_step, start");
}

TEST_CASE("while a layer is new the others keep every bit, and its own parameters move") {
    Trainee trainee = layerwise_lista();
    trainee.settings().steps_all = 0;
    trainee.settings().steps_fine = 0;
    const ScratchFolder folder;
    std::vector<std::map<std::string, std::string>> ends;
    for (const std::int64_t window : {2, 4, 6}) {
        const TrainFiles files{.checkpoint = folder / "state.safetensors", .metrics = {}, .resume = false};
        CHECK_THROWS_AS(trainee.train(files, 1, interrupt_after(window)), Error);
        ends.push_back(phi_in(files.checkpoint));
    }
    std::map<std::string, std::string> start;
    const TensorSet initial = trainee.initial_params();
    for (std::size_t i = 0; i < initial.size(); ++i)
        start[trainee.optimizer().params()[i]->name] = bytes(initial[i]);
    for (const auto& [name, at_start] : start) {
        const auto& which = name;
        CAPTURE(which);
        const int layer = name.find("02") != std::string::npos   ? 2
                          : name.find("01") != std::string::npos ? 1
                                                                 : 0;
        CHECK((ends[0].at(name) != at_start) == (layer == 0));
        CHECK((ends[1].at(name) != ends[0].at(name)) == (layer == 1));
        CHECK((ends[2].at(name) != ends[1].at(name)) == (layer == 2));
    }
}

TEST_CASE("stopping the reverse at the new layer gives the bits of the full reverse for its parameters") {
    const Trainee trainee = layerwise_lista();
    const TensorSet phi = trainee.initial_params();
    const Keys keys = trainee.keys();
    Shards shards(trainee.optimizer(),
                  trainee.optimizee(),
                  trainee.loss(),
                  phi,
                  keys,
                  {.batch = 5, .shard_rows = 2, .unroll = {.horizon = 3}},
                  1);
    TensorSet full = gradient_like(trainee.optimizer(), phi),
              stopped = gradient_like(trainee.optimizer(), phi);
    shards.start(0, shards.draw(0));
    shards.window(3, 0.2, full, 0);
    shards.start(0, shards.draw(0));
    shards.window(3, 0.2, stopped, 2);
    for (const char* name : {"layer.02.S", "layer.02.theta"}) {
        CHECK(bytes(param(trainee, stopped, name)) == bytes(param(trainee, full, name)));
        CHECK(param(trainee, full, name).value(0) != 0);
    }
    CHECK(param(trainee, stopped, "layer.01.S").value(0) == 0);
}

TEST_CASE("a multiplier of 0 keeps a parameter's bits, and the rest is trained as if it had no gradient") {
    Trainee trainee({}, {.epochs = 5, .horizon = 10, .unroll = 10, .batch = 3});
    trainee.settings().multipliers = {{"decay", 0}};
    trainee.settings().clip_norm = 1e-3;
    const TensorSet start = trainee.initial_params();
    const TrainResult frozen = trainee.train();
    CHECK(bytes(param(trainee, frozen.params, "decay")) == bytes(param(trainee, start, "decay")));
    CHECK(bytes(param(trainee, frozen.params, "log_step")) != bytes(param(trainee, start, "log_step")));

    // One step of plain descent after clipping: what is trained moves by exactly learning_rate * clip_norm.
    Trainee once({.meta = "gradient_descent", .meta_options = {{"learning_rate", "1"}}});
    once.settings() = [&] {
        TrainSettings settings = once.settings();
        settings.epochs = 1;
        settings.horizon = settings.unroll = 10;
        settings.batch = 3;
        settings.multipliers = {{"decay", 0}};
        settings.clip_norm = 1e-3;
        return settings;
    }();
    const TrainResult moved = once.train();
    double squares = 0;
    for (std::size_t i = 0; i < start.size(); ++i)
        squares += std::pow(moved.params[i].value(0) - start[i].value(0), 2);
    CHECK(std::sqrt(squares) == doctest::Approx(1e-3).epsilon(1e-9));
}

TEST_CASE("a layer-wise training lowers the loss at full depth, and every stage is in the metrics") {
    Trainee trainee = layerwise_lista();
    TrainSettings& settings = trainee.settings();
    settings.steps_new = settings.steps_all = 40;
    settings.batch = 32;
    settings.shard_rows = 16;
    settings.validate_every = 10;
    settings.horizon = settings.unroll = 3;
    const double before = trainee.validation_loss(trainee.initial_params());
    const ScratchFolder folder;
    const TrainResult result = trainee.train({.checkpoint = {}, .metrics = folder / "metrics.jsonl"});
    MESSAGE("validation loss " << before << " -> " << result.best_validation);
    CHECK(result.best_validation == trainee.validation_loss(result.params));
    CHECK(result.best_validation < before * 0.8);
    const auto lines = records(folder / "metrics.jsonl");
    REQUIRE(lines.size() == 3 * (40 + 40 + 1));
    CHECK(lines.front().at("stage") == "layer 1: new");
    CHECK(lines.front().at("epoch") == 0);
    CHECK(lines.front().at("steps") == 1);
    CHECK(lines.back().at("stage") == "layer 3: fine");
    CHECK(lines.back().at("steps") == 3);
    CHECK(lines.back().contains("validation"));
}
