#include <doctest/doctest.h>

#include <cmath>

#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/framework/train/trainee.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;

Trainee diverging(const OptionText& options, const OptionText& meta_options = {{"learning_rate", "0.01"}}) {
    Trainee trainee({.options = options, .meta_options = meta_options},
                    {.epochs = 3, .horizon = 20, .unroll = 5, .batch = 3, .shard_rows = 2});
    return trainee;
}

}  // namespace

TEST_CASE("a window that diverges is skipped and counted, and its trajectory is not gone on with") {
    const char* reason = "";
    SUBCASE("in a step") { reason = "gives_up_at"; }
    SUBCASE("in the derivative of a step") { reason = "reverse_gives_up_at"; }
    Trainee trainee = diverging({{reason, "7"}});
    const ScratchFolder folder;
    std::vector<bool> finite;
    const TrainResult result =
        trainee.train({.checkpoint = {}, .metrics = folder / "metrics.jsonl"}, 1, [&](const Progress& p) {
            finite.push_back(std::isfinite(p.loss));
        });
    // Per trajectory: steps 0 to 4, and a window that ends at step 7.
    CHECK(finite == std::vector<bool>{true, false, true, false, true, false});
    CHECK(result.meta_steps == 3);
    CHECK(result.skipped == 3);
    const auto lines = records(folder / "metrics.jsonl");
    REQUIRE(lines.size() == 3);
    CHECK(lines[2].at("steps") == 5);
    CHECK(lines[2].at("skipped") == 3);
}

TEST_CASE("the record of a trajectory that diverged says so, and its finite windows stand for all") {
    const ScratchFolder folder;
    Trainee cut_off = diverging({{"gives_up_at", "12"}}), short_ones = diverging({});
    short_ones.settings().horizon = 10;
    const TrainResult result = cut_off.train({.metrics = folder / "cut_off"});
    CHECK(result.trajectories == 3);
    CHECK(result.diverged_trajectories == 3);
    // Two of four windows.
    (void)short_ones.train({.metrics = folder / "short"});
    const auto cut_off_lines = records(folder / "cut_off"), short_lines = records(folder / "short");
    REQUIRE(cut_off_lines.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(cut_off_lines[i].at("diverged") == true);
        CHECK(cut_off_lines[i].at("loss").get<double>() ==
              doctest::Approx(2 * short_lines.at(i).at("loss").get<double>()).epsilon(1e-12));
        CHECK_FALSE(short_lines[i].contains("diverged"));
    }
}

TEST_CASE("a skipped window moves neither the parameters nor the meta-optimizer") {
    Trainee whole = diverging({{"gives_up_at", "7"}}), first_windows = diverging({});
    first_windows.settings().horizon = 5;
    CHECK(bytes(whole.train().params) == bytes(first_windows.train().params));
}

TEST_CASE("parameters that a meta-step threw away are found out, and the others still restored") {
    // exp(log_step + 300) overflows.
    Trainee trainee = diverging({}, {{"learning_rate", "300"}});
    trainee.settings().validate_every = 1;
    const TrainResult result = trainee.train();
    CHECK(result.meta_steps >= 1);
    CHECK(result.skipped >= 1);
    CHECK(bytes(result.params) == bytes(trainee.initial_params()));
    CHECK(result.best_validation == trainee.validation_loss(result.params));
}

namespace {

/// Its first meta-step leads to where every window diverges.
Trainee ruined_by_its_first_step() { return diverging({}, {{"learning_rate", "1000"}}); }

}  // namespace

TEST_CASE("a trajectory without a finite window has no loss, and none is taken for 0") {
    const ScratchFolder folder;
    const TrainResult result = ruined_by_its_first_step().train({.metrics = folder / "metrics"});
    CHECK(result.diverged_trajectories == 3);
    const auto lines = records(folder / "metrics");
    REQUIRE(lines.size() == 3);
    CHECK(lines[0].at("loss").get<double>() > 0);
    for (const auto& line : lines) CHECK(line.at("diverged") == true);
    for (const char* key : {"loss", "gradient_norm"}) {
        CHECK(lines[1].at(key).is_null());
        CHECK(lines[2].at(key).is_null());
    }
}

