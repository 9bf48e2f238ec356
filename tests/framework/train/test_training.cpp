#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "framework/error.hpp"
#include "framework/rollout/arithmetic.hpp"
#include "framework/train/meta_optimizer.hpp"
#include "framework/train/shards.hpp"
#include "framework/weights/weights.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/framework/train/trainee.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;

/// 5 instances in shards of 2, 2 and 1; windows of 10, 10 and 5 steps.
Trainee uneven(const Trainee::Setup& setup = {}) {
    Trainee trainee(setup,
                    {.epochs = 4,
                     .horizon = 25,
                     .unroll = 10,
                     .batch = 5,
                     .shard_rows = 2,
                     .validate_every = 2,
                     .validate_instances = 3});
    return trainee;
}

/// A population that asks.
const Trainee::Setup kScouts{.optimizer = "learned_scouts"};

}  // namespace

TEST_CASE("l2o_dm trained for 40 trajectories more than halves its validation loss") {
    Trainee trainee({.optimizer = "l2o_dm", .options = {{"hidden", "8"}}, .problem = {{"n", "5"}}},
                    {.epochs = 40,
                     .horizon = 20,
                     .unroll = 10,
                     .batch = 32,
                     .validate_every = 5,
                     .validate_instances = 32});
    const double before = trainee.validation_loss(trainee.initial_params());
    const TrainResult result = trainee.train();
    MESSAGE("validation loss " << before << " -> " << result.best_validation);
    CHECK(result.meta_steps == 80);
    CHECK(result.skipped == 0);
    CHECK(result.best_validation < before / 2);
}

TEST_CASE("lista trained end to end more than halves the distance to the solution of its start") {
    Trainee trainee({.optimizer = "lista",
                     .options = {{"layers", "5"}},
                     .optimizee = "sparse_recovery",
                     .problem = {{"m", "10"}, {"n", "20"}},
                     .loss = "mse_to_solution"},
                    {.epochs = 150, .horizon = 5, .unroll = 5, .batch = 64, .validate_every = 10});
    const double before = trainee.validation_loss(trainee.initial_params());
    const TrainResult result = trainee.train();
    MESSAGE("validation loss " << before << " -> " << result.best_validation);
    CHECK(result.best_validation < before / 2);
}

TEST_CASE("the parameters returned are those with the smallest validation loss, not the last") {
    // Steps of this size throw the parameters about.
    Trainee trainee = uneven({.meta_options = {{"learning_rate", "0.1"}}});
    trainee.settings().epochs = 12;
    trainee.settings().validate_every = 1;
    const ScratchFolder folder;
    const TrainResult result = trainee.train({.checkpoint = {}, .metrics = folder / "metrics.jsonl"});
    std::vector<double> losses{trainee.validation_loss(trainee.initial_params())};
    for (const auto& record : records(folder / "metrics.jsonl")) losses.push_back(record.at("validation"));
    REQUIRE(losses.size() == 13);
    const double least = *std::min_element(losses.begin(), losses.end());
    REQUIRE(losses.back() > least);
    CHECK(result.best_validation == least);
    CHECK(trainee.validation_loss(result.params) == least);
}

TEST_CASE("parameters that no training improves are returned as they were") {
    Trainee trainee = uneven({.meta_options = {{"learning_rate", "3"}}});
    trainee.settings().validate_every = 1;
    const TrainResult result = trainee.train();
    CHECK(result.meta_steps + result.skipped > 0);
    CHECK(bytes(result.params) == bytes(trainee.initial_params()));
}

