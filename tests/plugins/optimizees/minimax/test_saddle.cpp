#include <doctest/doctest.h>

#include <cmath>

#include "tests/support/lab.hpp"

using namespace l2o::test;

TEST_CASE("saddle: gradient and Hessian-vector product agree with central differences to 1e-9") {
    CHECK(ProblemLab({.optimizee = "saddle"}).gradient_error() <= 1e-9);
    CHECK(ProblemLab({.optimizee = "saddle"}).hvp_error() <= 1e-9);
}

TEST_CASE("saddle: f is a u^2 - b v^2, and the gap what the best answers, u = 0 and v = 0, would change") {
    ProblemLab lab({.optimizee = "saddle", .instances = 2});
    set_values(lab.data("a"), {0.9, 1});
    set_values(lab.data("b"), {1, 0.95});
    set_values(lab.x()[0], {0.5, -0.2});
    set_values(lab.x()[1], {-0.3, 0.4});
    CHECK(relative_error(lab.objective(), {0.9 * 0.25 - 0.09, 0.04 - 0.95 * 0.16}) <= 1e-15);
    CHECK(relative_error(lab.metric("gap"), {0.9 * 0.25 + 0.09, 0.04 + 0.95 * 0.16}) <= 1e-15);
    CHECK(relative_error(lab.metric("d_u"), {0.5, 0.2}) <= 1e-15);
    CHECK(relative_error(lab.metric("d_v"), {0.3, 0.4}) <= 1e-15);
    CHECK(relative_error(lab.metric("distance"), {0.8, 0.6}) <= 1e-15);
    CHECK(relative_error(lab.metric("mean_distance"), {0.8, 1, 0.6, 1}) <=
          1e-15);  // sums of u over sums of w
    CHECK(relative_error(lab.metric("mean_d_u"), {0.5, 1, 0.2, 1}) <= 1e-15);
    CHECK(relative_error(lab.metric("residual"), {std::hypot(0.9, 0.6), std::hypot(0.4, 0.76)}) <= 1e-15);
}

TEST_CASE("saddle: an evaluation is one partial gradient: a gradient is two, a value one") {
    const ProblemLab lab({.optimizee = "saddle"});
    CHECK(lab.optimizee().info().cost_gradient == 2);
    CHECK(lab.optimizee().info().cost_value == 1);
}
