// Layers that are updated in some steps only.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "tests/framework/config/refusal.hpp"
#include "tests/framework/rollout/rig.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;

constexpr std::int64_t kHorizon = 12;
constexpr std::size_t kIn = 0, kW = 1, kB = 2, kOut = 3;
constexpr UpdateProbability kSome{.first = 0.4, .middle = 0.5, .last = 0.7};

Rig::Setup setup(const std::string& optimizer,
                 const std::string& n = "3",
                 SecondOrder second_order = SecondOrder::kExact) {
    return {.lab = {.optimizer = optimizer,
                    .options = {{"hidden", "3"}, {"preprocess", "identity"}, {"output_scale", "0.1"}},
                    .problem = {.optimizee = "three_layers", .options = {{"n", n}}, .instances = 2}},
            .loss = "trajectory_sum",
            .horizon = kHorizon,
            .second_order = second_order};
}

struct Run {
    double loss = 0;
    std::vector<double> gradient;
    std::int64_t bytes = 0;
};
Run run(Rig& rig, UnrollOptions options) {
    options.horizon = kHorizon;
    Unroll unroll(rig.scene(), rig.loss_plugin(), options);
    unroll.start(rig.start());
    TensorSet gradient = rig.zero_gradient();
    const Unroll::Window window = unroll.window(kHorizon, 1, gradient);
    REQUIRE(window.is_finite);
    return {window.loss, Rig::flat(gradient), unroll.bytes()};
}

}  // namespace

TEST_CASE("sparse updates: a block that stays keeps x and its state, the others move") {
    Rig rig(setup("l2o_dm"));
    Stepper stepper(rig.scene(), {}, kSome);
    const SparseUpdates& updates = stepper.updates();
    Point now(stepper.layout(), stepper.parts()), next(stepper.layout(), stepper.parts());
    const auto x0 = rig.start();
    for (std::size_t k = 0; k < x0.size(); ++k) set_values(now.x[k], values(x0[k]));
    stepper.init_state(now);
    int stayed = 0, moved = 0;
    for (std::int64_t t = 0; t < kHorizon; ++t) {
        stepper.advance(now, next, t);
        for (std::size_t k = 0; k < now.x.size(); ++k) {
            const bool stays = updates.stays(rig.scene().key, t, k);
            ++(stays ? stayed : moved);
            CHECK(same_bits(values(now.x[k]), values(next.x[k])) == stays);
            for (std::size_t i = 0; i < now.state.size(); ++i)
                if (rig.lab().optimizer().state()[i]->block == static_cast<std::int32_t>(k) + 1)
                    CHECK(same_bits(values(now.state[i]), values(next.state[i])) == stays);
        }
        std::swap(now, next);
    }
    CHECK(stayed > 5);
    CHECK(moved > 5);
}

TEST_CASE("sparse updates: every layer moves as often as its third of the layers is asked to") {
    Rig rig(setup("l2o_dm"));
    const SparseUpdates updates(rig.lab().optimizer(), rig.lab().problem().optimizee(), kSome);
    constexpr int kSteps = 4000;
    double share[4] = {};
    for (std::int64_t t = 0; t < kSteps; ++t) {
        for (std::size_t k = 0; k < 4; ++k) share[k] += updates.stays({5, 6}, t, k) ? 0 : 1.0 / kSteps;
        CHECK(updates.stays({5, 6}, t, kW) == updates.stays({5, 6}, t, kB));
    }
    CHECK(std::abs(share[kIn] - kSome.first) < 0.025);  // three standard deviations
    CHECK(std::abs(share[kW] - kSome.middle) < 0.025);
    CHECK(std::abs(share[kOut] - kSome.last) < 0.025);
}

TEST_CASE("sparse updates: the meta-gradient agrees with central differences, whatever is kept of a window") {
    Rig rig(setup("l2o_dm"));
    const UnrollOptions options{.second_order = SecondOrder::kExact, .update_probability = kSome};
    const Run all = run(rig, options);
    const auto loss = [&] { return run(rig, options).loss; };
    const double error = relative_error(all.gradient, rig.differences(loss, 1e-4, true));
    MESSAGE("norm-wise relative error " << error);
    CHECK(error <= 1e-6);
    UnrollOptions less = options;
    less.memory_bytes = static_cast<std::uint64_t>(all.bytes * 3 / 4);
    const Run again = run(rig, less);
    CHECK(again.bytes < all.bytes);
    CHECK(same_bits(again.gradient, all.gradient));
}

TEST_CASE("sparse updates: slices give the gradient of whole blocks") {
    Rig rig(setup("l2o_dm", "600", SecondOrder::kDrop));
    const UnrollOptions options{.update_probability = kSome};
    const Run sliced = run(rig, options);
    CHECK(same_bits(run(rig, {.threads = 2, .update_probability = kSome}).gradient, sliced.gradient));
    const auto budget = [&](std::int64_t bytes) {
        return run(rig, {.memory_bytes = static_cast<std::uint64_t>(bytes), .update_probability = kSome});
    };
    const Run again = budget(sliced.bytes - 1);  // gradients alone; slices run forwards again
    CHECK(again.bytes < sliced.bytes);
    CHECK(same_bits(again.gradient, sliced.gradient));
    const Run whole = budget(sliced.bytes / 2);
    CHECK(relative_error(whole.gradient, sliced.gradient) < 1e-12);
    CHECK_FALSE(same_bits(whole.gradient, sliced.gradient));
}

TEST_CASE("sparse updates: probability one is no option") {
    Rig rig(setup("l2o_dm"));
    const UnrollOptions options{.second_order = SecondOrder::kExact};
    CHECK_FALSE(Stepper(rig.scene()).updates().any_stays({5, 6}, 3));
    const Run some = run(rig, {.second_order = SecondOrder::kExact, .update_probability = kSome});
    CHECK_FALSE(same_bits(run(rig, options).gradient, some.gradient));
}

TEST_CASE("sparse updates: a probability of a third without layers is refused") {
    const auto refused = [](const std::string& optimizee, const UpdateProbability& probability) {
        const ProblemLab lab({.optimizee = optimizee});
        return refusal([&] { check_update_probability(probability, lab.optimizee()); });
    };
    CHECK(refused("three_layers", kSome) == "no error");
    CHECK(refused("quadratic", {.middle = 0.5}) == "no error");
    CHECK(refused("quadratic", {.first = 0.5, .middle = 0.5}) ==
          "2 train.update_probability.first is 0.5, and 'quadratic' has no layer in that third: it has one, "
          "which "
          "is the middle; set it to 1, and middle instead");
    CHECK(refused("rotated_saddle", {.first = 0.5, .last = 0.7}) == "no error");
    CHECK(refused("rotated_saddle", kSome) ==
          "2 train.update_probability.middle is 0.5, and 'rotated_saddle' has no layer in that third: it has "
          "two, "
          "the first and the last; set it to 1");
}
