#include "framework/error.hpp"
#include "tests/plugins/losses/loss_lab.hpp"

using namespace l2o::test;

TEST_CASE("jacobian_regularized: is the mean over t = 1 .. T of f + lambda ||g||^2, over all blocks") {
    LossLab lab({.loss = "jacobian_regularized",
                 .options = {{"lambda", "0.5"}},
                 .batch = 1,
                 .len = 3,
                 .horizon = 2,
                 .blocks = {{2}, {}}});
    set_values(lab.f(), {100, 1, 2});
    set_values(lab.g(0), {9, 9, 1, 2, 3, 0});
    set_values(lab.g(1), {9, 1, 1});
    CHECK(lab.eval() == std::vector<double>{((1 + 0.5 * 6) + (2 + 0.5 * 10)) / 2});
}

TEST_CASE("jacobian_regularized: squares mean divides the penalty by the number of variables") {
    const auto score = [](const char* squares, const char* lambda) {
        LossLab lab({.loss = "jacobian_regularized",
                     .options = {{"squares", squares}, {"lambda", lambda}},
                     .blocks = {{2}, {3}}});
        return lab.eval();
    };
    CHECK(relative_error(score("mean", "0.5"), score("sum", "0.1")) <= 1e-14);
    CHECK(relative_error(score("mean", "0.5"), score("sum", "0.5")) > 1e-2);
}

TEST_CASE("jacobian_regularized: without a penalty it is trajectory_sum over the horizon") {
    LossLab lab({.loss = "jacobian_regularized", .options = {{"lambda", "0"}}, .horizon = 10});
    LossLab sum({.loss = "trajectory_sum", .horizon = 10});
    std::vector<double> mean = sum.eval();
    for (double& value : mean) value /= 10;
    CHECK(relative_error(lab.eval(), mean) <= 1e-14);
}

TEST_CASE("jacobian_regularized: two windows that meet in a point sum to the window over both") {
    LossLab lab({.loss = "jacobian_regularized", .len = 8, .t0 = 20, .horizon = 100});
    CHECK(lab.loss().is_additive());
    const std::vector<double> first = lab.eval(0, 4), second = lab.eval(3, 5), both = lab.eval(0, 8);
    for (std::size_t row = 0; row < 3; ++row)
        CHECK(first[row] + second[row] == doctest::Approx(both[row]).epsilon(1e-14));
}

TEST_CASE("jacobian_regularized: of a population is the mean over its particles") {
    LossLab lab({.loss = "jacobian_regularized",
                 .options = {{"lambda", "1"}},
                 .batch = 1,
                 .len = 2,
                 .horizon = 1,
                 .particles = 2,
                 .blocks = {{1}}});
    set_values(lab.f(), {100, 100, 3, 5});
    set_values(lab.g(0), {9, 9, 1, 3});
    CHECK(lab.eval() == std::vector<double>{((3 + 1) + (5 + 9)) / 2.0});
}

TEST_CASE("jacobian_regularized: vjp agrees with central differences by f and g to 1e-6") {
    for (const char* squares : {"sum", "mean"})
        for (const std::int64_t particles : {0, 3})
            CHECK(LossLab({.loss = "jacobian_regularized",
                           .options = {{"lambda", "0.3"}, {"squares", squares}},
                           .particles = particles,
                           .blocks = {{2, 2}, {3}}})
                      .vjp_error() <= 1e-6);
}

TEST_CASE("jacobian_regularized: a negative weight is refused") {
    CHECK_THROWS_WITH_AS(LossLab({.loss = "jacobian_regularized", .options = {{"lambda", "-1"}}}),
                         doctest::Contains("lambda"),
                         l2o::framework::Error);
}
