#include <doctest/doctest.h>

#include "framework/error.hpp"
#include "game_lab.hpp"

using namespace l2o::test;

TEST_CASE("negative_momentum: without momentum it is gradient descent ascent in the same order") {
    for (const char* order : {"alternating", "simultaneous"}) {
        CAPTURE(order);
        OptionText options{{"order", order}, {"learning_rate", "0.2"}};
        const Lab::Run plain = lab_on("rotated_saddle", "gradient_descent_ascent", options).run(20);
        options["momentum"] = "0";
        const Lab::Run run = lab_on("rotated_saddle", "negative_momentum", options).run(20);
        for (std::size_t t = 0; t <= 20; ++t) CHECK(relative_error(run.x[t], plain.x[t]) <= 1e-13);
        CHECK(run.gradient_evaluations == 40);
    }
}

TEST_CASE("negative_momentum: each player adds its last move, and v sees the new u") {
    const Lab::Run run =
        lab_on("matrix_game", "negative_momentum", {{"learning_rate", "0.5"}, {"momentum", "-0.3"}}).run(30);
    double u = 0.3, v = -0.4, move_u = 0, move_v = 0;
    for (std::size_t t = 1; t <= 30; ++t) {
        move_u = -0.3 * move_u - 0.5 * 0.8 * v;
        u += move_u;
        move_v = -0.3 * move_v + 0.5 * 0.8 * u;
        v += move_v;
        CHECK(relative_error(run.x[t], {u, v}) <= 1e-13);
    }
}

TEST_CASE("negative_momentum: a negative momentum converges on the bilinear game, none does not") {
    const auto distance = [](const char* momentum) {
        const Lab::Run run =
            lab_on("matrix_game", "negative_momentum", {{"learning_rate", "0.5"}, {"momentum", momentum}})
                .run(1000);
        return std::abs(point_of(run.x.back()));
    };
    CHECK(distance("-0.3") < 1e-8);
    CHECK(distance("0") > 0.1);
}

TEST_CASE("negative_momentum: momentum = 1 is refused") {
    CHECK_THROWS_WITH_AS(lab_on("saddle", "negative_momentum", {{"momentum", "1"}}),
                         doctest::Contains("momentum"),
                         l2o::framework::Error);
}

// The prototype's medians after 2,000 partial gradients, with its 100 games and five starts.
TEST_CASE("negative_momentum: ends where it is known to end, at tuned steps") {
    CHECK(std::abs(median_after(1000,
                                "matrix_game",
                                "negative_momentum",
                                {{"learning_rate", "1.414"}, {"momentum", "-0.15"}}) -
                   (-69.7)) <= 15);
    CHECK(
        std::abs(median_after(
                     1000, "seesaw", "negative_momentum", {{"learning_rate", "0.25"}, {"momentum", "-0.5"}}) -
                 (-34.8)) <= 4);
    CHECK(std::abs(median_after(1000,
                                "rotated_saddle",
                                "negative_momentum",
                                {{"learning_rate", "0.25"}, {"momentum", "-0.15"}}) -
                   (-237.1)) <= 8);
}
