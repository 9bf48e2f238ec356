#include <doctest/doctest.h>

#include "framework/error.hpp"
#include "game_lab.hpp"

using namespace l2o::test;

TEST_CASE("halpern: on a linear map both forms are their recursion in closed form") {
    for (const LinearGame& game : linear_games())
        for (const char* form : {"eag", "feg"}) {
            CAPTURE(game.name);
            CAPTURE(form);
            const bool is_eag = form[0] == 'e';
            const Lab::Run run =
                lab_on(game.name, "halpern", {{"form", form}, {"learning_rate", "0.3"}}).run(100);
            const Complex start = point_of(run.x[0]), m = 0.3 * game.factor;
            CHECK(follows(run, [&](double k, Complex z, Complex) {
                const double b = 1 / (k + (is_eag ? 2 : 1));
                const Complex w = z + b * (start - z);
                return w - m * (w - (is_eag ? 1 : 1 - b) * m * z);
            }));
            CHECK(run.gradient_evaluations == 400);
        }
}

// Lee & Kim 2021, theorem 4.1: |F(z_k)|^2 <= 4 L^2 |z_0 - z*|^2 / k^2 with step 1 / L. Yoon & Ryu 2021,
// theorem 1: |F(z_k)|^2 <= 260 L^2 |z_0 - z*|^2 / (k + 1)^2 with step 1 / (8 L).
TEST_CASE("halpern: |F| keeps the bounds of its theorems, which fall as 1 / k, on every linear game") {
    for (const LinearGame& game : linear_games())
        for (const char* form : {"eag", "feg"}) {
            CAPTURE(game.name);
            CAPTURE(form);
            const bool is_eag = form[0] == 'e';
            const double l = std::abs(game.factor);
            const Lab::Run run =
                lab_on(game.name,
                       "halpern",
                       {{"form", form}, {"learning_rate", std::to_string((is_eag ? 0.125 : 0.999) / l)}})
                    .run(1000);
            for (std::size_t k = 1; k <= 1000; ++k) {
                const double size = l * std::abs(point_of(run.x[k])),
                             bound = is_eag ? std::sqrt(260) / (double(k) + 1) : 2.01 / double(k);
                CHECK(size <= bound * l * std::abs(point_of(run.x[0])));
            }
        }
}

TEST_CASE("halpern: an unknown form is refused with the known ones") {
    CHECK_THROWS_WITH_AS(
        lab_on("saddle", "halpern", {{"form", "ppm"}}), doctest::Contains("feg"), l2o::framework::Error);
}

// The prototype's medians after 2,000 partial gradients, with its 100 games and five starts.
TEST_CASE("halpern: ends where it is known to end, at tuned steps") {
    CHECK(std::abs(median_after(500, "seesaw", "halpern", {{"learning_rate", "0.25"}}) - (-3.15)) <= 0.15);
    CHECK(std::abs(median_after(500, "matrix_game", "halpern", {{"learning_rate", "1"}, {"form", "feg"}}) -
                   (-3.19)) <= 0.15);
    CHECK(std::abs(median_after(500, "saddle", "halpern", {{"learning_rate", "0.5"}, {"form", "feg"}}) -
                   (-3.29)) <= 0.15);
}
