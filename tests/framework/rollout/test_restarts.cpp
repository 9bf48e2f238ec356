#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/framework/rollout/trip.hpp"

using namespace l2o::test;

TEST_CASE(
    "restarts: the first start is the given one, all share the iterations, and the answer is the best") {
    Trip trip(on_rastrigin("adam", {{"learning_rate", "0.1"}}));
    Course four = trip.course(20), one = trip.course(5);
    four.restarts = 4;
    one.answer = Answer::kBest;
    Rollout a = trip.rollout(four), b = trip.rollout(one);
    for (b.start(trip.x0()); !b.is_over();) b.step();
    std::vector<std::vector<double>> best;
    for (int again = 0; again < 2; ++again) {
        best.clear();
        for (a.start(trip.x0()); !a.is_over();) {
            a.step();
            best.push_back(a.ledger().best_f());
        }
        REQUIRE(best.size() == 20);
        CHECK(best[4] == b.ledger().best_f());
    }
    int improved = 0;  // by another start
    for (std::size_t row = 0; row < 3; ++row) {
        for (std::size_t t = 1; t < 20; ++t) CHECK(best[t][row] <= best[t - 1][row]);
        improved += best.back()[row] < best[4][row] ? 1 : 0;
    }
    CHECK(improved >= 2);
    CHECK(values(*a.look(false).f) == best.back());
    for (const Evaluations& row : a.ledger().evaluations()) CHECK(row.points == 20);
}

TEST_CASE("restarts: a start is the same whichever number there are, and no two are") {
    const auto starts = [](const char* optimizer, std::int64_t restarts) {
        Trip trip(on_rastrigin(optimizer, {}));
        Course course = trip.course(restarts);  // of one step each
        course.restarts = restarts;
        course.keeps_improvements = true;
        Rollout rollout = trip.rollout(course);
        for (rollout.start(trip.x0()); !rollout.is_over();) rollout.step();
        return rollout.ledger().improvements();
    };
    const auto few = starts("adam", 8), many = starts("adam", 16);
    std::size_t better = 0;  // starts than all before
    for (std::size_t row = 0; row < 3; ++row) {
        better += few[row].size() - 1;
        for (std::size_t i = 0; i < few[row].size(); ++i) CHECK(few[row][i].f == many[row][i].f);
    }
    CHECK(better >= 2);
    INFO("nor are the draws of an optimizer");
    for (const auto& row : starts("random_search", 16)) CHECK(row.size() > 1);
}

TEST_CASE(
    "restarts: every start has its share of the evaluations, and what one leaves over is the next one's") {
    Trip trip(on_rastrigin("gradient_descent", {{"step_rule", "armijo"}, {"initial_step", "10"}}));
    Course course = trip.course(400);
    course.restarts = 4;
    course.max_evaluations = 200;
    Rollout rollout = trip.rollout(course);
    for (rollout.start(trip.x0()); !rollout.is_over();) {
        rollout.step();
        const double granted = 50 * std::ceil(static_cast<double>(rollout.iteration()) / 100);
        for (const Evaluations& row : rollout.ledger().evaluations()) CHECK(row.points <= granted);
    }
    CHECK(rollout.iteration() > 300);
    for (const Evaluations& row : rollout.ledger().evaluations()) {
        CHECK(row.points > 150);
        CHECK(row.points <= 200);
    }
}

TEST_CASE("restarts: with one evaluation for each, every start pays for the point where it begins") {
    for (const char* optimizer : {"adam", "random_search", "gradient_descent"}) {
        CAPTURE(optimizer);
        Trip trip(on_rastrigin(optimizer, {}));
        Course course = trip.course(4);
        course.restarts = 4;
        course.max_evaluations = 4;
        course.pays_for_end = true;
        course.keeps_improvements = true;
        Rollout rollout = trip.rollout(course);
        for (rollout.start(trip.x0()); !rollout.is_over();) rollout.step();
        CHECK(rollout.iteration() <= 4);
        for (std::size_t row = 0; row < 3; ++row) {
            CHECK(rollout.ledger().evaluations()[row].points == 4);
            REQUIRE(!rollout.ledger().improvements()[row].empty());
            CHECK(rollout.ledger().improvements()[row][0].evaluations == 1);
        }
    }
}

