#include <doctest/doctest.h>

#include "framework/error.hpp"
#include "game_lab.hpp"

using namespace l2o::test;

// J'F is |m|^2 z where F is m z.
TEST_CASE("consensus: on linear games a step is z - eta (m + gamma |m|^2) z, whatever the difference") {
    for (const LinearGame& game : linear_games())
        for (const char* difference : {"1e-4", "0.5"}) {
            CAPTURE(game.name);
            CAPTURE(difference);
            const Lab::Run run =
                lab_on(game.name,
                       "consensus",
                       {{"learning_rate", "0.1"}, {"consensus", "0.7"}, {"difference", difference}})
                    .run(50);
            const Complex m = game.factor;
            Complex z = point_of(run.x[0]);
            for (std::size_t t = 0; t < 50; ++t) {
                z -= 0.1 * (m + 0.7 * std::norm(m)) * z;
                // The quotient of differences of 1e-4 has 12 digits.
                CHECK(std::abs(point_of(run.x[t + 1]) - z) <= 1e-9 * std::abs(z));
            }
            CHECK(run.gradient_evaluations == 200);
        }
}

TEST_CASE("consensus: converges on the bilinear game, and on seesaw to a solution") {
    const Lab::Run run =
        lab_on("matrix_game", "consensus", {{"learning_rate", "0.2"}, {"consensus", "4"}}).run(200);
    CHECK(std::abs(point_of(run.x.back())) < 1e-8);
    const Lab::Run seesaw =
        lab_on("seesaw", "consensus", {{"learning_rate", "0.0078"}, {"consensus", "16"}}).run(200);
    const double turns = seesaw.x.back()[0] * 0.9;
    CHECK(std::abs(turns - std::round(turns)) < 1e-8);
    CHECK(std::abs(seesaw.x.back()[1]) < 1e-8);
}

TEST_CASE("consensus: difference = 0 is refused") {
    CHECK_THROWS_WITH_AS(lab_on("saddle", "consensus", {{"difference", "0"}}),
                         doctest::Contains("difference"),
                         l2o::framework::Error);
}

// The prototype's medians after 2,000 partial gradients, with its 100 games and five starts.
TEST_CASE("consensus: ends where it is known to end, at tuned steps") {
    CHECK(std::abs(median_after(
                       500, "matrix_game", "consensus", {{"learning_rate", "0.03125"}, {"consensus", "32"}}) -
                   (-205.6)) <= 50);
}
