#include <doctest/doctest.h>

#include <cmath>

#include "framework/train/covariance_search.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/train/trainee.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;

void search(Trainee& trainee, std::int64_t generations) {
    TrainSettings& settings = trainee.settings();
    settings.estimator = EstimatorKind::kCmaEs;
    settings.sigma = 0.3;
    settings.epochs = generations;
    settings.horizon = settings.unroll = 20;
    settings.batch = 16;
}

}  // namespace

TEST_CASE("cma_es: an optimizer without a derivative is trained, by whole trajectories") {
    Trainee trainee({.optimizer = "learned_step"});
    search(trainee, 15);
    trainee.settings().validate_every = 5;
    trainee.settings().validate_instances = 32;
    const double before = trainee.validation_loss(trainee.initial_params());
    const TrainResult result = trainee.train();
    CHECK(result.meta_steps == 15);
    CHECK(result.best_validation < 0.8 * before);
}

TEST_CASE("cma_es: it finds the step that is best for the instances it learns from") {
    // f = w x^2 / 2, and x_{t+1} = (1 - step w) x_t: of one instance the best step is 1 / w.
    Trainee trainee({.optimizer = "learned_step", .optimizee = "stopping", .problem = {}});
    search(trainee, 60);
    TrainSettings& settings = trainee.settings();
    settings.batch = settings.instances = 1;
    settings.horizon = settings.unroll = 3;
    const TensorSet phi = trainee.train().params;
    const double w = values(
        trainee.optimizee().sample(trainee.keys().train_data, Split::kTrain, 0, 1, false).tensors[0])[0];
    CHECK(param(trainee, phi, "log_step").value(0) == doctest::Approx(-std::log(w)).epsilon(1e-4));
}

TEST_CASE("cma_es: the same bits for any number of threads, in single precision too") {
    for (const Dtype dtype : {Dtype::kF32, Dtype::kF64}) {
        Trainee trainee({.dtype = dtype});
        search(trainee, 4);
        trainee.settings().shard_rows = 5;
        const TrainResult one = trainee.train({}, 1), two = trainee.train({}, 2);
        CHECK(one.meta_steps == 4);
        CHECK(one.evaluations == two.evaluations);
        CHECK(bytes(one.params) == bytes(two.params));
        CHECK(bytes(one.params) != bytes(trainee.initial_params()));
    }
}

TEST_CASE("cma_es: a multiplier is the scale of a parameter, 0 keeps it") {
    Trainee narrow({}), wide({});
    for (Trainee* trainee : {&narrow, &wide}) {
        search(*trainee, 1);
        trainee->settings().multipliers = {{"log_step", 0.01}, {"decay", 0}};
    }
    wide.settings().multipliers = {{"log_step", 1}};
    CHECK(param(narrow, narrow.train().params, "decay").value(0) ==
          param(narrow, narrow.initial_params(), "decay").value(0));
    const double start = param(narrow, narrow.initial_params(), "log_step").value(0);
    const double small = param(narrow, narrow.train().params, "log_step").value(0) - start,
                 large = param(wide, wide.train().params, "log_step").value(0) - start;
    CHECK(small != 0);
    CHECK(std::abs(small) < 0.05 * std::abs(large));
}

TEST_CASE("cma_es: candidates that diverge are the worst ones; a generation of them teaches nothing") {
    Trainee trainee({.options = {{"gives_up_at", "7"}}});
    search(trainee, 4);
    CHECK(refusal([&] { trainee.train(); }).find("all 4 windows diverged") != std::string::npos);
}

TEST_CASE("cma_es: more numbers than its covariance can hold, and windows, are refused") {
    Trainee large({.optimizer = "l2o_dm", .options = {{"hidden", "20"}}});
    search(large, 1);
    const std::string text = refusal([&] { large.train(); });
    CHECK(text.starts_with("2 'l2o_dm' has "));
    CHECK(text.ends_with(" numbers to train; expected at most 200 with estimator cma_es; use es or pes"));
    Trainee windows({});
    search(windows, 1);
    windows.settings().unroll = 5;
    CHECK(
        refusal([&] { windows.train(); }) ==
        "2 train.unroll is 5 and train.horizon 20: estimator cma_es compares whole trajectories; set unroll "
        "to the horizon, or use estimator pes");
}
