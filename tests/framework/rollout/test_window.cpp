#include <doctest/doctest.h>

#include <cmath>

#include "framework/error.hpp"
#include "tests/framework/rollout/rig.hpp"

namespace {

using namespace l2o::test;

Rig::Setup momentum(OptionText options = {}) {
    return {.lab = {.optimizer = "learned_momentum",
                    .options = std::move(options),
                    .problem = {.optimizee = "rastrigin", .options = {{"n", "3"}}, .instances = 2}},
            .loss = "trajectory_sum"};
}
/// A population that asks.
Rig::Setup scouts() {
    auto setup = momentum();
    setup.lab.optimizer = "learned_scouts";
    return setup;
}
Rig::Setup l2o_dm() {
    return {.lab = {.optimizer = "l2o_dm", .problem = {.optimizee = "quadratic", .instances = 2}},
            .loss = "trajectory_sum"};
}

std::vector<double> carried(const l2o::framework::Unroll& unroll) {
    std::vector<double> out;
    for (const Tensor* tensor : unroll.carried()) {
        const auto part = values(*tensor);
        out.insert(out.end(), part.begin(), part.end());
    }
    return out;
}

}  // namespace

TEST_CASE("two windows of 10 steps end where one of 20 ends, bit for bit, with and without a gradient") {
    for (const auto& setup : {momentum(), scouts(), l2o_dm()}) {
        Rig rig(setup);
        auto gradient = rig.zero_gradient();
        const auto whole = rig.unroll(), halves = rig.unroll(), scored = rig.unroll();
        const double loss = whole->window(20, 1, gradient).loss;
        const double first = halves->window(10, 1, gradient).loss,
                     second = halves->window(10, 1, gradient).loss;
        CHECK(halves->t() == 20);
        CHECK(same_bits(carried(*halves), carried(*whole)));
        CHECK(first + second == doctest::Approx(loss).epsilon(1e-14));
        scored->score(7);
        scored->score(13);
        CHECK(same_bits(carried(*scored), carried(*whole)));
    }
}

TEST_CASE("what was carried away can be restored elsewhere: the second window repeats its gradient's bits") {
    for (const auto& setup : {scouts(), l2o_dm()}) {
        Rig rig(setup);
        const auto first = rig.unroll(), second = rig.unroll();
        first->score(10);
        second->restore(first->t(), first->carried());
        auto want = rig.zero_gradient(), got = rig.zero_gradient();
        first->window(10, 1, want);
        second->window(10, 1, got);
        CHECK(same_bits(Rig::flat(got), Rig::flat(want)));
        CHECK(same_bits(carried(*second), carried(*first)));
    }
}

TEST_CASE("the gradient of a second window takes its start as a constant") {
    Rig rig(momentum());
    const auto unroll = rig.unroll();
    unroll->score(10);
    std::vector<Tensor> start;
    for (const Tensor* tensor : unroll->carried()) start.push_back(tensor->clone());
    auto gradient = rig.zero_gradient();
    unroll->window(10, 1, gradient);
    const auto want = rig.differences(
        [&] {
            const auto again = rig.unroll();
            std::vector<const Tensor*> from;
            for (const Tensor& tensor : start) from.push_back(&tensor);
            again->restore(10, from);
            return again->score(10).loss;
        },
        1e-4,
        true);
    CHECK(relative_error(Rig::flat(gradient), want) <= 1e-6);
}

TEST_CASE("a trajectory that overflows is reported, and nothing is added to the gradient") {
    Rig rig(momentum());
    rig.lab().param("log_step").values<double>()[0] = 200;
    auto gradient = rig.zero_gradient();
    const auto window = rig.unroll()->window(20, 1, gradient);
    CHECK_FALSE(window.is_finite);
    CHECK_FALSE(std::isfinite(window.loss));
    for (const double value : Rig::flat(gradient)) CHECK(value == 0);
    CHECK_FALSE(rig.unroll()->score(20).is_finite);
}

TEST_CASE("an optimizer that gives up is reported with its words, and nothing is added to the gradient") {
    Rig rig(momentum({{"gives_up_at", "7"}}));
    auto gradient = rig.zero_gradient();
    const auto window = rig.unroll()->window(20, 1, gradient);
    CHECK_FALSE(window.is_finite);
    CHECK(window.diverged == "the momentum has lost its way");
    for (const double value : Rig::flat(gradient)) CHECK(value == 0);
    CHECK(rig.unroll()->score(7).is_finite);
}

TEST_CASE("a derivative that gives up is reported with its words") {
    Rig rig(momentum({{"reverse_gives_up_at", "7"}}));
    auto gradient = rig.zero_gradient();
    const auto window = rig.unroll()->window(20, 1, gradient);
    CHECK_FALSE(window.is_finite);
    CHECK(window.diverged == "the way back is lost");
}

TEST_CASE("final_objective refuses a window that does not end at the horizon") {
    auto setup = momentum();
    setup.loss = "final_objective";
    Rig rig(setup);
    auto gradient = rig.zero_gradient();
    CHECK_THROWS_AS(rig.unroll()->window(10, 1, gradient), l2o::framework::Error);
    CHECK_NOTHROW(rig.unroll()->window(20, 1, gradient));
}