TEST_CASE("patience ends a stage after as many validations that were no better, and progress knows") {
    Trainee trainee = uneven({.meta_options = {{"learning_rate", "1"}}});
    trainee.settings().epochs = 200;
    trainee.settings().validate_every = 1;
    trainee.settings().patience = 3;
    const ScratchFolder folder;
    Progress last;
    const TrainResult result = trainee.train({.checkpoint = {}, .metrics = folder / "metrics.jsonl"},
                                             1,
                                             [&](const Progress& progress) { last = progress; });
    std::vector<double> losses{trainee.validation_loss(trainee.initial_params())};
    for (const auto& record : records(folder / "metrics.jsonl")) {
        losses.push_back(record.contains("validation") && !record.at("validation").is_null()
                             ? record.at("validation").get<double>()
                             : NAN);
    }
    REQUIRE(losses.size() > 4);
    REQUIRE(losses.size() < 200);
    const auto best = std::min_element(
        losses.begin(), losses.end(), [](double a, double b) { return !(a >= b) && !std::isnan(a); });
    CHECK(losses.end() - best == 4);
    CHECK(trainee.validation_loss(result.params) == *best);
}

TEST_CASE("with restore off a stage ends with its last parameters, as without validation") {
    Trainee trainee = uneven({.meta_options = {{"learning_rate", "0.1"}}});
    trainee.settings().restore = false;
    const TrainResult last = trainee.train();
    trainee.settings().validate_every = 0;
    CHECK(bytes(last.params) == bytes(trainee.train().params));
}

TEST_CASE("with average the parameters returned are their running mean from the start on") {
    Trainee trainee = uneven({.meta = "gradient_descent", .meta_options = {{"learning_rate", "1e-3"}}});
    trainee.settings().unroll = trainee.settings().horizon;
    trainee.settings().validate_every = 0;
    const TensorSet start = trainee.initial_params();
    double mean = param(trainee, start, "log_step").value(0);
    for (std::int64_t epochs = 1; epochs <= 4; ++epochs) {
        trainee.settings().average = 0;
        trainee.settings().epochs = epochs;
        mean += 0.25 * (param(trainee, trainee.train().params, "log_step").value(0) - mean);
    }
    trainee.settings().average = 0.75;
    const double found = param(trainee, trainee.train().params, "log_step").value(0);
    CHECK(found == doctest::Approx(mean).epsilon(1e-14));
    CHECK(found != param(trainee, start, "log_step").value(0));
}

TEST_CASE("a warm start begins with the weights of a file") {
    const ScratchFolder folder;
    const TrainResult first = uneven().train();
    // Steps too small to move anything.
    Trainee trainee = uneven({.meta = "gradient_descent", .meta_options = {{"learning_rate", "1e-300"}}});
    CHECK(bytes(trainee.train().params) != bytes(first.params));
    write_weights(folder / "w.safetensors", trainee.optimizer(), first.params, {});
    trainee.settings().warm_start = folder / "w.safetensors";
    const TrainResult warm = trainee.train();
    CHECK(bytes(warm.params) == bytes(first.params));
    CHECK(warm.gain->start_loss == trainee.validation_loss(first.params));
    CHECK(warm.improved() == false);
    // What there is to remark on their own training is told.
    write_weights(folder / "w.safetensors",
                  trainee.optimizer(),
                  first.params,
                  training_metadata("12", 1, {.meta_steps = 2, .unmeasured = "too long"}));
    std::vector<std::string> notes;
    (void)trainee.train({.note = [&notes](const std::string& text) { notes.push_back(text); }});
    CHECK(notes ==
          std::vector<std::string>{(folder / "w.safetensors").string() +
                                   ": of its training: not compared with its start values: too long"});
    TensorSet ruined = trainee.initial_params();
    ruined[0].values<double>()[0] = NAN;
    write_weights(folder / "ruined.safetensors", trainee.optimizer(), ruined);
    trainee.settings().warm_start = folder / "ruined.safetensors";
    CHECK(refusal([&] { trainee.train(); })
              .ends_with("ruined.safetensors: tensor 'log_step' has a value that is not finite in float64; "
                         "expected numbers: what diverged in training is of no use, train again "
                         "('--retrain')"));
    trainee.settings().warm_start = folder / "none.safetensors";
    CHECK_THROWS_WITH_AS(trainee.train(), doctest::Contains("none.safetensors"), Error);
}

