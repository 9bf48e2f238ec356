#include "framework/error.hpp"
#include "tests/plugins/losses/loss_lab.hpp"

using namespace l2o::test;

TEST_CASE("trajectory_sum: sums f over the points 1 .. T, and the start does not count") {
    LossLab lab({.loss = "trajectory_sum", .batch = 2, .len = 3});
    set_values(lab.f(), {100, 200, 1, 2, 3, 4});
    CHECK(lab.eval() == std::vector<double>{4, 6});
}

TEST_CASE("trajectory_sum: two windows that meet in a point sum to the window over both") {
    LossLab lab({.loss = "trajectory_sum", .len = 8, .t0 = 20, .horizon = 100});
    CHECK(lab.loss().is_additive());
    const std::vector<double> first = lab.eval(0, 4), second = lab.eval(3, 5), both = lab.eval(0, 8);
    for (std::size_t row = 0; row < 3; ++row)
        CHECK(first[row] + second[row] == doctest::Approx(both[row]).epsilon(1e-14));
}

TEST_CASE("trajectory_sum: weights last is f at the last point of the window") {
    LossLab lab({.loss = "trajectory_sum", .options = {{"weights", "last"}}, .len = 5, .horizon = 100});
    const std::vector<double> f = values(lab.f());
    CHECK(lab.eval() == std::vector<double>(f.end() - 3, f.end()));
}

TEST_CASE("trajectory_sum: of a population is the mean over its particles") {
    LossLab lab({.loss = "trajectory_sum", .batch = 1, .len = 2, .particles = 2});
    set_values(lab.f(), {100, 100, 3, 5});
    CHECK(lab.eval() == std::vector<double>{4});
}

TEST_CASE("trajectory_sum: vjp agrees with central differences to 1e-8") {
    for (const char* weights : {"uniform", "last"})
        for (const std::int64_t particles : {0, 4})
            CHECK(
                LossLab({.loss = "trajectory_sum", .options = {{"weights", weights}}, .particles = particles})
                    .vjp_error() <= 1e-8);
}

TEST_CASE("trajectory_sum: unknown weights are refused with the known ones") {
    CHECK_THROWS_WITH_AS(LossLab({.loss = "trajectory_sum", .options = {{"weights", "linear"}}}),
                         doctest::Contains("uniform"),
                         l2o::framework::Error);
}
