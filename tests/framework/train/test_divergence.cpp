#include <doctest/doctest.h>

#include <cmath>

#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/framework/train/trainee.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;

Trainee diverging(const OptionText& options, const OptionText& meta_options = {{"learning_rate", "0.01"}}) {
    Trainee trainee({.options = options, .meta_options = meta_options});
    trainee.settings().epochs = 3;
    trainee.settings().horizon = 20;
    trainee.settings().unroll = 5;
    trainee.settings().batch = 3;
    trainee.settings().shard_rows = 2;
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
    CHECK(std::isfinite(lines[2].at("loss").get<double>()));
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

TEST_CASE("a training whose every window diverges is a numerical error with the optimizer's words") {
    Trainee trainee = diverging({{"gives_up_at", "0"}});
    CHECK(refusal([&] { trainee.train(); }) ==
          "4 training of 'trainee': all 3 windows diverged (the momentum has lost its way); start with "
          "smaller steps (output_scale, learning_rate) or set train.clip_norm");
}

TEST_CASE("instances that cannot be drawn are a numerical error with the problem's words") {
    Trainee trainee({.optimizee = "stopping", .problem = {{"stops_at", "0"}}});
    CHECK(refusal([&] { trainee.train(); }) == "4 training of 'trainee': the well is dry");
}
