#include <doctest/doctest.h>

#include "framework/error.hpp"
#include "game_lab.hpp"

using namespace l2o::test;

TEST_CASE("adam_descent_ascent: where nobody maximises it is adam, to the bit, in either order") {
    const OptionText shared{{"learning_rate", "0.05"},
                            {"beta1", "0.8"},
                            {"beta2", "0.9"},
                            {"schedule", "exponential"},
                            {"final_rate", "0.01"}};
    const ProblemLab::Setup problem{.optimizee = "quadratic"};
    const Lab::Run adam =
        Lab({.optimizer = "adam", .options = shared, .problem = problem, .horizon = 20}).run(20);
    for (const char* order : {"simultaneous", "alternating"}) {
        OptionText options = shared;
        options["order"] = order;
        CHECK(Lab({.optimizer = "adam_descent_ascent", .options = options, .problem = problem, .horizon = 20})
                  .run(20)
                  .x == adam.x);
    }
}

TEST_CASE("adam_descent_ascent: the first step is learning_rate down for u and up for v, of any gradient") {
    const Lab::Run run = lab_on("matrix_game",
                                "adam_descent_ascent",
                                {{"learning_rate", "0.1"}, {"epsilon", "0"}, {"order", "alternating"}})
                             .run(1);
    CHECK(run.x[1][0] == doctest::Approx(0.3 + 0.1).epsilon(1e-14));   // df/du = 0.8 v < 0
    CHECK(run.x[1][1] == doctest::Approx(-0.4 + 0.1).epsilon(1e-14));  // df/dv = 0.8 u > 0
    CHECK(run.gradient_evaluations == 2);
}

TEST_CASE("adam_descent_ascent: an exponential schedule ends at final_rate, by equal quotients") {
    // With beta1 = beta2 = 0 and epsilon = 0 every step is as long as its rate.
    const Lab::Run run = lab_on("saddle",
                                "adam_descent_ascent",
                                {{"learning_rate", "1e-4"},
                                 {"beta1", "0"},
                                 {"beta2", "0"},
                                 {"epsilon", "0"},
                                 {"schedule", "exponential"},
                                 {"final_rate", "1e-3"}})
                             .run(1000);
    for (const std::size_t t : {0U, 1U, 500U, 999U}) {
        const double step = run.x[t][0] - run.x[t + 1][0];
        CHECK(step == doctest::Approx(1e-4 * std::pow(1e-3, double(t) / 1000)).epsilon(1e-6));
    }
}

TEST_CASE("adam_descent_ascent: an exponential schedule to 0 is refused") {
    CHECK_THROWS_WITH_AS(lab_on("saddle", "adam_descent_ascent", {{"schedule", "exponential"}}),
                         doctest::Contains("final_rate is 0"),
                         l2o::framework::Error);
}

// The prototype's medians after 2,000 partial gradients, with its 100 games and five starts.
TEST_CASE("adam_descent_ascent: ends where it is known to end, at tuned steps") {
    CHECK(std::abs(median_after(1000,
                                "seesaw",
                                "adam_descent_ascent",
                                {{"learning_rate", "0.1"},
                                 {"beta1", "-0.5"},
                                 {"beta2", "0.5"},
                                 {"epsilon", "1e-150"},
                                 {"schedule", "exponential"},
                                 {"final_rate", "1e-10"}}) -
                   (-10.7)) <= 0.5);
    CHECK(std::abs(median_after(1000,
                                "saddle",
                                "adam_descent_ascent",
                                {{"learning_rate", "1"},
                                 {"beta1", "0"},
                                 {"beta2", "0.99"},
                                 {"epsilon", "1e-150"},
                                 {"schedule", "exponential"},
                                 {"final_rate", "1e-5"}}) -
                   (-184.8)) <= 8);
}