TEST_CASE("restarts: under a budget a safeguard tests every start") {
    Trip trip(on_rastrigin("gradient_descent", {{"learning_rate", "1e6"}}));
    const Lab classic(on_rastrigin("gradient_descent", {{"learning_rate", "0.001"}}));
    const TensorSet none;
    for (const auto test : {SafeguardRule::Test::kResidual, SafeguardRule::Test::kObjective}) {
        Course course = trip.course(100);
        course.restarts = 4;
        course.max_evaluations = 120;
        course.first.safeguard.emplace(Safeguard{classic.optimizer(), none, {.test = test}});
        Rollout rollout = trip.rollout(course);
        for (rollout.start(trip.x0()); !rollout.is_over();) rollout.step();
        CHECK(rollout.iteration() > 75);  // in the last start
        CHECK(rollout.fallbacks() == rollout.guarded_steps());
        for (const Evaluations& row : rollout.ledger().evaluations()) {
            CHECK(row.gradients <= row.points);
            CHECK(row.points <= 120);
        }
    }
}

TEST_CASE("restarts: what cannot start again is refused, and says why") {
    Trip swarm(on_rastrigin("particle_swarm", {{"particles", "3"}})),
        layers({.optimizer = "lista", .problem = {.optimizee = "lasso"}}),
        noisy({.optimizer = "adam", .problem = {.optimizee = "noisy_quartic"}});
    const auto refused = [](Trip& trip, std::int64_t iterations, double evaluations = 0) {
        Course course = trip.course(iterations);
        course.restarts = 8;
        course.max_evaluations = evaluations;
        return refusal([&] { check_course(course, trip.optimizee(), "it"); });
    };
    CHECK(refused(swarm, 8) == "not refused");
    CHECK(refused(swarm, 7) == "it: restarts is 8, for 7 iterations; expected at most as many");
    CHECK(refused(swarm, 8, 6) ==
          "it: restarts is 8, for 8 iterations and 6 evaluations; expected at most as many");
    CHECK(refused(layers, 16) ==
          "it: restarts is 8, and 'lista' has layers, one per step; expected a method "
          "without, or 1");
    CHECK(refused(noisy, 16) ==
          "it: restarts is 8, and the points of 'noisy_quartic' cannot be compared: its f is that of a "
          "minibatch, or "
          "of players; expected 1");
    Trip blind({.optimizer = "ista", .problem = {.optimizee = "lasso"}});
    CHECK(
        refused(blind, 16) ==
        "it: restarts is 8, and 'ista' pays for no point, so that its starts cannot be compared; expected a "
        "method that reads f or its gradient, or 1");
}

TEST_CASE("restarts: of starts that are all the same one is enough, unless the method draws") {
    const auto starts = [](const std::string& optimizer, std::int64_t restarts, bool given) {
        Trip trip({.optimizer = optimizer, .problem = {.optimizee = "lasso", .instances = 2}});
        Course course = trip.course(12);
        course.restarts = restarts;
        Rollout rollout = trip.rollout(course);
        std::vector<Tensor> x0;
        for (const Tensor& block : trip.x0()) x0.push_back(block.clone());
        if (given) set_values(x0[0], std::vector<double>(std::size_t(x0[0].size()), 1.0));
        return refusal([&] { rollout.start(x0); });
    };
    CHECK(starts("adam", 2, false) ==
          "there are 2 starts of each instance (restarts), 'lasso' begins all of them in one point, and "
          "'adam' would go the same way from there again; expected a problem whose starts differ, or one "
          "start");
    CHECK(starts("adam", 3, true).starts_with("there are 3 starts of each instance (restarts), 'lasso'"));
    CHECK(starts("adam", 2, true) == "not refused");  // the given one and that of the problem
    CHECK(starts("adam", 1, false) == "not refused");
    CHECK(starts("random_search", 3, false) == "not refused");
}
