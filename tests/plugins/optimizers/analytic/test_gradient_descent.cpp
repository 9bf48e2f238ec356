#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

/// Squared norm of the gradient of every row of a problem with one block.
std::vector<double> squared_norms(const std::vector<double>& g, std::size_t rows) {
    std::vector<double> sums(rows);
    for (std::size_t i = 0; i < g.size(); ++i) sums[i / (g.size() / rows)] += g[i] * g[i];
    return sums;
}

}  // namespace

TEST_CASE("gradient_descent: a fixed step moves x by -learning_rate times the gradient") {
    Lab lab({.optimizer = "gradient_descent",
             .options = {{"learning_rate", "0.03"}},
             .problem = {.optimizee = "quadratic"}});
    const std::vector<double> g = lab.problem().gradient()[0];
    const Lab::Run run = lab.run(1);
    std::vector<double> want = run.x[0];
    for (std::size_t i = 0; i < want.size(); ++i) want[i] -= 0.03 * g[i];
    CHECK(relative_error(run.x[1], want) <= 1e-15);
    CHECK(run.gradient_evaluations == 1);
    CHECK(run.value_evaluations == 0);
}

TEST_CASE("gradient_descent: armijo takes the first of 0.1, 0.05, 0.025 ... that satisfies the inequality") {
    constexpr int kSteps = 25;
    Lab lab({.optimizer = "gradient_descent",
             .options = {{"step_rule", "armijo"}},
             .problem = {.optimizee = "rastrigin", .options = {{"n", "3"}}, .instances = 1}});
    const Lab::Run run = lab.run(kSteps);
    std::int64_t trials = 0;
    for (int t = 0; t < kSteps; ++t) {
        ProblemLab& problem = lab.problem();
        set_values(problem.x()[0], run.x[t]);
        const std::vector<double> g = problem.gradient()[0];
        const double f = run.f[t][0], slope = squared_norms(g, 1)[0];
        std::vector<double> trial;
        for (double eta = 0.1;; eta /= 2) {
            trial = run.x[t];
            for (std::size_t i = 0; i < trial.size(); ++i) trial[i] -= eta * g[i];
            set_values(problem.x()[0], trial);
            ++trials;
            if (problem.objective()[0] <= f - 1e-4 * eta * slope) break;
        }
        CHECK(relative_error(run.x[t + 1], trial) <= 1e-14);
        CHECK(run.f[t + 1][0] < f);
    }
    CHECK(trials > kSteps);  // some step had to be halved
    INFO(
        "one gradient per step; the value at the start, then one per trial: that of an accepted trial is not "
        "computed again");
    CHECK(run.gradient_evaluations == kSteps);
    CHECK(run.value_evaluations == 1 + trials);
}

TEST_CASE("gradient_descent: armijo gives a row of a batch the same bits as the row alone") {
    const Lab::Setup many{.optimizer = "gradient_descent",
                          .options = {{"step_rule", "armijo"}},
                          .problem = {.optimizee = "rastrigin", .options = {{"n", "5"}}, .instances = 4}};
    Lab batch(many);
    const Lab::Run together = batch.run(20);
    Lab::Setup single = many;
    single.problem.instances = 1;
    std::vector<std::int64_t> evaluations_alone;
    for (std::size_t row = 0; row < 4; ++row) {
        Lab alone(single);
        const auto row_of = [&](const std::vector<double>& all) {
            const std::size_t cols = all.size() / 4;
            return std::vector<double>(all.begin() + static_cast<std::ptrdiff_t>(row * cols),
                                       all.begin() + static_cast<std::ptrdiff_t>((row + 1) * cols));
        };
        for (const char* name : {"A", "b", "c"})
            set_values(alone.problem().data(name), row_of(values(batch.problem().data(name))));
        set_values(alone.problem().x()[0], row_of(values(batch.problem().x()[0])));
        const Lab::Run run = alone.run(20);
        for (std::size_t t = 0; t <= 20; ++t) CHECK(run.x[t] == row_of(together.x[t]));
        evaluations_alone.push_back(run.value_evaluations);
    }
    INFO("the rows differ in the number of trials, or the comparison says little");
    CHECK(std::ranges::count(evaluations_alone, evaluations_alone[0]) < 4);
    CHECK(together.value_evaluations == evaluations_alone[0]);
}

TEST_CASE("gradient_descent: armijo leaves a row without an acceptable step where it is") {
    Lab lab({.optimizer = "gradient_descent",
             .options = {{"step_rule", "armijo"}, {"initial_step", "1e6"}, {"max_halvings", "3"}},
             .problem = {.optimizee = "quadratic"}});
    const Lab::Run run = lab.run(2);
    CHECK(run.x[1] == run.x[0]);
    CHECK(run.x[2] == run.x[0]);
    CHECK(run.value_evaluations == 1 + 4 + 4);  // f at x is known
}

TEST_CASE("gradient_descent: a problem that maximises over a block is refused, and says what to use") {
    CHECK_THROWS_WITH_AS(Lab({.optimizer = "gradient_descent", .problem = {.optimizee = "rotated_saddle"}}),
                         doctest::Contains("block 'v' is to be maximised"),
                         l2o::framework::Error);
}

