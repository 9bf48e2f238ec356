// Trajectories and windows whose lengths grow from stage to stage, or are drawn.
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "framework/train/stages.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/framework/train/trainee.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;

/// Stages of 4, 8 and 16 steps, validated after every trajectory.
Trainee curriculum(const std::string& meta_rate) {
    Trainee trainee({.problem = {{"n", "3"}, {"init_std", "1"}},
                     .meta = "adam",
                     .meta_options = {{"learning_rate", meta_rate}}});
    TrainSettings& settings = trainee.settings();
    settings.schedule = Schedule::kCurriculum;
    settings.unroll = 4;
    settings.batch = 5;
    settings.shard_rows = 2;
    settings.validate_every = 1;
    settings.validate_instances = 4;
    settings.patience = 3;
    settings.stages = {{.name = "short", .epochs = 40, .horizon = 4, .multipliers = {}},
                       {.name = "longer", .epochs = 40, .horizon = 8, .multipliers = {}},
                       {.name = "whole", .epochs = 40, .horizon = 16, .unroll = 8, .multipliers = {}}};
    return trainee;
}

struct Trained {
    TrainResult result;
    std::vector<nlohmann::json> lines;
};
Trained train_with_records(Trainee& trainee) {
    const ScratchFolder folder;
    Trained trained{trainee.train({.metrics = folder / "metrics"}), {}};
    trained.lines = records(folder / "metrics");
    return trained;
}

}  // namespace

TEST_CASE("a curriculum's stages are validated at the length of the next one, the last at its own") {
    Trainee trainee = curriculum("0.01");
    const std::vector<Stage> stages = stages_of(trainee.settings(), trainee.optimizer());
    REQUIRE(stages.size() == 3);
    std::vector<std::int64_t> lengths;
    for (const Stage& stage : stages)
        for (const std::int64_t length : {stage.horizon, stage.unroll, stage.validation_horizon})
            lengths.push_back(length);
    CHECK(lengths == std::vector<std::int64_t>{4, 4, 8, 8, 4, 16, 16, 8, 16});

    // And so they are in a training: here nothing moves.
    Trainee still = curriculum("1e-300");
    for (StageSettings& stage : still.settings().stages) stage.epochs = 1;
    const Trained trained = train_with_records(still);
    REQUIRE(trained.lines.size() == 3);
    const TensorSet start = still.initial_params();
    for (std::size_t i = 0; i < 3; ++i) {
        still.settings().horizon = i == 0 ? 8 : 16;
        CHECK(trained.lines[i].at("validation").get<double>() == still.validation_loss(start));
    }
}

TEST_CASE("a curriculum's stage ends at the third validation or later, with one that is not the best") {
    Trainee trainee = curriculum("0.3");
    const Trained trained = train_with_records(trainee);
    std::map<std::string, std::vector<double>> validations;
    for (const auto& line : trained.lines) {
        const auto& value = line.at("validation");  // null: it diverged
        validations[line.at("stage")].push_back(value.is_null() ? INFINITY : value.get<double>());
    }
    CHECK(validations.size() == 3);
    for (const auto& [name, losses] : validations) {
        const auto& which = name;
        CAPTURE(which);
        REQUIRE(losses.size() >= 3);
        REQUIRE(losses.size() < 40);
        double best = INFINITY;
        for (std::size_t i = 0; i < losses.size(); ++i) {
            const bool is_last = i + 1 == losses.size();
            if (i >= 2 && !is_last) CHECK(losses[i] < best);
            if (is_last) CHECK(losses[i] >= best);
            best = std::min(best, losses[i]);
        }
    }
    trainee.settings().horizon = 16;
    CHECK(trained.result.best_validation == trainee.validation_loss(trained.result.params));
}

TEST_CASE("a curriculum ends with a stage that has improved nothing") {
    Trainee trainee = curriculum("1e-300");
    const Trained trained = train_with_records(trainee);
    REQUIRE(trained.lines.size() == 3);
    for (const auto& line : trained.lines) CHECK(line.at("stage") == "short");
    CHECK(bytes(trained.result.params) == bytes(trainee.initial_params()));
}