TEST_CASE("a stage with a loss of its own goes on with that one, on the same training set") {
    const auto trainee = [](const char* loss) {
        Trainee made({.optimizer = "lista",
                      .options = {{"layers", "3"}},
                      .optimizee = "sparse_recovery",
                      .problem = {{"m", "6"}, {"n", "10"}},
                      .loss = loss});
        made.settings().horizon = made.settings().unroll = 3;
        made.settings().batch = made.settings().instances = 5;
        return made;
    };
    Trainee both = trainee("trajectory_sum"), first = trainee("trajectory_sum"),
            second = trainee("mse_to_solution");
    both.settings().stages = {{.name = "objective", .epochs = 4},
                              {.name = "distance", .epochs = 3, .loss = second.settings().loss}};
    first.settings().stages = {{.name = "objective", .epochs = 4}};
    second.settings().stages = {{.name = "distance", .epochs = 3}};
    const ScratchFolder folder;
    write_weights(folder / "first.safetensors", first.optimizer(), first.train().params);
    second.settings().warm_start = folder / "first.safetensors";
    CHECK(bytes(both.train().params) == bytes(second.train().params));
}

TEST_CASE("without validation the last parameters are returned") {
    Trainee trainee = uneven();
    trainee.settings().validate_every = 0;
    const TrainResult result = trainee.train();
    CHECK(std::isnan(result.best_validation));
    CHECK(bytes(result.params) != bytes(trainee.initial_params()));
}

TEST_CASE("1, 2 and 5 threads give the same bits, for shards of unequal size") {
    const Trainee::Setup dm{.optimizer = "l2o_dm", .options = {{"hidden", "4"}}};
    Trainee::Setup single = dm;
    single.dtype = Dtype::kF32;
    for (const Trainee::Setup& setup : {Trainee::Setup{}, dm, single, kScouts}) {
        Trainee trainee = uneven(setup);
        const TrainResult one = trainee.train({}, 1), two = trainee.train({}, 2), five = trainee.train({}, 5);
        CHECK(one.meta_steps == 12);
        CHECK(bytes(two.params) == bytes(one.params));
        CHECK(bytes(five.params) == bytes(one.params));
        CHECK(two.best_validation == one.best_validation);
    }
}

TEST_CASE("shards of another size give the same result to rounding") {
    for (const Trainee::Setup& setup : {Trainee::Setup{}, kScouts}) {
        Trainee trainee = uneven(setup);
        const TrainResult small = trainee.train();
        trainee.settings().shard_rows = 32;
        const TrainResult whole = trainee.train();
        for (std::size_t i = 0; i < small.params.size(); ++i)
            CHECK(relative_error(values(small.params[i]), values(whole.params[i])) < 1e-9);
    }
}

TEST_CASE("a population is trained, one that asks as well: its validation loss more than halves") {
    for (Trainee::Setup setup : {Trainee::Setup{.options = {{"particles", "3"}}}, kScouts}) {
        setup.meta_options = {{"learning_rate", "0.1"}};
        Trainee trainee = uneven(setup);
        trainee.settings().epochs = 20;
        const double before = trainee.validation_loss(trainee.initial_params());
        const TrainResult result = trainee.train();
        MESSAGE("validation loss " << before << " -> " << result.best_validation);
        CHECK(result.skipped == 0);
        CHECK(result.best_validation < before / 2);
    }
}

