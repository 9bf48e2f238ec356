#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

/// 1/2 ||x||^2 + alpha (n - sum cos 2 pi x_i).
ProblemLab::Setup classic(const std::string& alpha,
                          const std::string& init_std = "1",
                          const std::string& box = "0") {
    return {.optimizee = "rastrigin",
            .options = {
                {"n", "4"}, {"family", "classic"}, {"alpha", alpha}, {"init_std", init_std}, {"box", box}}};
}
double worst(const std::vector<double>& f) { return *std::max_element(f.begin(), f.end()); }

}  // namespace

TEST_CASE("cma_es: finds the minimum of a bowl to 1e-12, and of quadratics with a condition of 1e6") {
    Lab bowl({.optimizer = "cma_es", .problem = classic("0")});
    CHECK(worst(bowl.run(150).f.back()) < 1e-12);
    Lab narrow({.optimizer = "cma_es",
                .problem = {.optimizee = "quadratic",
                            .options = {{"n", "5"}, {"init_std", "1"}, {"condition_number", "1e6"}}}});
    CHECK(worst(narrow.run(500).f.back()) < 1e-9);
}

TEST_CASE("cma_es: a step is charged a value per particle, and x is the best of them so far") {
    Lab lab({.optimizer = "cma_es", .options = {{"particles", "6"}}, .problem = classic("10")});
    const Lab::Run run = lab.run(40);
    CHECK(run.value_evaluations == 40 * 6);
    CHECK(run.gradient_evaluations == 0);
    for (std::size_t t = 1; t < 40; ++t)
        for (std::size_t row = 0; row < 4; ++row) CHECK(run.f[t + 1][row] <= run.f[t][row]);
}

TEST_CASE("cma_es: restarts with larger populations find the least of many wells, one search does not") {
    ProblemLab::Setup wells = classic("10", "2", "5.12");
    wells.options["n"] = "2";
    wells.instances = 8;
    const auto solved_after = [&](int steps) {
        Lab lab({.optimizer = "cma_es", .options = {{"tolerance", "1e-9"}}, .problem = wells});
        return std::ranges::count_if(lab.run(steps).f.back(), [](double f) { return f < 1e-7; });
    };
    CHECK(solved_after(80) <= 2);
    CHECK(solved_after(3000) >= 6);
}

TEST_CASE("cma_es: in single precision, too, searches end and others find lower wells") {
    ProblemLab::Setup wells = classic("10", "2", "5.12");
    wells.options["n"] = "2";
    wells.instances = 8;
    wells.dtype = Dtype::kF32;
    Lab lab({.optimizer = "cma_es", .problem = wells});
    CHECK(std::ranges::count_if(lab.run(3000).f.back(), [](double f) { return f < 1e-4; }) >= 6);
}

TEST_CASE("cma_es: every point lies in the box, and the minimum is found where it is at a bound") {
    const ProblemLab::Setup bowl{
        .optimizee = "rastrigin", .options = {{"n", "3"}, {"alpha", "0"}, {"box", "0.25"}}, .instances = 6};
    const Lab::Run run = Lab({.optimizer = "cma_es", .problem = bowl}).run(150);
    for (const std::vector<double>& x : run.x)
        CHECK(std::ranges::all_of(x, [](double value) { return std::abs(value) <= 0.25; }));
    const Lab::Run projected = Lab({.optimizer = "projected_gradient",
                                    .options = {{"step_rule", "armijo"}, {"initial_step", "0.5"}},
                                    .problem = bowl})
                                   .run(4000);
    for (std::size_t row = 0; row < 6; ++row)
        CHECK(run.f.back()[row] <= (1 + 1e-9) * projected.f.back()[row] + 1e-12);
}

TEST_CASE("cma_es: one particle, which nothing ranks, is refused") {
    CHECK_THROWS_WITH_AS(
        Lab({.optimizer = "cma_es", .options = {{"particles", "1"}}, .problem = classic("0")}),
        doctest::Contains("particles is 1, which nothing ranks; expected 0, or at least 2"),
        l2o::framework::Error);
}

TEST_CASE("cma_es: a full covariance of too many coordinates is refused, and says what to use") {
    const ProblemLab::Setup large{
        .optimizee = "lasso", .options = {{"m", "1"}, {"n", "4097"}}, .instances = 1};
    CHECK_THROWS_WITH_AS(Lab({.optimizer = "cma_es", .problem = large}),
                         doctest::Contains("expected at most 4096, or separable true"),
                         l2o::framework::Error);
}
