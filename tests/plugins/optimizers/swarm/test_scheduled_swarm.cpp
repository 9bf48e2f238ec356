#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

Lab swarm(const ProblemLab::Setup& problem,
          const std::vector<std::pair<const char*, double>>& learned,
          std::int64_t horizon = 100) {
    Lab lab({.optimizer = "scheduled_swarm", .problem = problem, .horizon = horizon});
    for (const auto& [name, value] : learned) set_values(lab.param(name), {value});
    return lab;
}
ProblemLab::Setup rastrigin(const char* n) {
    return {.optimizee = "rastrigin", .options = {{"n", n}}, .instances = 4};
}
constexpr double kNone = -200;  // logarithm of nothing

}  // namespace

TEST_CASE("scheduled_swarm: without noise and pulls it is Adam, whose rate falls geometrically") {
    Lab lab = swarm(rastrigin("3"),
                    {{"log_noise_first", kNone},
                     {"log_noise_last", kNone},
                     {"memory_mean", std::log(9.0)},
                     {"memory_square", std::log(99.0)},
                     {"log_rate_first", -2},
                     {"log_rate_last", -4}},
                    10);
    const Lab::Run run = lab.run(5);
    ProblemLab problem(rastrigin("3"));
    std::vector<double> x(run.x[0].begin(), run.x[0].begin() + 3), m(3), v(3);
    for (int t = 0; t < 5; ++t) {
        std::vector<double> points = values(problem.x()[0]);
        std::copy(x.begin(), x.end(), points.begin());
        set_values(problem.x()[0], points);
        const std::vector<double> g = problem.gradient()[0];
        for (std::size_t i = 0; i < 3; ++i) {
            m[i] = 0.9 * m[i] + 0.1 * g[i];
            v[i] = 0.99 * v[i] + 0.01 * g[i] * g[i];
            x[i] -= std::exp(-2 - 2 * t / 10.0) * m[i] / (1 - std::pow(0.9, t + 1)) /
                    (std::sqrt(v[i] / (1 - std::pow(0.99, t + 1))) + 1e-8);
        }
        const auto& next = run.x[std::size_t(t) + 1];
        CHECK(relative_error({next.begin(), next.begin() + 3}, x) < 1e-12);
    }
}

TEST_CASE("scheduled_swarm: the noise has the standard deviation of the schedule, and a late one stays") {
    Lab lab = swarm(rastrigin("10"),
                    {{"log_rate_first", kNone},
                     {"log_rate_last", kNone},
                     {"log_noise_first", 0},
                     {"log_noise_last", std::log(0.01)},
                     {"log_lateness", 5}},
                    100);
    const Lab::Run run = lab.run(100);
    const auto deviation = [&](std::size_t first, std::size_t last) {
        double squares = 0, count = 0;
        for (std::size_t t = first; t < last; ++t) {
            for (std::size_t i = 0; i < run.x[t].size(); ++i, ++count)
                squares += std::pow(run.x[t + 1][i] - run.x[t][i], 2);
        }
        return std::sqrt(squares / count);
    };
    CHECK(deviation(0, 90) == doctest::Approx(1).epsilon(0.03));
    // tau = 0.99^(e^5) = 0.225
    CHECK(deviation(99, 100) == doctest::Approx(std::pow(0.01, 0.225)).epsilon(0.15));
}

TEST_CASE("scheduled_swarm: pulls end in the best point, its own or that of the swarm") {
    const auto end = [](double pull, double follow) {
        Lab lab = swarm({.optimizee = "quadratic", .options = {{"n", "3"}}, .instances = 1},
                        {{"log_rate_first", kNone},
                         {"log_rate_last", kNone},
                         {"log_noise_first", kNone},
                         {"log_noise_last", kNone},
                         {"pull_first", pull},
                         {"pull_last", pull},
                         {"follow_first", follow},
                         {"follow_last", follow}});
        return lab.run(100);
    };
    const Lab::Run own = end(5, 0), swarms = end(0, 5);
    CHECK(own.x[100] == own.x[0]);
    const auto leader = std::size_t(std::ranges::min_element(swarms.f[0]) - swarms.f[0].begin());
    for (std::size_t i = 0; i < 12; ++i)
        CHECK(std::abs(swarms.x[100][i] - swarms.x[100][leader * 3 + i % 3]) < 1e-3);
}

TEST_CASE("scheduled_swarm: it learns 11 numbers, and keeps to the box") {
    ProblemLab::Setup problem = rastrigin("3");
    problem.options["box"] = "0.5";
    Lab lab = swarm(problem, {{"log_noise_first", 0}});
    CHECK(lab.params().size() == 11);
    for (const std::vector<double>& x : lab.run(100).x)
        CHECK(std::ranges::all_of(x, [](double value) { return std::abs(value) <= 0.5; }));
}

TEST_CASE("scheduled_swarm: a run of unknown length is refused") {
    CHECK_THROWS_WITH_AS(
        (void)swarm(rastrigin("3"), {}, 0),
        doctest::Contains(
            "the number of steps, which this method follows, is not known here; expected the option 'steps'"),
        l2o::framework::Error);
}