TEST_CASE("a training that ends ruined says so and keeps the last parameters that a window was finite with") {
    Trainee trainee = ruined_by_its_first_step();
    SUBCASE("which later windows find out") {}
    SUBCASE("by its very last step, which no window follows") {
        trainee.settings().epochs = 1;
        trainee.settings().horizon = 5;
    }
    SUBCASE("while a running mean is kept") { trainee.settings().average = 0.5; }
    SUBCASE("by evolution strategies") { trainee.settings().estimator = EstimatorKind::kEs; }
    SUBCASE("by persistent evolution strategies") { trainee.settings().estimator = EstimatorKind::kPes; }
    SUBCASE("by imitation") {
        trainee.settings().imitation = {.teacher = choice(Kind::kOptimizer, "adam", {{"learning_rate", "1"}}),
                                        .probability = 1};
    }
    SUBCASE("in the last of two stages") {
        trainee.settings().stages = {{.name = "a", .epochs = 2, .rate = 1e-6}, {.name = "b", .epochs = 2}};
    }
    SUBCASE("although nothing but the start was validated as finite") {
        trainee.settings().validate_every = 3;
        trainee.settings().restore = false;
    }
    trainee.settings().pairs = 3;
    const TrainResult result = trainee.train();
    CHECK(result.meta_steps >= 1);
    CHECK(result.diverged);
    REQUIRE(result.gain);
    CHECK(result.gain->diverged == 0);
    CHECK(result.gain->start_diverged == 0);
    CHECK(std::isfinite(trainee.validation_loss(result.params)));
    if (trainee.settings().stages.empty()) {
        CHECK(bytes(result.params) == bytes(trainee.initial_params()));
        CHECK(result.improved() == false);
    }
}

namespace {

/// Its windows of 10 steps diverge on the way back only, which validation does not see.
Trainee lost_on_the_way_back(std::vector<StageSettings> stages) {
    Trainee trainee = diverging({{"reverse_gives_up_at", "7"}}, {{"learning_rate", "1"}});
    trainee.settings().horizon = trainee.settings().unroll = 10;
    trainee.settings().stages = std::move(stages);
    return trainee;
}
StageSettings taught(std::int64_t epochs, double rate) {
    return {.name = "taught", .epochs = epochs, .horizon = 5, .unroll = 5, .rate = rate};
}
const StageSettings kLost{.name = "lost", .epochs = 2, .horizon = 10, .unroll = 10};
constexpr double kHarmful = -1, kUseful = 0.01;  // of steps, which are 1 in every parameter

}  // namespace

TEST_CASE("a training whose last windows diverge and that gained nothing keeps the start and says so") {
    Trainee trainee = lost_on_the_way_back({taught(1, kHarmful), kLost});
    SUBCASE("without validation") {}
    SUBCASE("with validation") { trainee.settings().validate_every = 1; }
    SUBCASE("with validation that restores nothing") {
        trainee.settings().validate_every = 1;
        trainee.settings().restore = false;
    }
    SUBCASE("on a single instance") { trainee.settings().validate_instances = 1; }
    SUBCASE("or most of its windows, though not the last one") {
        trainee = lost_on_the_way_back({kLost, taught(1, kHarmful)});
    }
    const TrainResult result = trainee.train();
    CHECK(result.skipped == 2);
    CHECK(result.diverged);
    CHECK(bytes(result.params) == bytes(trainee.initial_params()));
    REQUIRE(result.gain);
    CHECK(result.gain->diverged == 0);
    CHECK(result.gain->difference == 0);
    CHECK(result.gain->start_diverged == 0);
}

TEST_CASE("a training that gained is not called diverged for its last windows") {
    Trainee trainee = lost_on_the_way_back({taught(3, kUseful), kLost}),
            taught_alone = lost_on_the_way_back({taught(3, kUseful)});
    SUBCASE("without validation") {}
    SUBCASE("with validation") {
        trainee.settings().validate_every = taught_alone.settings().validate_every = 1;
    }
    SUBCASE("on a single instance") { trainee.settings().validate_instances = 1; }
    const TrainResult result = trainee.train();
    CHECK(result.skipped == 2);
    CHECK_FALSE(result.diverged);
    CHECK(result.gain->loss < result.gain->start_loss);
    CHECK(bytes(result.params) == bytes(taught_alone.train().params));
}