TEST_CASE("every window is one step along its own gradient, from the state that the last one left") {
    Trainee trainee = uneven({.meta = "gradient_descent", .meta_options = {{"learning_rate", "1e-4"}}});
    TrainSettings& settings = trainee.settings();
    settings.validate_every = 0;
    double clip_norm = 0;
    bool mean = true;
    SUBCASE("mean over the batch") {}
    SUBCASE("sum over the batch") { mean = false; }
    SUBCASE("clipped") { clip_norm = 1; }
    settings.mean = mean;
    settings.clip_norm = clip_norm;
    const TrainResult result = trainee.train();

    TensorSet phi = trainee.initial_params(), gradient = gradient_like(trainee.optimizer(), phi);
    const Keys keys = trainee.keys();
    Shards shards(trainee.optimizer(),
                  trainee.optimizee(),
                  trainee.loss(),
                  phi,
                  keys,
                  {.batch = 5, .shard_rows = 2, .unroll = {.horizon = 25}},
                  1);
    int clipped = 0;
    for (std::uint64_t trajectory = 0; trajectory < 4; ++trajectory) {
        shards.start(trajectory, shards.draw(5 * trajectory));
        for (const std::int64_t steps : {10, 10, 5}) {
            shards.window(steps, mean ? 0.2 : 1.0, gradient, 0);
            double squares = 0;
            for (const Tensor& tensor : gradient.tensors()) squares += tensor.value(0) * tensor.value(0);
            const double norm = std::sqrt(squares);
            const bool clips = clip_norm > 0 && norm > clip_norm;
            clipped += clips ? 1 : 0;
            for (std::size_t i = 0; i < phi.size(); ++i) {
                double g = gradient[i].value(0);
                if (clips) g *= clip_norm / norm;
                phi[i].values<double>()[0] -= 1e-4 * g;
            }
        }
    }
    CHECK((clipped > 0) == (clip_norm > 0));
    CHECK(clipped < 12);
    CHECK(result.meta_steps == 12);
    for (std::size_t i = 0; i < phi.size(); ++i)
        CHECK(result.params[i].value(0) == doctest::Approx(phi[i].value(0)).epsilon(1e-14));
}

TEST_CASE("a fixed training set is gone through batch by batch, again and again") {
    Trainee trainee = uneven({.optimizee = "stopping", .problem = {{"stops_at", "10"}}});
    trainee.settings().instances = 10;
    CHECK(trainee.train().meta_steps == 12);
    trainee.settings().instances = 0;
    CHECK(refusal([&] { trainee.train(); }) == "4 training of 'trainee': the well is dry");
}

TEST_CASE("start values may be derived from all instances of the first batch") {
    Trainee trainee({.optimizer = "na_alista",
                     .options = {{"layers", "2"}, {"hidden", "2"}},
                     .optimizee = "sparse_recovery",
                     .problem = {{"m", "4"}, {"n", "8"}},
                     .loss = "mse_to_solution"},
                    {.epochs = 1, .horizon = 2, .unroll = 2, .batch = 6});
    const auto& optimizee = trainee.optimizee();
    const ProblemData first = optimizee.sample(trainee.keys().train_data, Split::kTrain, 0, 6, false);
    const std::vector<double> b = values(first.tensors[1]);
    REQUIRE(b.size() == 6 * 4);
    double size = 0;
    for (const double b_i : b) size += std::abs(b_i);
    CHECK(param(trainee, trainee.train().params, "norm.mu1").value(0) == doctest::Approx(size / 6));
}

TEST_CASE("a memory budget that holds only some of the points does not change a bit") {
    Trainee trainee = uneven({.optimizer = "l2o_dm", .options = {{"hidden", "4"}}});
    trainee.settings().horizon = 70;
    trainee.settings().unroll = 50;
    const TrainResult free = trainee.train();
    trainee.settings().memory_bytes = static_cast<std::uint64_t>(free.engine_bytes) / 2;
    const TrainResult tight = trainee.train();
    MESSAGE("engine bytes " << free.engine_bytes << " -> " << tight.engine_bytes);
    CHECK(tight.engine_bytes <= static_cast<std::int64_t>(trainee.settings().memory_bytes));
    CHECK(bytes(tight.params) == bytes(free.params));
}

TEST_CASE("a memory budget too small for any window is refused, even one of fewer bytes than shards") {
    Trainee trainee = uneven();
    trainee.settings().memory_bytes = 2;
    const std::string text = refusal([&] { trainee.train(); });
    CHECK(text.find("2 a window of 10 steps needs at least") == 0);
    CHECK(text.find("raise train.memory") != std::string::npos);
}

