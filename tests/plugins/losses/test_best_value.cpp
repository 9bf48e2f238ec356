#include <algorithm>
#include <cmath>

#include "framework/error.hpp"
#include "tests/plugins/losses/loss_lab.hpp"

using namespace l2o::test;

TEST_CASE("best_value: is the least f of every row over the trajectory") {
    LossLab lab({.loss = "best_value"});
    const std::vector<double> f = values(lab.f()), best = lab.eval();
    for (std::size_t row = 0; row < 3; ++row) {
        double least = f[row];
        for (std::size_t point = 0; point < 5; ++point) least = std::min(least, f[point * 3 + row]);
        CHECK(best[row] == least);
    }
}

TEST_CASE("best_value: of a population over all particles; what is not a number does not count") {
    LossLab lab({.loss = "best_value", .batch = 2, .len = 2, .horizon = 1, .particles = 2});
    set_values(lab.f(), {std::nan(""), 6, 4, 5, 7, 3, std::nan(""), 8});
    CHECK(lab.eval() == std::vector<double>{3, 4});
    set_values(lab.f(), {std::nan(""), std::nan(""), 4, 5, std::nan(""), std::nan(""), 2, 8});
    CHECK(std::isnan(lab.eval()[0]));
    CHECK(lab.eval()[1] == 2);
}

TEST_CASE("best_value: with particles mean it is the mean of what each particle found") {
    LossLab lab({.loss = "best_value",
                 .options = {{"particles", "mean"}},
                 .batch = 2,
                 .len = 2,
                 .horizon = 1,
                 .particles = 2});
    set_values(lab.f(), {std::nan(""), 6, 4, 5, 7, 3, std::nan(""), 8});
    CHECK(lab.eval() == std::vector<double>{5, 4.5});
}

TEST_CASE("best_value: vjp agrees with central differences to 1e-8") {
    CHECK(LossLab({.loss = "best_value"}).vjp_error() <= 1e-8);
    CHECK(LossLab({.loss = "best_value", .particles = 4}).vjp_error() <= 1e-8);
    CHECK(LossLab({.loss = "best_value", .options = {{"particles", "mean"}}, .particles = 4}).vjp_error() <=
          1e-8);
}

TEST_CASE("best_value: scores whole trajectories alone") {
    LossLab lab({.loss = "best_value", .horizon = 100});
    CHECK_FALSE(lab.loss().scores_windows());
    CHECK_THROWS_WITH_AS(
        lab.eval(),
        doctest::Contains("the window has the points 0 to 4; best_value reads the points 0 to 100"),
        l2o::framework::Error);
}
