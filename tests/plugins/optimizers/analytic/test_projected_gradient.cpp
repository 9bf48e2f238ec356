#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

/// A strongly curved bowl whose least point lies outside of the box in some coordinates.
const ProblemLab::Setup kBowl{
    .optimizee = "rastrigin", .options = {{"n", "3"}, {"alpha", "0"}, {"box", "0.25"}}, .instances = 6};

Lab::Run run(const OptionText& options, const ProblemLab::Setup& problem, int steps) {
    return Lab({.optimizer = "projected_gradient", .options = options, .problem = problem}).run(steps);
}

}  // namespace

TEST_CASE("projected_gradient: without bounds it is gradient descent, bit for bit, with both step rules") {
    const ProblemLab::Setup problem{.optimizee = "quadratic"};
    for (const OptionText& options : {OptionText{{"learning_rate", "0.02"}},
                                      OptionText{{"step_rule", "armijo"}, {"initial_step", "1"}}}) {
        const Lab::Run descent =
            Lab({.optimizer = "gradient_descent", .options = options, .problem = problem}).run(20);
        const Lab::Run projected = run(options, problem, 20);
        if (options.contains("learning_rate")) {
            CHECK(projected.x == descent.x);
        } else {
            CHECK(relative_error(projected.x.back(), descent.x.back()) <= 1e-9);
        }
        CHECK(projected.value_evaluations == descent.value_evaluations);
        CHECK(projected.gradient_evaluations == descent.gradient_evaluations);
    }
}

TEST_CASE("projected_gradient: every point lies in the box, and the last one is the best there is") {
    for (const OptionText& options : {OptionText{{"learning_rate", "0.02"}},
                                      OptionText{{"step_rule", "armijo"}, {"initial_step", "0.5"}}}) {
        const Lab::Run out = run(options, kBowl, 4000);
        for (const std::vector<double>& x : out.x)
            CHECK(std::ranges::all_of(x, [](double value) { return std::abs(value) <= 0.25; }));
        // x = P(x - g) holds at the constrained minimum of a convex function and nowhere else.
        ProblemLab problem(kBowl);
        set_values(problem.x()[0], out.x.back());
        const std::vector<double> g = problem.gradient()[0], &x = out.x.back();
        bool touches = false;
        for (std::size_t i = 0; i < x.size(); ++i) {
            CHECK(std::abs(x[i] - std::clamp(x[i] - g[i], -0.25, 0.25)) <= 1e-6);
            touches = touches || std::abs(x[i]) == 0.25;
        }
        CHECK(touches);
    }
}

TEST_CASE("a method that knows no bounds is refused on a block that has some, and told who keeps them") {
    try {
        const Lab lab({.optimizer = "adam", .options = {}, .problem = kBowl});
        FAIL("nothing was thrown");
    } catch (const l2o::framework::Error& error) {
        CHECK(std::string(error.what()) ==
              "optimizer 'adam' on 'rastrigin': block 'x' has bounds, which this method does not keep; use "
              "one that "
              "does, for example 'projected_gradient', or 'cma_es' by values alone");
    }
}
