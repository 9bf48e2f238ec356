#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

ProblemLab::Setup classic(const char* alpha, const char* box = "0") {
    return {.optimizee = "rastrigin",
            .options = {{"n", "3"}, {"family", "classic"}, {"alpha", alpha}, {"box", box}}};
}
Lab::Run run_of(OptionText options, const ProblemLab::Setup& problem, int steps) {
    options.emplace("spread", "2");  // Lab starts all particles in one point
    return Lab({.optimizer = "differential_evolution", .options = std::move(options), .problem = problem})
        .run(steps);
}
double worst(const std::vector<double>& f) { return *std::max_element(f.begin(), f.end()); }
double least(const std::vector<double>& f) { return *std::min_element(f.begin(), f.end()); }

}  // namespace

TEST_CASE("differential_evolution: every strategy finds the minimum of a bowl and the least of many wells") {
    for (const char* strategy : {"rand", "best", "current_to_best"}) {
        CAPTURE(strategy);
        CHECK(worst(run_of({{"strategy", strategy}}, classic("0"), 300).f.back()) < 1e-6);
        CHECK(worst(run_of({{"strategy", strategy}, {"crossover", "0.2"}}, classic("10"), 500).f.back()) <
              1e-6);
    }
}

TEST_CASE("differential_evolution: is charged a value per particle and step, and no gradient") {
    const Lab::Run run = run_of({{"particles", "7"}}, classic("10"), 9);
    CHECK(run.value_evaluations == 63);
    CHECK(run.gradient_evaluations == 0);
}

TEST_CASE("differential_evolution: with a crossover of 0 a trial differs from a parent in one coordinate") {
    // With all values equal every trial becomes a parent, and the next differs from it in one.
    ProblemLab::Setup flat = classic("0");
    flat.options["n"] = "5";
    const Lab::Run run = run_of({{"crossover", "0"}, {"particles", "8"}}, flat, 12);
    for (std::size_t t = 2; t < 12; ++t) {
        for (std::size_t p = 0; p < 8; ++p) {
            int least_changed = 5;
            for (std::size_t s = 1; s < t; ++s) {
                int changed = 0;
                for (std::size_t i = 0; i < 5; ++i)
                    changed += run.x[t][p * 5 + i] != run.x[s][p * 5 + i] ? 1 : 0;
                least_changed = std::min(least_changed, changed);
            }
            CHECK(least_changed <= 1);
        }
    }
}

TEST_CASE("differential_evolution: every point lies in the box") {
    const Lab::Run run = run_of({}, classic("10", "0.75"), 60);
    for (const std::vector<double>& x : run.x)
        CHECK(std::ranges::all_of(x, [](double value) { return std::abs(value) <= 0.75; }));
    CHECK(least(run.f.back()) < 1);
}

TEST_CASE("differential_evolution: fewer than four particles and weights in the wrong order are refused") {
    CHECK_THROWS_WITH_AS(
        run_of({{"particles", "3"}}, classic("0"), 0), doctest::Contains("particles"), l2o::framework::Error);
    CHECK_THROWS_WITH_AS(
        run_of({{"weight_from", "2"}}, classic("0"), 0),
        doctest::Contains("weight_from is 2.000000, and weight_to 1.000000; expected at most as much"),
        l2o::framework::Error);
}
