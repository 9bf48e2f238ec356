#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

const ProblemLab::Setup kProblem{.optimizee = "quadratic"};

std::vector<std::vector<double>> run(const OptionText& options, int steps) {
    return Lab({.optimizer = "rmsprop", .options = options, .problem = kProblem}).run(steps).x;
}

}  // namespace

TEST_CASE("rmsprop: 1,000 steps in float64 follow the recursion of either epsilon form to 1e-12") {
    // With a smaller epsilon the steps near the solution are unstable, and 1,000 of them magnify every
    // rounding.
    constexpr double kEta = 0.001, kAlpha = 0.8, kEpsilon = 0.1;
    for (const bool tf : {false, true}) {
        CAPTURE(tf);
        const auto got = run({{"learning_rate", "0.001"},
                              {"alpha", "0.8"},
                              {"epsilon", "0.1"},
                              {"epsilon_form", tf ? "tf" : "torch"}},
                             1000);
        ProblemLab problem(kProblem);
        std::vector<double> x = values(problem.x()[0]), v(x.size(), tf ? 1.0 : 0.0);
        double worst = 0;
        for (std::size_t t = 1; t <= 1000; ++t) {
            set_values(problem.x()[0], x);
            const std::vector<double> g = problem.gradient()[0];
            for (std::size_t i = 0; i < x.size(); ++i) {
                v[i] = kAlpha * v[i] + (1 - kAlpha) * g[i] * g[i];
                x[i] -= kEta * g[i] / (tf ? std::sqrt(v[i] + kEpsilon) : std::sqrt(v[i]) + kEpsilon);
            }
            worst = std::max(worst, relative_error(got[t], x));
        }
        CHECK(worst <= 1e-12);
    }
}

// Why RMSProp is flat for a hundred steps in published curves (TensorFlow 1 starts from v = 1).
TEST_CASE(
    "rmsprop: the first step is learning_rate / sqrt(1 - alpha) long, but near learning_rate |g| in tf "
    "form") {
    ProblemLab problem(kProblem);
    const std::vector<double> g = problem.gradient()[0];
    const auto torch = run({{"epsilon", "1e-10"}}, 1);
    const auto tf = run({{"epsilon", "1e-10"}, {"epsilon_form", "tf"}}, 1);
    for (std::size_t i = 0; i < g.size(); ++i) {
        CHECK(torch[1][i] - torch[0][i] ==
              doctest::Approx(-std::copysign(0.01 / std::sqrt(0.1), g[i])).epsilon(1e-7));
        CHECK(tf[1][i] - tf[0][i] ==
              doctest::Approx(-0.01 * g[i] / std::sqrt(0.9 + 0.1 * g[i] * g[i])).epsilon(1e-9));
    }
}

TEST_CASE("rmsprop: epsilon = 0 is refused, for it may divide by 0") {
    CHECK_THROWS_WITH_AS(run({{"epsilon", "0"}}, 1), doctest::Contains("epsilon"), l2o::framework::Error);
}
