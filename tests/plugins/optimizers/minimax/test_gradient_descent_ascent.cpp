#include <doctest/doctest.h>

#include <cmath>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

Lab lab_on_saddle(const char* order, const char* learning_rate) {
    Lab lab({.optimizer = "gradient_descent_ascent",
             .options = {{"order", order}, {"learning_rate", learning_rate}},
             .problem = {.optimizee = "rotated_saddle", .instances = 1}});
    set_values(lab.problem().data("a"), {0.9});
    set_values(lab.problem().data("b"), {0.9});
    set_values(lab.problem().x()[0], {0.3});
    set_values(lab.problem().x()[1], {-0.4});
    return lab;
}

}  // namespace

// With a = b the Jacobian of (df/du, -df/dv) is 2a I + 2 J with J a quarter turn: every step scales all
// distances.
TEST_CASE(
    "gradient_descent_ascent: simultaneous steps scale the distance by sqrt((1 - 2 a eta)^2 + 4 eta^2)") {
    for (const double eta : {0.1, 0.51}) {
        CAPTURE(eta);
        const Lab::Run run = lab_on_saddle("simultaneous", eta == 0.1 ? "0.1" : "0.51").run(40);
        const double factor = std::hypot(1 - 1.8 * eta, 2 * eta);
        for (std::size_t t = 0; t < 40; ++t) {
            CHECK(std::hypot(run.x[t + 1][0], run.x[t + 1][1]) ==
                  doctest::Approx(factor * std::hypot(run.x[t][0], run.x[t][1])).epsilon(1e-12));
        }
        CHECK((factor > 1) == (eta == 0.51));  // the larger step spirals out
    }
}

TEST_CASE("gradient_descent_ascent: alternating steps move v by the gradient at the new u") {
    const Lab::Run run = lab_on_saddle("alternating", "0.2").run(3);
    double u = 0.3, v = -0.4;
    for (std::size_t t = 1; t <= 3; ++t) {
        u -= 0.2 * (1.8 * u + 2 * v);
        v += 0.2 * (-1.8 * v + 2 * u);
        CHECK(relative_error(run.x[t], {u, v}) <= 1e-14);
    }
}

TEST_CASE("gradient_descent_ascent: in either order a step is charged the partial gradients that it uses") {
    CHECK(lab_on_saddle("alternating", "0.2").run(5).gradient_evaluations == 10);
    CHECK(lab_on_saddle("simultaneous", "0.2").run(5).gradient_evaluations == 10);
}

TEST_CASE(
    "gradient_descent_ascent: on a problem without a maximising block both orders are gradient descent") {
    const ProblemLab::Setup problem{.optimizee = "quadratic"};
    const Lab::Run descent =
        Lab({.optimizer = "gradient_descent", .options = {{"learning_rate", "0.02"}}, .problem = problem})
            .run(10);
    for (const char* order : {"simultaneous", "alternating"}) {
        const Lab::Run run = Lab({.optimizer = "gradient_descent_ascent",
                                  .options = {{"order", order}, {"learning_rate", "0.02"}},
                                  .problem = problem})
                                 .run(10);
        CHECK(run.x == descent.x);
        CHECK(run.gradient_evaluations == 10);
    }
}

TEST_CASE("gradient_descent_ascent: an unknown order is refused with the known ones") {
    CHECK_THROWS_WITH_AS(
        lab_on_saddle("alternate", "0.2"), doctest::Contains("alternating"), l2o::framework::Error);
}
