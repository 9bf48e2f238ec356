// Which rows of a batch a window is learned from.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "framework/train/back_propagation.hpp"
#include "framework/train/stages.hpp"
#include "tests/framework/train/trainee.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;

constexpr std::int64_t kBatch = 5, kHorizon = 8, kWindow = 2;
constexpr double kStep = 0.2;

/// Gradient descent on f = w x^2 / 2, of which only the logarithm of its step is learned.
Trainee descent(const SelfPaced& self_paced) {
    Trainee trainee({.optimizee = "stopping", .problem = {}},
                    {.epochs = 1, .horizon = kHorizon, .unroll = kWindow, .batch = kBatch, .shard_rows = 2});
    trainee.settings().self_paced = self_paced;
    trainee.settings().second_order = SecondOrder::kExact;
    trainee.settings().multipliers = {{"decay", 0}, {"start", 0}, {"f_weight", 0}};
    return trainee;
}

/// Of one trajectory: what the windows give for d/d(log step) of the sum of f, and what it is on the `chosen`
/// rows with the least sum of (w x)^2 where windows began, each as often as makes it a batch.
struct Slopes {
    std::vector<double> got, want;
};
Slopes slopes(Trainee trainee, std::uint64_t index, std::size_t chosen) {
    TensorSet phi = trainee.initial_params();
    std::size_t step = 0;
    for (std::size_t i = 0; i < phi.size(); ++i) {
        const bool is_step = std::string(trainee.optimizer().params()[i]->name) == "log_step";
        set_values(phi[i], {is_step ? std::log(kStep) : 0.0});
        if (is_step) step = i;
    }
    const Keys keys = trainee.keys();
    const Stage stage = stages_of(trainee.settings(), trainee.optimizer()).front();
    TrainingBatches batches(0);
    BackPropagation back(trainee.lesson(phi, keys, stage, batches));
    back.start(index);
    const std::vector<double> w = values(
        trainee.optimizee().sample(keys.train_data, Split::kTrain, index * kBatch, kBatch, false).tensors[0]);
    std::vector<double> x;
    for (const char* shard : {"carried/0/0", "carried/1/0", "carried/2/0"}) {
        const std::vector<double> part = values(*back.carried(1).at(shard));
        x.insert(x.end(), part.begin(), part.end());
    }
    Slopes slopes;
    TensorSet gradient = gradient_like(trainee.optimizer(), phi, stage.rates);
    std::vector<double> score(x.size(), 0);
    for (std::int64_t t = 0; t < kHorizon; t += kWindow) {
        back.window(t, kWindow, 1, gradient);
        slopes.got.push_back(values(gradient[step])[0]);
        for (std::size_t row = 0; row < x.size(); ++row) score[row] += w[row] * x[row] * w[row] * x[row];
        std::vector<double> sorted = score;
        std::ranges::sort(sorted);
        double sum = 0;
        for (std::size_t row = 0; row < x.size(); ++row) {
            const double at = x[row];
            for (std::int64_t j = 1; j <= kWindow; ++j) {
                const double slope_of_x =
                    -static_cast<double>(j) * kStep * w[row] * at * std::pow(1 - kStep * w[row], j - 1);
                x[row] *= 1 - kStep * w[row];
                if (score[row] <= sorted[chosen - 1]) sum += w[row] * x[row] * slope_of_x;
            }
        }
        slopes.want.push_back(sum * kBatch / static_cast<double>(chosen));
    }
    return slopes;
}

}  // namespace

TEST_CASE("self-paced: a window is learned from the rows whose gradients were least, more by trajectory") {
    const SelfPaced third{.share = 0.4, .epochs = 3};
    // floor(0.4 of 5), 0.6, 0.8 and all.
    for (std::uint64_t index = 0; index < 5; ++index) {
        const Slopes found = slopes(descent(third), index, std::min<std::size_t>(index + 2, kBatch));
        CAPTURE(index);
        REQUIRE(found.got.size() == 4);
        for (std::size_t window = 0; window < found.got.size(); ++window)
            CHECK(found.got[window] == doctest::Approx(found.want[window]).epsilon(1e-10));
    }
}

TEST_CASE("self-paced: at least one row, and a share of 1 changes no bit") {
    const Slopes one = slopes(descent({.share = 1e-3, .epochs = 80}), 0, 1);
    for (std::size_t window = 0; window < one.got.size(); ++window)
        CHECK(one.got[window] == doctest::Approx(one.want[window]).epsilon(1e-10));
    CHECK(slopes(descent({.share = 0.5, .epochs = 1}), 1, kBatch).got == slopes(descent({}), 1, kBatch).got);
}

TEST_CASE("self-paced: scores are carried on, and rows whose gradients are no numbers come last") {
    Trainee trainee = descent({.share = 0.5, .epochs = 80});
    const TensorSet phi = trainee.initial_params();
    const ProblemData data =
        trainee.optimizee().sample(trainee.keys().train_data, Split::kTrain, 0, 3, false);
    const Scene scene{trainee.optimizer(), trainee.optimizee(), data, phi, {7, 7}, 0};
    Unroll unroll(scene, trainee.loss(), {.horizon = kHorizon, .has_scores = true});
    std::vector<Tensor> x0 = trainee.optimizee().init_point({1, 2}, 0, data);
    set_values(x0[0], {2, NAN, 3});
    unroll.start(x0);
    unroll.add_scores();
    const std::vector<double> w = values(data.tensors[0]), scores = values(unroll.scores());
    CHECK(scores[0] == doctest::Approx(4 * w[0] * w[0]));
    CHECK(scores[1] == INFINITY);
    unroll.add_scores();
    CHECK(values(unroll.scores())[2] == doctest::Approx(2 * 9 * w[2] * w[2]));
    Unroll other(scene, trainee.loss(), {.horizon = kHorizon, .has_scores = true});
    other.restore(0, unroll.carried());
    CHECK(values(other.scores()) == values(unroll.scores()));
    unroll.start(x0);
    CHECK(values(unroll.scores())[0] == 0);
}
