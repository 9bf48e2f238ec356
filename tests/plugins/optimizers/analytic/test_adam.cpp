#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

constexpr double kEta = 0.01, kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-3;

/// Points 0 .. steps of algorithm 1 of Kingma & Ba 2015, or of the form at the end of its section 2.
std::vector<std::vector<double>> recursion(const ProblemLab::Setup& setup, int steps, bool tf) {
    ProblemLab problem(setup);
    std::vector<double> x = values(problem.x()[0]), m(x.size()), v(x.size());
    std::vector<std::vector<double>> points{x};
    for (int t = 1; t <= steps; ++t) {
        set_values(problem.x()[0], x);
        const std::vector<double> g = problem.gradient()[0];
        for (std::size_t i = 0; i < x.size(); ++i) {
            m[i] = kBeta1 * m[i] + (1 - kBeta1) * g[i];
            v[i] = kBeta2 * v[i] + (1 - kBeta2) * g[i] * g[i];
            const double m_hat = m[i] / (1 - std::pow(kBeta1, t)), v_hat = v[i] / (1 - std::pow(kBeta2, t));
            x[i] -= tf ? kEta * std::sqrt(1 - std::pow(kBeta2, t)) / (1 - std::pow(kBeta1, t)) * m[i] /
                             (std::sqrt(v[i]) + kEpsilon)
                       : kEta * m_hat / (std::sqrt(v_hat) + kEpsilon);
        }
        points.push_back(x);
    }
    return points;
}

double worst_error(const std::vector<std::vector<double>>& got,
                   const std::vector<std::vector<double>>& want) {
    REQUIRE(got.size() == want.size());
    double worst = 0;
    for (std::size_t t = 0; t < got.size(); ++t) worst = std::max(worst, relative_error(got[t], want[t]));
    return worst;
}

}  // namespace

TEST_CASE("adam: 1,000 steps in float64 follow the recursion of either epsilon form to 1e-12") {
    const ProblemLab::Setup problem{.optimizee = "quadratic"};
    const auto torch = recursion(problem, 1000, false), tf = recursion(problem, 1000, true);
    const auto run = [&](const char* form) {
        return Lab({.optimizer = "adam",
                    .options = {{"learning_rate", "0.01"}, {"epsilon", "1e-3"}, {"epsilon_form", form}},
                    .problem = problem})
            .run(1000)
            .x;
    };
    CHECK(worst_error(run("torch"), torch) <= 1e-12);
    CHECK(worst_error(run("tf"), tf) <= 1e-12);
    INFO("with an epsilon this large the two forms are not the same");
    CHECK(worst_error(torch, tf) > 1e-6);
}

TEST_CASE(
    "adam: with epsilon = 0 the first step moves every coordinate by learning_rate against its gradient") {
    Lab lab({.optimizer = "adam",
             .options = {{"epsilon", "0"}, {"learning_rate", "0.25"}},
             .problem = {.optimizee = "rastrigin"}});
    const std::vector<double> g = lab.problem().gradient()[0];
    const Lab::Run run = lab.run(1);
    for (std::size_t i = 0; i < g.size(); ++i)
        CHECK(run.x[1][i] == doctest::Approx(run.x[0][i] - std::copysign(0.25, g[i])).epsilon(1e-14));
}

TEST_CASE("adam: a coordinate whose gradient is always 0 stays where it is, also with epsilon = 0") {
    Lab lab({.optimizer = "adam", .options = {{"epsilon", "0"}}, .problem = {.optimizee = "quadratic"}});
    lab.problem().data("W").zero();
    const Lab::Run run = lab.run(3);
    CHECK(run.x[3] == run.x[0]);
}

// 13 coordinates: a vector loop treats some of them in its body and some in its tail.
TEST_CASE("adam: permuting the coordinates of a separable problem permutes the points, bit for bit") {
    constexpr std::size_t kN = 13;
    for (const auto dtype : {Dtype::kF32, Dtype::kF64}) {
        const auto run = [&](bool reversed) {
            Lab lab(
                {.optimizer = "adam",
                 .problem = {
                     .optimizee = "quadratic", .options = {{"n", "13"}}, .instances = 1, .dtype = dtype}});
            std::vector<double> w(kN * kN), y(kN), x(kN);
            for (std::size_t i = 0; i < kN; ++i) {
                const std::size_t at = reversed ? kN - 1 - i : i;
                w[at * kN + at] = 1 + 0.3 * double(i);
                y[at] = std::sin(double(i));
                x[at] = std::cos(double(i));
            }
            set_values(lab.problem().data("W"), w);
            set_values(lab.problem().data("y"), y);
            set_values(lab.problem().x()[0], x);
            std::vector<double> last = lab.run(20).x.back();
            if (reversed) std::reverse(last.begin(), last.end());
            return last;
        };
        CHECK(run(false) == run(true));
    }
}

TEST_CASE("adam: beta1 = 1 is refused") {
    CHECK_THROWS_WITH_AS(
        Lab({.optimizer = "adam", .options = {{"beta1", "1"}}, .problem = {.optimizee = "quadratic"}}),
        doctest::Contains("expected a number in [0, 1)"),
        l2o::framework::Error);
}
