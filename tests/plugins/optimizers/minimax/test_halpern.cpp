#include <doctest/doctest.h>

#include <string>

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

TEST_CASE(
    "halpern: without a rate it finds one, of which |F| keeps the bound on every linear game, of any size") {
    for (const double scale : {1e-6, 1.0, 1e6})
        for (const LinearGame& game : linear_games())
            for (const char* form : {"eag", "feg"}) {
                CAPTURE(scale);
                CAPTURE(game.name);
                CAPTURE(form);
                Lab lab = lab_on(game.name, "halpern", {{"form", form}});
                const bool is_matrix = std::string(game.name) == "matrix_game";
                set_values(lab.problem().data(is_matrix ? "A" : "a"), {scale * (is_matrix ? 0.8 : 0.9)});
                if (!is_matrix) set_values(lab.problem().data("b"), {scale * 0.9});
                const Lab::Run run = lab.run(1000);
                CHECK(run.x[1] == run.x[0]);  // it looked around
                CHECK(std::abs(point_of(run.x[1000])) <= 3e-3 * std::abs(point_of(run.x[0])));
                CHECK(run.gradient_evaluations == 4000);
            }
}

TEST_CASE("halpern: each row finds its own rate, and by a step that shows it to be too long it stays") {
    Lab lab(
        {.optimizer = "halpern", .problem = {.optimizee = "matrix_game", .instances = 2}, .horizon = 500});
    set_values(lab.problem().data("A"), {1e-3, 1e3});
    const Lab::Run both = lab.run(500);
    for (std::size_t row = 0; row < 2; ++row)
        CHECK(std::hypot(both.x[500][row], both.x[500][2 + row]) <=
              6e-3 * std::hypot(both.x[0][row], both.x[0][2 + row]));
    // Where the sine bends, gradients turn more than near the start.
    Lab bend({.optimizer = "halpern",
              .problem = {.optimizee = "seesaw", .options = {{"range", "3"}}, .instances = 64},
              .horizon = 100});
    const Lab::Run run = bend.run(100);
    std::size_t stays = 0;
    for (std::size_t t = 1; t < 100; ++t)
        for (std::size_t row = 0; row < 64; ++row)
            stays += run.x[t + 1][row] == run.x[t][row] && run.x[t + 1][64 + row] == run.x[t][64 + row];
    CHECK(stays > 16);
    CHECK(stays < 16 * 64);
}

TEST_CASE("halpern: at a solution it stays, and says nothing of a rate") {
    Lab lab = lab_on("matrix_game", "halpern", {});
    set_values(lab.problem().x()[0], {0});
    set_values(lab.problem().x()[1], {0});
    const Lab::Run run = lab.run(5);
    CHECK(run.x[5] == std::vector<double>{0, 0});
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
