#include <doctest/doctest.h>

#include <algorithm>

#include "framework/error.hpp"
#include "game_lab.hpp"

using namespace l2o::test;

TEST_CASE("anchored_gradient: a step is (1 - p) eta / (k + 1)^p down F, and a part of the way to the start") {
    for (const LinearGame& game : linear_games()) {
        CAPTURE(game.name);
        const Lab::Run run =
            lab_on(
                game.name, "anchored_gradient", {{"learning_rate", "0.6"}, {"power", "0.7"}, {"anchor", "4"}})
                .run(200);
        const Complex start = point_of(run.x[0]);
        CHECK(follows(run, [&](double k, Complex z, Complex) {
            return z - 0.6 * 0.3 / std::pow(k + 1, 0.7) * game.factor * z +
                   std::min(1.0, 0.3 * 4 / (k + 1)) * (start - z);
        }));
        CHECK(run.gradient_evaluations == 400);
    }
}

TEST_CASE("anchored_gradient: comes nearer on the bilinear game, where gradient descent ascent goes away") {
    const Lab::Run run = lab_on("matrix_game", "anchored_gradient", {}).run(2000);
    CHECK(std::abs(point_of(run.x.back())) < 0.1 * std::abs(point_of(run.x[0])));
    const Lab::Run away = lab_on("matrix_game", "gradient_descent_ascent", {}).run(2000);
    CHECK(std::abs(point_of(away.x.back())) > std::abs(point_of(away.x[0])));
}

TEST_CASE("anchored_gradient: power = 1 is refused") {
    CHECK_THROWS_WITH_AS(lab_on("saddle", "anchored_gradient", {{"power", "1"}}),
                         doctest::Contains("power"),
                         l2o::framework::Error);
}

// The prototype's medians after 2,000 partial gradients, with its 100 games and five starts.
TEST_CASE("anchored_gradient: ends where it is known to end, at tuned steps") {
    CHECK(std::abs(median_after(1000,
                                "seesaw",
                                "anchored_gradient",
                                {{"learning_rate", "1"}, {"power", "0.55"}, {"anchor", "4"}}) -
                   (-1.80)) <= 0.15);
    CHECK(std::abs(median_after(1000,
                                "matrix_game",
                                "anchored_gradient",
                                {{"learning_rate", "4"}, {"power", "0.55"}, {"anchor", "4"}}) -
                   (-1.85)) <= 0.15);
    CHECK(std::abs(median_after(1000,
                                "saddle",
                                "anchored_gradient",
                                {{"learning_rate", "16"}, {"power", "0.55"}, {"anchor", "1"}}) -
                   (-3.44)) <= 0.15);
}
