#include <doctest/doctest.h>

#include <algorithm>

#include "framework/error.hpp"
#include "game_lab.hpp"

using namespace l2o::test;

// On the bilinear game the first pair leads back along itself, whatever eta is: only rounding makes the
// second.
TEST_CASE(
    "anderson: two pairs solve a linear game of two numbers with 6 partial gradients, the bilinear one with "
    "12") {
    for (const LinearGame& game : linear_games())
        for (const char* form : {"fixed", "secant"}) {
            const std::string what = std::string(game.name) + ", " + form;
            CAPTURE(what);
            const Lab::Run run =
                lab_on(game.name, "anderson", {{"learning_rate", "0.25"}, {"form", form}}).run(6);
            const bool is_bilinear = game.factor.real() == 0;
            CHECK(std::abs(point_of(run.x[is_bilinear ? 6 : 3])) <= 1e-8);
            if (game.factor.imag() != 0) CHECK(std::abs(point_of(run.x[2])) > 1e-3);
        }
}

TEST_CASE("anderson: the first step is one of gradient descent ascent") {
    const Lab::Run plain =
        lab_on("rotated_saddle", "gradient_descent_ascent", {{"learning_rate", "0.2"}}).run(1);
    for (const char* form : {"fixed", "secant"}) {
        const Lab::Run run =
            lab_on("rotated_saddle", "anderson", {{"learning_rate", "0.2"}, {"form", form}}).run(1);
        CHECK(relative_error(run.x[1], plain.x[1]) <= 1e-15);
    }
}

TEST_CASE("anderson: with memory n a quadratic of n numbers is solved with n + 1 gradients") {
    Lab lab(
        {.optimizer = "anderson",
         .options = {{"memory", "5"}, {"learning_rate", "0.3"}},
         .problem = {
             .optimizee = "quadratic", .options = {{"n", "5"}, {"condition_number", "5"}}, .instances = 3}});
    const Lab::Run run = lab.run(6);
    set_values(lab.problem().x()[0], run.x[6]);
    const auto largest = [&] {
        double most = 0;
        const std::vector<double> gradient = lab.problem().gradient()[0];
        for (const double g : gradient) most = std::max(most, std::abs(g));
        return most;
    };
    CHECK(largest() <= 1e-7);
    set_values(lab.problem().x()[0], run.x[3]);
    CHECK(largest() > 1e-3);
}

TEST_CASE("anderson: within a trust radius no step is more than so many times as long as the last") {
    const Lab::Run run =
        lab_on("seesaw", "anderson", {{"form", "secant"}, {"trust", "2"}, {"learning_rate", "0.05"}}).run(12);
    double longest = 0;
    for (std::size_t t = 1; t < 12; ++t) {
        const double last = std::abs(point_of(run.x[t]) - point_of(run.x[t - 1])),
                     now = std::abs(point_of(run.x[t + 1]) - point_of(run.x[t]));
        if (last > 1e-9) longest = std::max(longest, now / last);
    }
    CHECK(longest <= 2 * (1 + 1e-6));
    CHECK(longest >= 1.99);  // it is reached
    const double turns = run.x.back()[0] * 0.9;
    CHECK(std::abs(turns - std::round(turns)) < 1e-8);
}

TEST_CASE("anderson: memory = 0 is refused") {
    CHECK_THROWS_WITH_AS(
        lab_on("saddle", "anderson", {{"memory", "0"}}), doctest::Contains("memory"), l2o::framework::Error);
}
