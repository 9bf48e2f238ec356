#include "framework/error.hpp"
#include "tests/plugins/losses/loss_lab.hpp"

using namespace l2o::test;

TEST_CASE("residual_ratio: is ln of the quotient of the norms at the ends of the window, by step") {
    LossLab lab(
        {.loss = "residual_ratio", .batch = 2, .len = 3, .t0 = 8, .horizon = 100, .blocks = {{1}, {1}}});
    set_values(lab.g(0), {3, 6, 9, 9, 0.3, 0});
    set_values(lab.g(1), {4, 8, 9, 9, 0.4, 5});
    const std::vector<double> score = lab.eval();
    CHECK(score[0] == doctest::Approx(std::log(0.1) / 2).epsilon(1e-14));
    CHECK(score[1] == doctest::Approx(std::log(0.5) / 2).epsilon(1e-14));
}

TEST_CASE("residual_ratio: is bounded by fall per step and by 10 per window, also where nothing is left") {
    LossLab lab({.loss = "residual_ratio",
                 .options = {{"fall", "2"}},
                 .batch = 4,
                 .len = 3,
                 .horizon = 2,
                 .blocks = {{1}}});
    set_values(lab.g(0), {1, 1, 1, 1e-160, 1, 1, 1, 1, 1e-3, 0, 1e9, 1e-161});
    const std::vector<double> score = lab.eval();
    CHECK(score[0] == -2);
    CHECK(score[1] == -2);
    CHECK(score[2] == 5);
    CHECK(score[3] == doctest::Approx(std::log(0.1) / 2).epsilon(1e-12));  // squares would be 0
}

TEST_CASE("residual_ratio: vjp agrees with central differences to 1e-7, and is 0 beyond the bounds") {
    CHECK(LossLab({.loss = "residual_ratio", .len = 4, .horizon = 3, .blocks = {{2, 2}, {3}}}).vjp_error() <=
          1e-7);
    LossLab beyond({.loss = "residual_ratio", .len = 4, .horizon = 3, .blocks = {{2}}});
    for (double& g : beyond.g(0).rows(3, 1).values<double>()) g *= 1e9;
    CHECK(beyond.vjp_error() == 0);
}

TEST_CASE("residual_ratio: of a population is the mean over its particles, each bounded by itself") {
    LossLab lab(
        {.loss = "residual_ratio", .batch = 1, .len = 2, .horizon = 1, .particles = 2, .blocks = {{1}}});
    set_values(lab.g(0), {1, 2, 0, 1});
    CHECK(lab.eval()[0] == doctest::Approx((-3 - std::log(2)) / 2).epsilon(1e-14));
    CHECK(LossLab({.loss = "residual_ratio", .particles = 3, .blocks = {{2, 2}, {3}}}).vjp_error() <= 1e-7);
}

TEST_CASE("residual_ratio: fall = 0 is refused") {
    CHECK_THROWS_WITH_AS(LossLab({.loss = "residual_ratio", .options = {{"fall", "0"}}}),
                         doctest::Contains("fall"),
                         l2o::framework::Error);
}
