#include <doctest/doctest.h>

#include "framework/error.hpp"
#include "game_lab.hpp"

using namespace l2o::test;

// Later steps are left to the conformance test: sizes that only serve as units have no derivative, of which
// differences leave noise.
TEST_CASE("learned_secant: step_vjp of the first step agrees with central differences to 1e-8") {
    Lab lab({.optimizer = "learned_secant",
             .options = {{"memory", "1"}, {"hidden", "5"}},
             .problem = {.optimizee = "matrix_game", .options = {{"d", "3"}}, .instances = 2}});
    CHECK(lab.step_vjp_error(0) <= 1e-8);
}

TEST_CASE("learned_secant: with seven pairs it runs on beyond the step in which it has them all") {
    Lab lab({.optimizer = "learned_secant",
             .options = {{"memory", "7"}},
             .problem = {.optimizee = "matrix_game", .options = {{"d", "3"}}, .instances = 2}});
    const Lab::Run run = lab.run(40);
    for (const double z : run.x.back()) CHECK(std::abs(z) < 1);
}

TEST_CASE("learned_secant: has 1,767 parameters with two pairs and a net of 32, whatever the problem") {
    for (const char* d : {"1", "7"}) {
        Lab lab({.optimizer = "learned_secant",
                 .problem = {.optimizee = "matrix_game", .options = {{"d", d}}, .instances = 1}});
        std::int64_t count = 0;
        for (const Tensor& param : lab.params()) count += param.size();
        CHECK(count == 1767);
    }
}

TEST_CASE("learned_secant: games whose starts differ by a factor have iterates that differ by it") {
    const auto run_from = [](double scale) {
        Lab lab = lab_on("rotated_saddle", "learned_secant", {});
        set_values(lab.problem().x()[0], {0.3 * scale});
        set_values(lab.problem().x()[1], {-0.4 * scale});
        return lab.run(30);
    };
    const Lab::Run run = run_from(1), far = run_from(1024);
    for (std::size_t t = 0; t <= 30; ++t)
        CHECK(std::abs(point_of(far.x[t]) / 1024.0 - point_of(run.x[t])) <=
              1e-9 * std::abs(point_of(run.x[t])));
}

TEST_CASE("learned_secant: untrained it makes optimistic steps, which converge on every linear game") {
    for (const LinearGame& game : linear_games()) {
        CAPTURE(game.name);
        const Lab::Run run = lab_on(game.name, "learned_secant", {}).run(300);
        CHECK(run.gradient_evaluations == 600);
        CHECK(std::abs(point_of(run.x.back())) <= 1e-8);
    }
}

TEST_CASE(
    "learned_secant: a step is at most 4 e^o_t times as long as the last, and the first is -e^eta_0 F") {
    Lab lab = lab_on("seesaw", "learned_secant", {});
    lab.param("eta_0").values<double>()[0] = std::log(0.5);
    const std::vector<std::vector<double>> g = lab.problem().gradient();
    lab.param("b3").values<double>()[5] = std::log(0.125);  // steps of half the length
    const Lab::Run run = lab.run(6);
    CHECK(relative_error(run.x[1], {0.3 - 0.5 * g[0][0], -0.4 + 0.5 * g[1][0]}) <= 1e-14);
    for (std::size_t t = 1; t < 6; ++t)
        CHECK(std::abs(point_of(run.x[t + 1]) - point_of(run.x[t])) <=
              0.52 * std::abs(point_of(run.x[t]) - point_of(run.x[t - 1])));
}

TEST_CASE("learned_secant: memory = 0 is refused") {
    CHECK_THROWS_WITH_AS(lab_on("saddle", "learned_secant", {{"memory", "0"}}),
                         doctest::Contains("memory"),
                         l2o::framework::Error);
}