TEST_CASE("drawn lengths are uniform in their logarithm, and each is the trajectory's own") {
    Trainee trainee({});
    TrainSettings& settings = trainee.settings();
    settings.horizon = 400;
    settings.horizon_from = 4;
    settings.unroll = 5;
    settings.unroll_from = 2;
    const Stage stage = stages_of(settings, trainee.optimizer()).front();
    const Keys keys = trainee.keys();
    std::map<std::int64_t, int> unrolls;
    int below = 0;
    const std::uint64_t count = 4000;
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::int64_t horizon = stage.horizon_of(keys, i);
        REQUIRE(horizon >= 4);
        REQUIRE(horizon <= 400);
        below += horizon < 40 ? 1 : 0;
        ++unrolls[stage.unroll_of(keys, i, 7)];
    }
    CHECK(stage.horizon_of(keys, 3) == stage.horizon_of(keys, 3));
    // P(h < 40) = ln(40/4) / ln(401/4); 3 standard deviations of 4000 draws are 0.024.
    CHECK(below / static_cast<double>(count) == doctest::Approx(0.5).epsilon(0.05));
    CHECK(unrolls.size() == 4);
    // P(2) = ln(3/2) / ln(6/2).
    CHECK(unrolls.at(2) / static_cast<double>(count) ==
          doctest::Approx(std::log(1.5) / std::log(3)).epsilon(0.07));
    CHECK(unrolls.at(5) / static_cast<double>(count) ==
          doctest::Approx(std::log(1.2) / std::log(3)).epsilon(0.12));
    settings.horizon_from = settings.unroll_from = 0;
    const Stage fixed = stages_of(settings, trainee.optimizer()).front();
    CHECK(fixed.horizon_of(keys, 5) == 400);
    CHECK(fixed.unroll_of(keys, 5, 0) == 5);
}

TEST_CASE("a training with drawn lengths makes trajectories of those lengths, whatever the estimator") {
    for (const EstimatorKind kind : {EstimatorKind::kBptt, EstimatorKind::kEs, EstimatorKind::kPes}) {
        Trainee trainee({});
        TrainSettings& settings = trainee.settings();
        settings.estimator = kind;
        settings.pairs = 2;
        settings.epochs = 6;
        settings.horizon = 20;
        settings.horizon_from = 5;
        settings.unroll = 8;
        settings.unroll_from = 2;
        settings.batch = 4;
        const Stage stage = stages_of(settings, trainee.optimizer()).front();
        const Trained trained = train_with_records(trainee);
        REQUIRE(trained.lines.size() == 6);
        std::int64_t windows = 0;
        for (std::uint64_t i = 0; i < 6; ++i) {
            const std::int64_t horizon = stage.horizon_of(trainee.keys(), i);
            CHECK(trained.lines[i].at("steps") == horizon);
            std::int64_t own = 0;
            for (std::int64_t t = 0; t < horizon; t += stage.unroll_of(trainee.keys(), i, t)) ++own;
            CHECK(trained.lines[i].at("windows") == own);
            windows += own;
        }
        CHECK(trained.result.meta_steps == windows);
        CHECK(bytes(trainee.train({}, 2).params) == bytes(trained.result.params));
    }
}

TEST_CASE("lengths of which one may be too long for the layers or the loss are refused") {
    Trainee trainee = curriculum("0.01");
    Trainee lista({.optimizer = "lista",
                   .options = {{"layers", "8"}},
                   .optimizee = "sparse_recovery",
                   .problem = {{"m", "4"}, {"n", "8"}}});
    lista.settings().schedule = Schedule::kCurriculum;
    lista.settings().stages = trainee.settings().stages;
    CHECK(refusal([&] { lista.train(); }) == "2 train.stages.whole.horizon is 16; 'lista' has 8 layers");

    Trainee last({.loss = "final_objective"});
    last.settings().horizon = last.settings().unroll = 10;
    last.settings().horizon_from = 5;
    last.settings().epochs = 3;
    CHECK(last.train().meta_steps == 3);
    last.settings().unroll_from = 5;
    CHECK(refusal([&] { last.train(); }).find("loss 'final_objective' scores no windows of a trajectory") !=
          std::string::npos);
}
