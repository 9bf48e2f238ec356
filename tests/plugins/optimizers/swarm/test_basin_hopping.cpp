#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

ProblemLab::Setup rastrigin(const char* n, const char* box = "0") {
    return {.optimizee = "rastrigin", .options = {{"n", n}, {"box", box}}, .instances = 16};
}
Lab::Run run_of(const OptionText& options, const ProblemLab::Setup& problem, int steps) {
    return Lab({.optimizer = "basin_hopping", .options = options, .problem = problem}).run(steps);
}
/// Mean over rows of the least value on the way.
double best(const Lab::Run& run) {
    double sum = 0;
    for (std::size_t row = 0; row < run.f[0].size(); ++row) {
        double least = run.f[0][row];
        for (const auto& f : run.f) least = std::min(least, f[row]);
        sum += least / double(run.f[0].size());
    }
    return sum;
}

}  // namespace

TEST_CASE("basin_hopping: the first round is Adam with a rate that falls by half a cosine") {
    ProblemLab::Setup problem = rastrigin("3");
    problem.instances = 1;
    const Lab::Run run = run_of({{"round", "6"}, {"learning_rate", "0.05"}}, problem, 5);
    ProblemLab lab(problem);
    std::vector<double> x = values(lab.x()[0]), m(3), v(3);
    for (int t = 0; t < 5; ++t) {
        set_values(lab.x()[0], x);
        const std::vector<double> g = lab.gradient()[0];
        const double rate = 0.05 * (1 + std::cos(3.14159265358979 * t / 6)) / 2;
        for (std::size_t i = 0; i < 3; ++i) {
            m[i] = 0.9 * m[i] + 0.1 * g[i];
            v[i] = 0.99 * v[i] + 0.01 * g[i] * g[i];
            const double m_hat = m[i] / (1 - std::pow(0.9, t + 1)),
                         v_hat = v[i] / (1 - std::pow(0.99, t + 1));
            x[i] -= rate * m_hat / (std::sqrt(v_hat) + 1e-8);
        }
        CHECK(relative_error(run.x[std::size_t(t) + 1], x) < 1e-12);
    }
}

TEST_CASE(
    "basin_hopping: a round starts at the best point so far, of which a share of the coordinates is moved") {
    const Lab::Run run = run_of({{"round", "10"}, {"share", "0.3"}}, rastrigin("10"), 100);
    double moved = 0, hops = 0;
    for (std::size_t t = 10; t <= 100; t += 10) {
        for (std::size_t row = 0; row < 16; ++row) {
            std::size_t at = 0;
            for (std::size_t s = 0; s < t; ++s)
                if (run.f[s][row] < run.f[at][row]) at = s;
            for (std::size_t i = 0; i < 10; ++i)
                moved += run.x[t][row * 10 + i] != run.x[at][row * 10 + i] ? 1 : 0;
            hops += 10;
        }
    }
    CHECK(moved / hops == doctest::Approx(0.3).epsilon(0.12));
}

TEST_CASE("basin_hopping: hopping finds lower wells than one descent of the same length") {
    const double hopping = best(run_of({{"learning_rate", "0.3"}}, rastrigin("10"), 1000)),
                 descent = best(run_of({{"learning_rate", "0.3"}, {"round", "1000"}}, rastrigin("10"), 999));
    MESSAGE("hopping " << hopping << ", one descent " << descent);
    CHECK(hopping < descent - 5);
}

TEST_CASE("basin_hopping: f and g are charged once a step") {
    const Lab::Run run = run_of({}, rastrigin("3"), 50);
    CHECK(run.gradient_evaluations == 50);
    CHECK(run.value_evaluations == 50);
}

TEST_CASE("basin_hopping: every point lies in the box") {
    for (const std::vector<double>& x : run_of({}, rastrigin("3", "0.5"), 200).x)
        CHECK(std::ranges::all_of(x, [](double value) { return std::abs(value) <= 0.5; }));
}
