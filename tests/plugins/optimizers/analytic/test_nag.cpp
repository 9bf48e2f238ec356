#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

double dot(const std::vector<double>& a, const std::vector<double>& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}
double mean(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// One row, written down once more: points, and what they cost.
struct ByHand {
    std::vector<std::vector<double>> x;
    std::int64_t values = 0, gradients = 0, restarts = 0;
};
ByHand nag_by_hand(ProblemLab& problem, int steps, bool restart) {
    ByHand run;
    std::vector<double> x = values(problem.x()[0]), y = x;
    double t = 1;
    run.x.push_back(x);
    for (int k = 0; k < steps; ++k) {
        set_values(problem.x()[0], y);
        const double f = problem.objective()[0];
        const std::vector<double> g = problem.gradient()[0];
        ++run.gradients, ++run.values;
        std::vector<double> x_next;
        for (double eta = 0.1;; eta /= 2) {
            x_next = y;
            for (std::size_t i = 0; i < y.size(); ++i) x_next[i] -= eta * g[i];
            set_values(problem.x()[0], x_next);
            ++run.values;
            if (problem.objective()[0] <= f - eta / 2 * dot(g, g)) break;
        }
        std::vector<double> moved = x_next;
        for (std::size_t i = 0; i < x.size(); ++i) moved[i] -= x[i];
        if (restart && dot(g, moved) > 0) {
            t = 1;
            ++run.restarts;
        }
        const double t_next = (1 + std::sqrt(1 + 4 * t * t)) / 2;
        for (std::size_t i = 0; i < x.size(); ++i) y[i] = x_next[i] + (t - 1) / t_next * moved[i];
        t = t_next;
        x = x_next;
        run.x.push_back(x);
    }
    return run;
}

const ProblemLab::Setup kRastrigin{.optimizee = "rastrigin", .options = {{"n", "3"}}, .instances = 1};

/// 0.02 < 1 / L for the instances of this seed.
Lab quadratic_lab(const char* optimizer, OptionText options) {
    return Lab({.optimizer = optimizer,
                .options = std::move(options),
                .problem = {.optimizee = "quadratic", .options = {{"n", "5"}, {"init_std", "1"}}}});
}

}  // namespace

TEST_CASE("nag: is the sequence of Beck and Teboulle with the first step that decreases f enough") {
    constexpr int kSteps = 20;  // later, rounding decides about trials
    for (const bool restart : {false, true}) {
        CAPTURE(restart);
        Lab lab({.optimizer = "nag",
                 .options = {{"restart", restart ? "true" : "false"}},
                 .problem = kRastrigin});
        const Lab::Run run = lab.run(kSteps);
        ProblemLab problem(kRastrigin);
        const ByHand want = nag_by_hand(problem, kSteps, restart);
        for (std::size_t t = 0; t <= kSteps; ++t) CHECK(relative_error(run.x[t], want.x[t]) <= 1e-9);
        INFO("one gradient and one value at y per step, and one value per trial");
        CHECK(run.gradient_evaluations == want.gradients);
        CHECK(run.value_evaluations == want.values);
        CHECK(want.values > 3 * kSteps);  // steps were halved
        CHECK((want.restarts > 0) == restart);
    }
}

TEST_CASE("nag: on a convex problem f - f* <= 2 ||x_0 - x*||^2 / (eta (k + 1)^2); descent is slower") {
    constexpr int kSteps = 400;
    constexpr double kEta = 0.02;
    Lab lab = quadratic_lab("nag", {{"initial_step", "0.02"}, {"restart", "false"}});
    const std::vector<double> x_star = values(lab.problem().data("x_star")),
                              f_star = values(lab.problem().data("f_star"));
    const Lab::Run run = lab.run(kSteps);
    REQUIRE(run.value_evaluations == 2 * kSteps);  // every first trial is accepted
    for (std::size_t row = 0; row < 4; ++row) {
        double distance = 0;
        for (std::size_t i = 5 * row; i < 5 * row + 5; ++i)
            distance += (run.x[0][i] - x_star[i]) * (run.x[0][i] - x_star[i]);
        for (int k = 1; k <= kSteps; ++k)
            CHECK(run.f[static_cast<std::size_t>(k)][row] - f_star[row] <=
                  2 * distance / (kEta * (k + 1) * (k + 1)));
    }
    const Lab::Run descent = quadratic_lab("gradient_descent", {{"learning_rate", "0.02"}}).run(kSteps);
    CHECK(mean(descent.f.back()) > 10 * mean(run.f.back()));
}

TEST_CASE("nag: with restart f falls at every step of an ill-conditioned problem, and ends lower") {
    constexpr int kSteps = 600;
    const auto run_with = [](const char* restart) {
        return quadratic_lab("nag", {{"initial_step", "0.02"}, {"restart", restart}}).run(kSteps);
    };
    const auto rises = [](const Lab::Run& run) {
        int count = 0;
        for (std::size_t t = 0; t < kSteps; ++t)
            for (std::size_t row = 0; row < 4; ++row)
                if (run.f[t + 1][row] > run.f[t][row] + 1e-15) ++count;
        return count;
    };
    const Lab::Run with = run_with("true"), without = run_with("false");
    MESSAGE("rises: with " << rises(with) << ", without " << rises(without) << "; f at the end "
                           << mean(with.f.back()) << " and " << mean(without.f.back()));
    CHECK(rises(with) == 0);
    CHECK(rises(without) > 100);
    CHECK(mean(with.f.back()) < 0.7 * mean(without.f.back()));
}

TEST_CASE("nag: no trajectory of Rastrigin functions diverges; without restart some do") {
    const auto run_with = [](const char* restart) {
        return Lab({.optimizer = "nag",
                    .options = {{"restart", restart}},
                    .problem = {.optimizee = "rastrigin", .options = {{"n", "10"}}, .instances = 32}})
            .run(300);
    };
    const Lab::Run with = run_with("true"), without = run_with("false");
    const auto highest = [](const Lab::Run& run) {
        return *std::max_element(run.f.back().begin(), run.f.back().end());
    };
    MESSAGE("mean f " << mean(with.f.front()) << " at the start, " << mean(with.f.back()) << " at the end, "
                      << mean(without.f.back()) << " without restart");
    CHECK(highest(with) < *std::max_element(with.f.front().begin(), with.f.front().end()));
    CHECK(mean(with.f.back()) < 0.5 * mean(with.f.front()));
    CHECK(highest(without) > 10 * highest(with));
}

TEST_CASE("nag: a row without an acceptable step stays where it is, and asks again from there") {
    Lab lab({.optimizer = "nag",
             .options = {{"initial_step", "1e6"}, {"max_halvings", "3"}},
             .problem = {.optimizee = "quadratic"}});
    const Lab::Run run = lab.run(2);
    CHECK(run.x[1] == run.x[0]);
    CHECK(run.x[2] == run.x[0]);
    CHECK(run.value_evaluations == 2 * (1 + 4));
    CHECK(run.gradient_evaluations == 2);
}

TEST_CASE("nag: a problem that maximises over a block is refused, and says what to use") {
    CHECK_THROWS_WITH_AS(Lab({.optimizer = "nag", .problem = {.optimizee = "rotated_saddle"}}),
                         doctest::Contains("block 'v' is to be maximised"),
                         l2o::framework::Error);
}
