#include <doctest/doctest.h>

#include <cmath>

#include "framework/text/json.hpp"
#include "framework/train/stages.hpp"
#include "framework/train/validation.hpp"
#include "framework/weights/outcome.hpp"
#include "tests/framework/train/trainee.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;

}  // namespace

TEST_CASE("a gain is the mean of the paired differences with its standard error") {
    // Differences -1, -2, -3, -2: mean -2, variance 2/3, error sqrt(2/3 / 4).
    const Gain gain = gain_of({10, 20, 30, 40}, {9, 18, 27, 38});
    CHECK(gain.instances == 4);
    CHECK(gain.start_loss == 25);
    CHECK(gain.loss == 23);
    CHECK(gain.difference == -2);
    CHECK(gain.standard_error == doctest::Approx(std::sqrt(2.0 / 3 / 4)).epsilon(1e-14));
    CHECK(gain.is_better());
}

TEST_CASE("losses that are lower by no more than the standard error are no better, nor are equal ones") {
    // Differences -3, 1: mean -1, error 2.
    CHECK_FALSE(gain_of({3, 0}, {0, 1}).is_better());
    CHECK_FALSE(gain_of({3, 4}, {3, 4}).is_better());
    CHECK(gain_of({3, 4}, {3, 4}).standard_error == 0);
    CHECK_FALSE(gain_of({3, 4}, {4, 5}).is_better());
}

TEST_CASE("an instance that diverges decides before any difference, and is in none") {
    const Gain worse = gain_of({10, 10, 10}, {1, INFINITY, 1});
    CHECK(worse.diverged == 1);
    CHECK(std::isnan(worse.loss));
    CHECK(worse.difference == -9);
    CHECK_FALSE(worse.is_better());
    CHECK(gain_of({NAN, 1, 1}, {1, 2, 2}).is_better());
    const Gain nothing = gain_of({NAN, NAN}, {NAN, INFINITY});
    CHECK(std::isnan(nothing.difference));
    CHECK_FALSE(nothing.is_better());
}

TEST_CASE("whether a training improved anything is not said of fewer than two instances") {
    CHECK_FALSE(TrainingOutcome{}.improved());
    CHECK_FALSE(TrainingOutcome{.gain = gain_of({2}, {1})}.improved());
    CHECK(TrainingOutcome{.gain = gain_of({2, 3}, {1, 2})}.improved() == true);
}

TEST_CASE("an outcome is read back as it was written, and nothing else is taken for one") {
    const TrainingOutcome written{.meta_steps = 5,
                                  .skipped = 2,
                                  .trajectories = 4,
                                  .diverged_trajectories = 1,
                                  .diverged = true,
                                  .gain = gain_of({1, NAN}, {0.1, 2}),
                                  .unmeasured = "why",
                                  .evaluations = 1e6,
                                  .warm_start_seconds = 2.5};
    const nlohmann::json json = nlohmann::json::parse(to_json(written).dump());
    const TrainingOutcome read = outcome_from_json(json).value();
    CHECK(to_json(read).dump() == to_json(written).dump());
    CHECK(read.gain->difference == written.gain->difference);
    CHECK(std::isnan(read.gain->start_loss));
    CHECK(to_json(outcome_from_json(to_json(TrainingOutcome{})).value()) == to_json(TrainingOutcome{}));

    for (const char* key : {"meta_steps", "skipped", "diverged", "validation", "unmeasured"}) {
        CAPTURE(key);
        nlohmann::json less = json;
        less.erase(key);
        CHECK_FALSE(outcome_from_json(less));
        less[key] = -1;
        CHECK_FALSE(outcome_from_json(less));
    }
    // An earlier l2o knew nothing of these.
    nlohmann::json earlier = json;
    earlier.erase("evaluations");
    earlier.erase("warm_start_seconds");
    CHECK(std::isnan(outcome_from_json(earlier).value().evaluations));
    CHECK(outcome_from_json(earlier).value().warm_start_seconds == 0);
    CHECK_FALSE(outcome_from_json(nlohmann::json::array()));
    CHECK_FALSE(outcome_from_json(nlohmann::json::parse("{", nullptr, false)));
}

TEST_CASE("of a training that went well there is nothing to remark") {
    CHECK(remarks_on({.meta_steps = 3, .trajectories = 3, .gain = gain_of({2, 3}, {1, 2})}).empty());
    CHECK(remarks_on({}).empty());
}

TEST_CASE("the remarks say what was skipped, that it ended ruined, and that nothing was gained") {
    using Remarks = std::vector<std::string>;
    CHECK(remarks_on({.skipped = 3, .trajectories = 9, .diverged_trajectories = 2}) ==
          Remarks{"3 windows skipped (not finite) in 2 of 9 trajectories"});
    CHECK(remarks_on({.skipped = 1,
                      .trajectories = 1,
                      .diverged_trajectories = 1,
                      .diverged = true,
                      .gain = gain_of({2, 3}, {2, 3})}) ==
          Remarks{"diverged: its last parameters are of no use, earlier ones are kept",
                  "1 window skipped (not finite) in 1 of 1 trajectories",
                  "no better than its start values on 2 validation instances: loss 2.5, 2.5 at the start, "
                  "difference 0 +- 0"});
    CHECK(remarks_on({.gain = gain_of({2, 3, 4}, {1, NAN, 1})}) ==
          Remarks{"no better than its start values on 3 validation instances: 1 of them diverge, 0 at the "
                  "start, difference -2 +- 1"});
    CHECK(remarks_on({.unmeasured = "too long"}) == Remarks{"not compared with its start values: too long"});
}