TEST_CASE("gradient_descent: shrink = 1 is refused, for the search would never end") {
    CHECK_THROWS_WITH_AS(Lab({.optimizer = "gradient_descent",
                              .options = {{"shrink", "1"}},
                              .problem = {.optimizee = "quadratic"}}),
                         doctest::Contains("expected a number in (0, 1)"),
                         l2o::framework::Error);
}

namespace {

/// eta of every step: x_t+1 = x_t - eta g.
std::vector<double> rates(OptionText options, std::int64_t horizon, int steps) {
    const ProblemLab::Setup bowl{.optimizee = "rastrigin",
                                 .options = {{"n", "1"}, {"family", "classic"}, {"alpha", "0"}},
                                 .instances = 1};
    options.emplace("learning_rate", "0.1");
    const Lab::Run run = Lab({.optimizer = "gradient_descent",
                              .options = std::move(options),
                              .problem = bowl,
                              .horizon = horizon})
                             .run(steps);
    std::vector<double> rates;
    for (std::size_t t = 0; t + 1 < run.x.size(); ++t)
        rates.push_back(1 - run.x[t + 1][0] / run.x[t][0]);  // g = x
    return rates;
}
void check_rates(const std::vector<double>& got, const std::vector<double>& want) {
    REQUIRE(got.size() == want.size());
    for (std::size_t t = 0; t < want.size(); ++t) CHECK(got[t] == doctest::Approx(want[t]).epsilon(1e-9));
}

}  // namespace

TEST_CASE("schedule: the rate rises in the warm-up, and falls along a line or half a cosine from there") {
    check_rates(rates({{"warm_up", "0.4"}}, 10, 6), {0.025, 0.05, 0.075, 0.1, 0.1, 0.1});
    check_rates(rates({{"schedule", "linear"}}, 4, 6), {0.1, 0.075, 0.05, 0.025, 0, 0});
    check_rates(rates({{"schedule", "cosine"}}, 4, 5),
                {0.1, 0.05 + 0.05 * std::sqrt(0.5), 0.05, 0.05 - 0.05 * std::sqrt(0.5), 0});
    check_rates(
        rates({{"schedule", "linear"}, {"warm_up", "0.2"}, {"decay_until", "0.6"}, {"final_rate", "0.5"}},
              10,
              9),
        {0.05, 0.1, 0.1, 0.0875, 0.075, 0.0625, 0.05, 0.05, 0.05});
}

TEST_CASE("schedule: before decay_from the rate stays, and falls to its end from there") {
    check_rates(rates({{"schedule", "linear"}, {"decay_from", "0.5"}}, 8, 9),
                {0.1, 0.1, 0.1, 0.1, 0.1, 0.075, 0.05, 0.025, 0});
    check_rates(rates({{"schedule", "linear"}, {"decay_from", "0.5"}, {"warm_up", "0.25"}}, 8, 6),
                {0.05, 0.1, 0.1, 0.1, 0.1, 0.075});
    CHECK_THROWS_WITH_AS(
        rates({{"schedule", "linear"}, {"decay_from", "0.5"}, {"decay_until", "0.25"}}, 10, 0),
        doctest::Contains("decay_from is 0.500000, and decay_until 0.250000; expected it to be less"),
        l2o::framework::Error);
}

TEST_CASE("schedule: its steps may be given, where they are not known or are others") {
    check_rates(rates({{"schedule", "linear"}, {"schedule_steps", "2"}}, 0, 3), {0.1, 0.05, 0});
    check_rates(rates({{"schedule", "linear"}, {"schedule_steps", "2"}}, 100, 3), {0.1, 0.05, 0});
}

TEST_CASE("schedule: one of an unknown number of steps, without room or of a search is refused") {
    CHECK_THROWS_WITH_AS(
        rates({{"schedule", "cosine"}}, 0, 0),
        doctest::Contains("the number of steps, which this method follows, is not known here; expected the "
                          "option 'schedule_steps', a whole number > 0"),
        l2o::framework::Error);
    CHECK_THROWS_WITH_AS(
        rates({{"schedule", "cosine"}, {"warm_up", "0.5"}, {"decay_until", "0.5"}}, 10, 0),
        doctest::Contains("warm_up is 0.500000, and decay_until 0.500000; expected it to be less"),
        l2o::framework::Error);
    CHECK_THROWS_WITH_AS(
        rates({{"schedule", "cosine"}, {"step_rule", "armijo"}}, 10, 0),
        doctest::Contains("schedule and warm_up are of the fixed step, and step_rule is armijo"),
        l2o::framework::Error);
}

TEST_CASE(
    "schedule: the first step of every method that has one is w times as short in a warm-up of w steps") {
    for (const char* optimizer : {"gradient_descent", "projected_gradient", "momentum", "rmsprop", "adam"}) {
        CAPTURE(optimizer);
        const auto move = [&](const char* warm_up) {
            const Lab::Run run = Lab({.optimizer = optimizer,
                                      .options = {{"learning_rate", "0.01"}, {"warm_up", warm_up}},
                                      .problem = {.optimizee = "rastrigin", .instances = 1},
                                      .horizon = 40})
                                     .run(1);
            return run.x[1][0] - run.x[0][0];
        };
        CHECK(move("0.1") == doctest::Approx(move("0") / 4).epsilon(1e-9));
    }
}
