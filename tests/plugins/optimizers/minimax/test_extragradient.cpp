#include <doctest/doctest.h>

#include <cmath>
#include <complex>

#include "framework/error.hpp"
#include "game_lab.hpp"

using namespace l2o::test;

namespace {

Lab lab_on_saddle(const char* optimizer) {
    Lab lab({.optimizer = optimizer,
             .options = {{"learning_rate", "0.51"}},
             .problem = {.optimizee = "rotated_saddle", .instances = 1}});
    set_values(lab.problem().data("a"), {0.9});
    set_values(lab.problem().data("b"), {0.9});
    return lab;
}

double distance(const std::vector<double>& x) { return std::hypot(x[0], x[1]); }

}  // namespace

// With a = b, u - i v turns the field (df/du, -df/dv) into a product with lambda = 2a + 2i (or its
// conjugate), and a step into one with 1 - eta lambda + (eta lambda)^2.
TEST_CASE(
    "extragradient: on the rotated saddle a step scales the distance by |1 - eta lambda + (eta lambda)^2|") {
    const Lab::Run run = lab_on_saddle("extragradient").run(60);
    const std::complex<double> step = 0.51 * std::complex<double>(1.8, 2);
    const double factor = std::abs(1.0 - step + step * step);
    for (std::size_t t = 0; t < 60; ++t)
        CHECK(distance(run.x[t + 1]) == doctest::Approx(factor * distance(run.x[t])).epsilon(1e-12));
    CHECK(run.gradient_evaluations == 240);  // partial ones
}

TEST_CASE(
    "extragradient: converges on the rotated saddle with a step at which gradient descent ascent spirals "
    "out") {
    const Lab::Run inward = lab_on_saddle("extragradient").run(100);
    const Lab::Run outward = lab_on_saddle("gradient_descent_ascent").run(100);
    CHECK(distance(inward.x.back()) < 1e-5 * distance(inward.x[0]));
    CHECK(distance(outward.x.back()) > 5 * distance(outward.x[0]));
}

TEST_CASE("extragradient: update_ratio c makes a step z - c eta m (1 - eta m) z on every linear game") {
    for (const LinearGame& game : linear_games()) {
        CAPTURE(game.name);
        const Lab::Run run =
            lab_on(game.name, "extragradient", {{"learning_rate", "0.4"}, {"update_ratio", "0.25"}}).run(40);
        const Complex m = 0.4 * game.factor;
        CHECK(follows(run, [&](double, Complex z, Complex) { return z - 0.25 * m * (1.0 - m) * z; }));
    }
}

TEST_CASE("extragradient: in a pure minimisation x' is x - eta g(x - eta g(x))") {
    Lab lab({.optimizer = "extragradient",
             .options = {{"learning_rate", "0.02"}},
             .problem = {.optimizee = "quadratic"}});
    ProblemLab& problem = lab.problem();
    const std::vector<double> x = values(problem.x()[0]), g = problem.gradient()[0];
    std::vector<double> half = x, want = x;
    const Lab::Run run = lab.run(1);
    for (std::size_t i = 0; i < x.size(); ++i) half[i] -= 0.02 * g[i];
    set_values(problem.x()[0], half);
    const std::vector<double> g_half = problem.gradient()[0];
    for (std::size_t i = 0; i < x.size(); ++i) want[i] -= 0.02 * g_half[i];
    CHECK(relative_error(run.x[1], want) <= 1e-15);
}

TEST_CASE("extragradient: learning_rate = 0 is refused") {
    CHECK_THROWS_WITH_AS(Lab({.optimizer = "extragradient",
                              .options = {{"learning_rate", "0"}},
                              .problem = {.optimizee = "quadratic"}}),
                         doctest::Contains("learning_rate"),
                         l2o::framework::Error);
}

// The prototype's medians after 2,000 partial gradients, with its 100 games and five starts.
TEST_CASE("extragradient: ends where it is known to end, at tuned steps, with one step size and two") {
    CHECK(std::abs(median_after(500, "seesaw", "extragradient", {{"learning_rate", "0.25"}}) - (-31.7)) <= 4);
    CHECK(std::abs(median_after(
                       500, "seesaw", "extragradient", {{"learning_rate", "0.5"}, {"update_ratio", "0.25"}}) -
                   (-107.1)) <= 8);
    CHECK(
        std::abs(median_after(
                     500, "matrix_game", "extragradient", {{"learning_rate", "4"}, {"update_ratio", "0.1"}}) -
                 (-196.2)) <= 20);
    CHECK(std::abs(median_after(500, "rotated_saddle", "extragradient", {{"learning_rate", "0.354"}}) -
                   (-216.6)) <= 8);
}
