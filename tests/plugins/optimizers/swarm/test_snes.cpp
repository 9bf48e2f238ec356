#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

/// 1/2 ||x||^2.
ProblemLab::Setup bowl(const char* n, const char* box = "0") {
    return {.optimizee = "rastrigin",
            .options = {{"n", n}, {"family", "classic"}, {"alpha", "0"}, {"box", box}},
            .instances = 8};
}
double worst(const std::vector<double>& f) { return *std::max_element(f.begin(), f.end()); }

}  // namespace

TEST_CASE("snes: finds the minimum of a bowl, of 20 coordinates too, a value per particle") {
    Lab small({.optimizer = "snes", .problem = bowl("4")});
    const Lab::Run run = small.run(150);
    CHECK(worst(run.f.back()) < 1e-9);
    CHECK(run.value_evaluations == 150 * 8);  // 4 + floor(3 ln 4)
    CHECK(run.gradient_evaluations == 0);
    CHECK(worst(Lab({.optimizer = "snes", .problem = bowl("20")}).run(700).f.back()) < 1e-9);
}

TEST_CASE("snes: x is the best point so far") {
    const Lab::Run run = Lab({.optimizer = "snes", .problem = {.optimizee = "rastrigin"}}).run(40);
    for (std::size_t t = 1; t < 40; ++t)
        for (std::size_t row = 0; row < 4; ++row) CHECK(run.f[t + 1][row] <= run.f[t][row]);
}

// f is a function of x_1 alone: u is not correlated with z_2, and sigma_2 has drift 0 up to noise.
TEST_CASE(
    "snes: the search on an ellipsoid of condition 1e6 takes no longer than on a sphere, if its axes are the "
    "coordinates") {
    const auto evaluate = [](const char* optimizer) {
        return worst(
            Lab({.optimizer = optimizer,
                 .problem = {.optimizee = "quadratic",
                             .options = {{"n", "5"}, {"init_std", "1"}, {"condition_number", "1e6"}}}})
                .run(300)
                .f.back());
    };
    INFO("one with rotated axes takes far longer, and cma_es does not mind");
    CHECK(evaluate("snes") > 1e3 * evaluate("cma_es"));
}

TEST_CASE("snes: the minimum is found where it is at a bound of the box") {
    const ProblemLab::Setup box{
        .optimizee = "rastrigin", .options = {{"n", "3"}, {"alpha", "0"}, {"box", "0.25"}}, .instances = 6};
    const Lab::Run run = Lab({.optimizer = "snes", .problem = box}).run(300);
    const Lab::Run cma = Lab({.optimizer = "cma_es", .problem = box}).run(300);
    for (const std::vector<double>& x : run.x)
        CHECK(std::ranges::all_of(x, [](double value) { return std::abs(value) <= 0.25; }));
    for (std::size_t row = 0; row < 6; ++row) CHECK(run.f.back()[row] <= 1.001 * cma.f.back()[row] + 1e-6);
}

TEST_CASE("snes: one particle, which nothing ranks, is refused") {
    CHECK_THROWS_WITH_AS(Lab({.optimizer = "snes", .options = {{"particles", "1"}}, .problem = bowl("3")}),
                         doctest::Contains("particles is 1, which nothing ranks; expected 0, or at least 2"),
                         l2o::framework::Error);
}
