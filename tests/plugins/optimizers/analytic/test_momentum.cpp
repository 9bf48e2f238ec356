#include <doctest/doctest.h>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

const ProblemLab::Setup kProblem{.optimizee = "quadratic"};
constexpr int kSteps = 50;

Lab::Run run_momentum(const OptionText& options) {
    return Lab({.optimizer = "momentum", .options = options, .problem = kProblem}).run(kSteps);
}

}  // namespace

TEST_CASE("momentum: with mu = 0 both forms are gradient descent, bit for bit") {
    const Lab::Run descent =
        Lab({.optimizer = "gradient_descent", .options = {{"learning_rate", "0.02"}}, .problem = kProblem})
            .run(kSteps);
    for (const char* nesterov : {"false", "true"}) {
        CAPTURE(nesterov);
        const Lab::Run run = run_momentum({{"learning_rate", "0.02"}, {"mu", "0"}, {"nesterov", nesterov}});
        CHECK(run.x == descent.x);
    }
}

TEST_CASE("momentum: heavy ball is x_{t+1} = x_t - eta g(x_t) + mu (x_t - x_{t-1})") {
    constexpr double kEta = 0.02, kMu = 0.8;
    const Lab::Run run = run_momentum({{"learning_rate", "0.02"}, {"mu", "0.8"}});
    ProblemLab problem(kProblem);
    std::vector<double> x = values(problem.x()[0]), x_before = x;
    for (int t = 1; t <= kSteps; ++t) {
        set_values(problem.x()[0], x);
        const std::vector<double> g = problem.gradient()[0];
        std::vector<double> x_next = x;
        for (std::size_t i = 0; i < x.size(); ++i) x_next[i] += -kEta * g[i] + kMu * (x[i] - x_before[i]);
        x_before = x;
        x = x_next;
        CHECK(relative_error(run.x[static_cast<std::size_t>(t)], x) <= 1e-12);
    }
}

// Nesterov 1983 with constant coefficients, in the sequence of the points where the gradient is taken.
TEST_CASE("momentum: nesterov is z_{t+1} = y_t - eta g(y_t), y_{t+1} = z_{t+1} + mu (z_{t+1} - z_t)") {
    constexpr double kEta = 0.02, kMu = 0.8;
    const Lab::Run run = run_momentum({{"learning_rate", "0.02"}, {"mu", "0.8"}, {"nesterov", "true"}});
    ProblemLab problem(kProblem);
    std::vector<double> y = values(problem.x()[0]), z = y;
    for (int t = 1; t <= kSteps; ++t) {
        set_values(problem.x()[0], y);
        const std::vector<double> g = problem.gradient()[0];
        for (std::size_t i = 0; i < y.size(); ++i) {
            const double z_next = y[i] - kEta * g[i];
            y[i] = z_next + kMu * (z_next - z[i]);
            z[i] = z_next;
        }
        CHECK(relative_error(run.x[static_cast<std::size_t>(t)], y) <= 1e-12);
    }
}

TEST_CASE("momentum: mu = 1 is refused") {
    CHECK_THROWS_WITH_AS(
        run_momentum({{"mu", "1"}}), doctest::Contains("expected a number in [0, 1)"), l2o::framework::Error);
}