TEST_CASE("a loss that scores no windows is refused for windows shorter than the horizon") {
    Trainee trainee = uneven({.loss = "final_objective"});
    CHECK(refusal([&] { trainee.train(); }) ==
          "2 train.unroll is 10 and train.horizon 25: loss 'final_objective' scores no windows of a "
          "trajectory; set unroll to the horizon, or use trajectory_sum");
    trainee.settings().unroll = 25;
    CHECK_NOTHROW(trainee.train());
}

TEST_CASE("an optimizer without a derivative, or without parameters, is refused by message") {
    Trainee analytic = uneven({.optimizer = "gradient_descent"});
    CHECK(refusal([&] { analytic.train(); }) ==
          "3 optimizer 'gradient_descent' has no derivative (step_vjp); it cannot be trained by bptt; "
          "use 'estimator es', 'estimator pes' or 'estimator cma_es'");
}

TEST_CASE("an optimizer that is defined from 0 only refuses a problem that starts elsewhere") {
    Trainee trainee({.optimizer = "lista",
                     .options = {{"layers", "3"}},
                     .optimizee = "sparse_recovery",
                     .problem = {{"m", "4"}, {"n", "8"}, {"init_std", "0.1"}}});
    trainee.settings().horizon = trainee.settings().unroll = 3;
    CHECK(refusal([&] { trainee.train(); }) ==
          "2 optimizer 'lista' is defined from x = 0 only; 'sparse_recovery' starts elsewhere, set its "
          "init_std to 0");
    trainee.settings().horizon = 4;
    CHECK(refusal([&] { trainee.train(); }) == "2 train.horizon is 4; 'lista' has 3 layers");
}

TEST_CASE("progress counts windows up to the total, and tells the loss") {
    Trainee trainee = uneven();
    std::vector<std::int64_t> done;
    trainee.train({}, 1, [&](const Progress& progress) {
        CHECK(progress.what == "training trainee");
        CHECK(progress.total == 12);
        CHECK(std::isfinite(progress.loss));
        done.push_back(progress.done);
    });
    CHECK(done == std::vector<std::int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
}

TEST_CASE("trainings of other seeds differ, even where neither parameters nor starts are drawn") {
    const auto trained = [](std::uint64_t seed, std::int64_t instances, int threads = 1) {
        Trainee trainee(
            {.optimizer = "lista",
             .options = {{"layers", "3"}},
             .optimizee = "sparse_recovery",
             .problem = {{"m", "10"}, {"n", "20"}},
             .loss = "mse_to_solution"},
            {.epochs = 6, .horizon = 3, .unroll = 3, .batch = 4, .shard_rows = 2, .validate_instances = 8});
        trainee.settings().instances = instances;
        trainee.settings().seed = seed;
        return trainee.train({}, threads);
    };
    for (const std::int64_t instances : {0, 12}) {
        CAPTURE(instances);
        const TrainResult first = trained(0, instances), second = trained(1, instances),
                          third = trained(2, instances);
        CHECK(bytes(first.params) != bytes(second.params));
        CHECK(bytes(second.params) != bytes(third.params));
        CHECK(bytes(second.params) == bytes(trained(1, instances, 2).params));
        // They begin with the same parameters, and are validated on the same instances.
        CHECK(first.gain.value().start_loss == second.gain.value().start_loss);
        CHECK(first.gain.value().loss != second.gain.value().loss);
    }
}

TEST_CASE("a training set is what it is for trainings of any seed, which take it up at another batch") {
    TrainSettings settings = Trainee({}).settings();
    settings.batch = 4;
    settings.instances = 20;
    for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{99'999'999}}) {
        CAPTURE(seed);
        settings.seed = seed;
        std::vector<std::uint64_t> batches;
        for (std::uint64_t index = 0; index < 5; ++index) {
            batches.push_back(first_instance(index, settings));
            CHECK(first_instance(index + 5, settings) == batches.back());
        }
        CHECK((seed == 0) == (batches.front() == 0));
        std::sort(batches.begin(), batches.end());
        CHECK(batches == std::vector<std::uint64_t>{0, 4, 8, 12, 16});
    }
}
