#include <doctest/doctest.h>

#include <algorithm>

#include "framework/error.hpp"
#include "game_lab.hpp"

using namespace l2o::test;

TEST_CASE(
    "optimistic_gradient: z' = z - eta ((1 + c) F(z) - c F(z_before)), and the first step is one of F") {
    for (const LinearGame& game : linear_games())
        for (const double c : {1.0, 0.25, 3.0}) {
            CAPTURE(game.name);
            CAPTURE(c);
            const Lab::Run run = lab_on(game.name,
                                        "optimistic_gradient",
                                        {{"learning_rate", "0.2"}, {"optimism", std::to_string(c)}})
                                     .run(60);
            CHECK(follows(run, [&](double, Complex z, Complex before) {
                return z - 0.2 * game.factor * (z + c * (z - before));
            }));
            CHECK(run.gradient_evaluations == 120);
        }
}

// The roots of x^2 - (1 - 2 eta m) x - eta m, m the factor of F.
TEST_CASE("optimistic_gradient: on the bilinear game it contracts by the larger root of its recursion") {
    const Complex m = linear_games()[2].factor, eta = 0.5;
    const Complex half = (1.0 - 2.0 * eta * m) / 2.0, root = std::sqrt(half * half + eta * m);
    const double rate = std::max(std::abs(half + root), std::abs(half - root));
    CHECK(rate < 1);
    const Lab::Run run = lab_on("matrix_game", "optimistic_gradient", {{"learning_rate", "0.5"}}).run(600);
    const double measured =
        std::pow(std::abs(point_of(run.x[600])) / std::abs(point_of(run.x[400])), 1.0 / 200);
    CHECK(measured == doctest::Approx(rate).epsilon(1e-6));
}

TEST_CASE("optimistic_gradient: with optimism 0 it is gradient descent ascent, to the bit") {
    const Lab::Run plain =
        lab_on("rotated_saddle", "gradient_descent_ascent", {{"learning_rate", "0.2"}}).run(20);
    CHECK(lab_on("rotated_saddle", "optimistic_gradient", {{"learning_rate", "0.2"}, {"optimism", "0"}})
              .run(20)
              .x == plain.x);
}

TEST_CASE("optimistic_gradient: a negative optimism is refused") {
    CHECK_THROWS_WITH_AS(lab_on("saddle", "optimistic_gradient", {{"optimism", "-1"}}),
                         doctest::Contains("optimism"),
                         l2o::framework::Error);
}

// The prototype's medians after 2,000 partial gradients, with its 100 games and five starts.
TEST_CASE("optimistic_gradient: ends where it is known to end, at tuned steps, on four games") {
    CHECK(std::abs(median_after(1000, "saddle", "optimistic_gradient", {{"learning_rate", "0.25"}}) -
                   (-146.7)) <= 6);
    CHECK(std::abs(median_after(1000, "seesaw", "optimistic_gradient", {{"learning_rate", "0.177"}}) -
                   (-99.9)) <= 10);
    CHECK(std::abs(median_after(1000, "matrix_game", "optimistic_gradient", {{"learning_rate", "0.5"}}) -
                   (-46.0)) <= 10);
    CHECK(std::abs(median_after(1000,
                                "rotated_saddle",
                                "optimistic_gradient",
                                {{"learning_rate", "0.25"}, {"optimism", "0.25"}}) -
                   (-258.2)) <= 8);
}