TEST_CASE(
    "a stage that its last step harmed is found out by the next one, and what was gained before is kept") {
    Trainee trainee = lost_on_the_way_back({taught(3, kUseful), taught(1, kHarmful), kLost}),
            taught_alone = lost_on_the_way_back({taught(3, kUseful)});
    trainee.settings().stages[1].name = "harmed";
    const TrainResult result = trainee.train();
    CHECK(result.diverged);
    CHECK(result.improved() == true);
    CHECK(bytes(result.params) == bytes(taught_alone.train().params));
}

TEST_CASE("a stage that a step ruined does not ruin the next one") {
    Trainee trainee = ruined_by_its_first_step();
    trainee.settings().stages = {{.name = "a", .epochs = 2},
                                 {.name = "b", .epochs = 2, .horizon = 5, .unroll = 5, .rate = 1e-6}};
    const TrainResult result = trainee.train();
    CHECK_FALSE(result.diverged);
    CHECK(result.skipped == 2);
    CHECK(result.meta_steps == 3);
    CHECK(result.diverged_trajectories == 2);
}

TEST_CASE("a stage that ruins what it trains leaves the others as the stage before it did") {
    Trainee trainee = ruined_by_its_first_step(), before = ruined_by_its_first_step();
    const StageSettings first{.name = "a", .epochs = 2, .rate = 1e-6};
    trainee.settings().stages = {first, {.name = "b", .epochs = 2, .multipliers = {{"decay", 0}}}};
    before.settings().stages = {first};
    const TrainResult result = trainee.train();
    CHECK(result.diverged);
    CHECK(bytes(param(trainee, result.params, "decay")) ==
          bytes(param(before, before.train().params, "decay")));
}

TEST_CASE("windows that diverge now and then leave the last parameters, and no training is called diverged") {
    Trainee trainee = diverging({{"gives_up_at", "7"}}), with_more = diverging({{"gives_up_at", "7"}});
    trainee.settings().validate_instances = 1;
    const TrainResult result = trainee.train(), same = with_more.train();
    // What is validated stops at step 7, too: nothing is known of these parameters but that windows were
    // finite.
    CHECK(bytes(result.params) == bytes(same.params));
    CHECK(result.gain->instances == 1);
    CHECK(same.gain->instances == 15);
    CHECK(same.gain->start_diverged == 15);
    CHECK(same.improved() == false);
    CHECK_FALSE(result.improved());
}

TEST_CASE("a meta-step that is not finite is not taken, and the training goes on from before it") {
    // 1e308 times a gradient of losses of some 100 overflows.
    Trainee trainee({.problem = {{"n", "3"}, {"init_std", "10"}},
                     .meta = "gradient_descent",
                     .meta_options = {{"learning_rate", "1e308"}}},
                    {.epochs = 4, .horizon = 5, .unroll = 5, .batch = 3});
    CHECK(refusal([&] { trainee.train(); }) ==
          "4 training of 'trainee': all 4 windows diverged (a step of the meta-optimizer is not finite); "
          "start with smaller steps (output_scale, learning_rate) or set train.clip_norm");
}

TEST_CASE("a training whose every window diverges is a numerical error with the optimizer's words") {
    Trainee trainee = diverging({{"gives_up_at", "0"}});
    CHECK(refusal([&] { trainee.train(); }) ==
          "4 training of 'trainee': all 3 windows diverged (the momentum has lost its way); start with "
          "smaller steps (output_scale, learning_rate) or set train.clip_norm");
}

TEST_CASE("a training on a problem whose f is no number at any start is told of the problem") {
    Trainee trainee({.problem = {{"n", "3"}, {"init_std", "1e200"}}},
                    {.epochs = 3, .horizon = 2, .unroll = 2, .batch = 2});
    CHECK(refusal([&] { trainee.train(); }) ==
          "4 training of 'trainee': f of 'quadratic' is not finite at any start, before the first step: look "
          "at the problem ('l2o check'), not at who solves it");
}

TEST_CASE("instances that cannot be drawn are a numerical error with the problem's words") {
    Trainee trainee({.optimizee = "stopping", .problem = {{"stops_at", "0"}}});
    CHECK(refusal([&] { trainee.train(); }) == "4 training of 'trainee': the well is dry");
}