TEST_CASE("a training is compared with its start on few instances, and on none where those would cost") {
    const Trainee trainee({.problem = {{"n", "1000"}}});
    TrainSettings settings;
    settings.epochs = 100;
    settings.batch = 128;
    settings.horizon = 1000;
    settings.unroll = 1000;
    const auto instances = [&] {
        return instances_to_compare(settings, stages_of(settings, trainee.optimizer()), trainee.optimizee());
    };
    CHECK(instances() == 128);
    settings.validate_instances = 40;
    CHECK(instances() == 40);
    settings.validate_instances = 128;
    settings.batch = 8;  // a sixteenth of 800, in whole batches
    CHECK(instances() == 48);
    settings.epochs = settings.batch = 1;
    CHECK(instances() == 0);
    settings.horizon = 10;
    CHECK(instances() == 16);
    settings.batch = 5;
    CHECK(instances() == 15);
    settings.validate_instances = 1;
    CHECK(instances() == 1);
}

TEST_CASE("a training that does not validate finds out what it gained, and is none the worse for it") {
    Trainee trainee({}, {.epochs = 10, .horizon = 20, .unroll = 5, .batch = 4});
    const TrainResult result = trainee.train();
    REQUIRE(result.gain);
    CHECK(result.gain->instances == 16);
    CHECK(result.gain->loss < result.gain->start_loss);
    CHECK(result.improved() == true);
    CHECK(std::isnan(result.best_validation));
    trainee.settings().validate_instances = 4;
    const TrainResult fewer = trainee.train();
    CHECK(fewer.gain->instances == 4);
    CHECK(fewer.unmeasured.empty());
    CHECK(fewer.gain->loss == trainee.validation_loss(fewer.params));
    CHECK(fewer.gain->start_loss == trainee.validation_loss(trainee.initial_params()));
    CHECK(bytes(fewer.params) == bytes(result.params));
}

TEST_CASE("of a training that is compared on a single instance it is said why nothing is known of its gain") {
    Trainee trainee({}, {.epochs = 2, .horizon = 5, .unroll = 5, .validate_instances = 1});
    SUBCASE("at the end") {}
    SUBCASE("while it validates") { trainee.settings().validate_every = 1; }
    const TrainResult result = trainee.train();
    CHECK(result.gain->instances == 1);
    CHECK_FALSE(result.improved());
    CHECK(result.unmeasured == "one validation instance; expected 2 or more");
    CHECK(remarks_on(result) ==
          std::vector<std::string>{
              "not compared with its start values: one validation instance; expected 2 or more"});
}

TEST_CASE("a training that validates is compared on the same instances, at the horizon it ends with") {
    Trainee trainee(
        {.meta_options = {{"learning_rate", "3"}}},
        {.epochs = 4, .horizon = 20, .unroll = 20, .batch = 4, .validate_every = 2, .validate_instances = 6});
    const TrainResult result = trainee.train();
    REQUIRE(result.gain);
    CHECK(result.gain->instances == 6);
    CHECK(result.gain->start_loss == trainee.validation_loss(trainee.initial_params()));
    CHECK(result.gain->loss == result.best_validation);
    CHECK(result.improved() == (result.gain->difference < -result.gain->standard_error));
}

TEST_CASE("a training tells the evaluations of its trajectories and validations, however it goes back") {
    Trainee trainee({},
                    {.epochs = 3,
                     .horizon = 16,
                     .unroll = 16,
                     .batch = 4,
                     .shard_rows = 2,
                     .validate_every = 1,
                     .validate_instances = 2});
    // A gradient per step and row: three trajectories of four rows; two validation instances at the start,
    // after every trajectory, and at the end with what is kept and with what it began with.
    constexpr double kTold = 3 * 4 * 16 + (1 + 3 + 2) * 2 * 16;
    const TrainResult plain = trainee.train();
    CHECK(plain.evaluations == kTold);
    CHECK(trainee.train({}, 2).evaluations == kTold);
    SUBCASE("points are recomputed") {
        trainee.settings().memory_bytes = static_cast<std::uint64_t>(plain.engine_bytes / 2);
    }
    SUBCASE("gradients are differentiated") { trainee.settings().second_order = SecondOrder::kFd; }
    CHECK(trainee.train().evaluations == kTold);
}

TEST_CASE("a training by evolution strategies pays for both runs of a pair") {
    Trainee trainee({}, {.epochs = 2, .horizon = 4, .unroll = 4, .batch = 4});
    trainee.settings().estimator = EstimatorKind::kEs;
    trainee.settings().pairs = 2;
    trainee.settings().validate_every = 1;
    trainee.settings().validate_instances = 2;
    CHECK(trainee.train().evaluations == 2 * 2 * 4 * 4 + (1 + 2 + 2) * 2 * 4);
}
