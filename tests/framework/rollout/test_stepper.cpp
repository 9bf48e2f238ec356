#include <doctest/doctest.h>

#include <limits>
#include <utility>
#include <vector>

#include "framework/rollout/arithmetic.hpp"
#include "framework/rollout/stepper.hpp"
#include "tests/support/lab.hpp"

namespace {

using namespace l2o::test;
using namespace l2o::framework;

/// A Stepper on the problem of a Lab.
struct Drive {
    explicit Drive(Lab& of)
        : lab(of), scene{of.optimizer(), of.problem().optimizee(), of.problem().data(), params, {77, 7}, 0} {}
    Lab& lab;
    TensorSet params;
    Scene scene;
};

}  // namespace

TEST_CASE("gradient descent is charged one gradient per step and no value") {
    Lab lab({.optimizer = "gradient_descent", .problem = {.optimizee = "quadratic"}});
    const Lab::Run run = lab.run(12);
    CHECK(run.gradient_evaluations == 12);
    CHECK(run.value_evaluations == 0);
}

TEST_CASE(
    "extragradient is charged two gradients per step, its own and that of its question: four partial ones") {
    Lab lab({.optimizer = "extragradient", .problem = {.optimizee = "rotated_saddle"}});
    const Lab::Run run = lab.run(12);
    CHECK(run.gradient_evaluations == 48);
    CHECK(run.value_evaluations == 0);
}

TEST_CASE("a structured step is charged its own gradient, and the problem is not asked for one") {
    Lab lab({.optimizer = "lista",
             .problem = {.optimizee = "sparse_recovery", .options = {{"m", "6"}, {"n", "10"}}}});
    const Lab::Run run = lab.run(12);
    CHECK(run.gradient_evaluations == 12);
    CHECK(run.value_evaluations == 0);
}

TEST_CASE("armijo: values charged are f(x_0) and one per trial; an accepted trial is not evaluated again") {
    constexpr std::int64_t kSteps = 15;
    Lab lab({.optimizer = "gradient_descent",
             .options = {{"step_rule", "armijo"}, {"initial_step", "0.5"}},
             .problem = {.optimizee = "quadratic", .options = {{"n", "4"}}, .instances = 1}});
    const Lab::Run run = lab.run(kSteps);
    // The same search, written down here.
    std::int64_t trials = 0;
    for (std::int64_t t = 0; t < kSteps; ++t) {
        set_values(lab.problem().x()[0], run.x[static_cast<std::size_t>(t)]);
        const std::vector<double> x = run.x[static_cast<std::size_t>(t)], g = lab.problem().gradient()[0];
        const double f = lab.problem().objective()[0];
        double norm2 = 0;
        for (const double value : g) norm2 += value * value;
        for (double eta = 0.5;; eta /= 2) {
            std::vector<double> trial = x;
            for (std::size_t i = 0; i < x.size(); ++i) trial[i] -= eta * g[i];
            set_values(lab.problem().x()[0], trial);
            ++trials;
            if (lab.problem().objective()[0] <= f - 1e-4 * eta * norm2) break;
            REQUIRE(trials < 31 * kSteps);
        }
    }
    CHECK(trials > kSteps);
    CHECK(run.value_evaluations == 1 + trials);
    CHECK(run.gradient_evaluations == kSteps);
}

TEST_CASE("armijo: a step that was refused leaves x, whose value and gradient are not charged again") {
    constexpr std::int64_t kSteps = 9;
    Lab lab({.optimizer = "gradient_descent",
             .options = {{"step_rule", "armijo"}, {"initial_step", "1e6"}, {"max_halvings", "0"}},
             .problem = {.optimizee = "quadratic", .options = {{"n", "4"}}, .instances = 3}});
    const Lab::Run run = lab.run(kSteps);
    CHECK(run.x.back() == run.x.front());
    CHECK(run.value_evaluations == 1 + kSteps);
    CHECK(run.gradient_evaluations == 1);
}

TEST_CASE("armijo: the value that an accepted trial brings along is the value at the new point") {
    Lab lab({.optimizer = "gradient_descent",
             .options = {{"step_rule", "armijo"}},
             .problem = {.optimizee = "quadratic", .instances = 3}});
    const Drive drive(lab);
    Stepper stepper(drive.scene);
    Point from(stepper.layout(), {.g = true, .f = true}), to(stepper.layout(), {.g = true, .f = true});
    set_values(from.x[0], values(lab.problem().x()[0]));
    stepper.init_state(from);
    stepper.advance(from, to, 0);
    REQUIRE(to.has_f);
    CHECK_FALSE(to.has_g);
    set_values(lab.problem().x()[0], values(to.x[0]));
    CHECK(values(to.f) == lab.problem().objective());
}

TEST_CASE("a stochastic problem: what was answered in one minibatch is not known in the next") {
    Lab lab({.optimizer = "gradient_descent",
             .options = {{"step_rule", "armijo"}},
             .problem = {.optimizee = "noisy_quartic", .instances = 2}});
    const Drive drive(lab);
    Stepper stepper(drive.scene);
    Point from(stepper.layout(), stepper.parts()), to(stepper.layout(), stepper.parts());
    copy_values(from.x[0], lab.problem().x()[0]);
    stepper.init_state(from);
    stepper.advance(from, to, 0);
    CHECK_FALSE(to.has_f);
    CHECK(to.known.empty());
}

TEST_CASE("whoever asks for ever is told so") {
    Lab lab({.optimizer = "learned_extragradient",
             .options = {{"rounds", "1000000"}},
             .problem = {.optimizee = "quadratic", .options = {{"n", "2"}}, .instances = 1}});
    CHECK_THROWS_WITH(
        static_cast<void>(lab.run(1)),
        "optimizer 'learned_extragradient' still asks after 100000 rounds of one step; 'l2o check' "
        "on it may say why");
}

TEST_CASE("a row that has ended stays where it is and is charged nothing; the others go on") {
    Lab lab({.optimizer = "settles",
             .options = {{"learning_rate", "0.5"}, {"good", "0.01"}, {"bad", "1e6"}},
             .problem = {.optimizee = "near_zero", .instances = 3}});
    const Drive drive(lab);
    Stepper stepper(drive.scene);
    Point from(stepper.layout(), stepper.parts()), to(stepper.layout(), stepper.parts());
    // f = 3/2 x^2: the first row is there at t = 4, the second at once, the third is too far at once.
    set_values(from.x[0], {1, 1, 1, 0.01, 0.01, 0.01, 1e3, 1e3, 1e3});
    stepper.init_state(from);
    using Status = std::vector<std::int32_t>;
    CHECK(stepper.row_status() == Status{L2O_ROW_GOES_ON, L2O_ROW_GOES_ON, L2O_ROW_GOES_ON});
    for (std::int64_t t = 0; t < 8; ++t) {
        CHECK(stepper.all_ended() == (t > 4));
        stepper.advance(from, to, t);
        std::swap(from, to);
        CHECK(stepper.row_status() ==
              Status{t < 4 ? L2O_ROW_GOES_ON : L2O_ROW_CONVERGED, L2O_ROW_CONVERGED, L2O_ROW_FAILED});
    }
    // The step that says so is the last.
    constexpr double kFirst = 1.0 / 32;
    CHECK(values(from.x[0]) ==
          std::vector<double>{kFirst, kFirst, kFirst, 0.005, 0.005, 0.005, 500, 500, 500});
    for (const std::size_t row : {0, 1, 2}) {
        CHECK(stepper.evaluations()[row].values == (row == 0 ? 5 : 1));
        CHECK(stepper.evaluations()[row].gradients == (row == 0 ? 5 : 1));
    }
    // Another trajectory.
    stepper.init_state(from);
    CHECK(stepper.row_status() == Status{L2O_ROW_GOES_ON, L2O_ROW_GOES_ON, L2O_ROW_GOES_ON});
}

TEST_CASE("a swarm: f is [B, P], row p of an instance is the objective of particle p, P values per step") {
    constexpr std::int64_t kBatch = 2, kParticles = 5, kDim = 3;
    Lab lab({.optimizer = "particle_swarm",
             .options = {{"particles", "5"}},
             .problem = {.optimizee = "rastrigin", .options = {{"n", "3"}}, .instances = kBatch}});
    const Drive drive(lab);
    Stepper stepper(drive.scene);
    CHECK(stepper.layout().f == Shape{kBatch, kParticles});
    CHECK(stepper.layout().blocks[0] == Shape{kBatch, kParticles, kDim});
    Point from(stepper.layout(), {.g = false, .f = true}), to(stepper.layout(), {.g = false, .f = true});
    for (std::int64_t i = 0; i < from.x[0].size(); ++i) {
        from.x[0].values<double>()[static_cast<std::size_t>(i)] = 0.01 * static_cast<double>(i * i);
    }
    stepper.init_state(from);
    constexpr std::int64_t kSteps = 4;
    for (std::int64_t t = 0; t < kSteps; ++t) {
        stepper.advance(from, to, t);
        const auto x = values(from.x[0]), f = values(from.f);
        for (std::size_t p = 0; p < kParticles; ++p) {
            // One particle of every instance is a batch of the problem.
            std::vector<double> rows, want;
            for (std::size_t b = 0; b < kBatch; ++b) {
                const auto at = x.begin() + static_cast<std::ptrdiff_t>((b * kParticles + p) * kDim);
                rows.insert(rows.end(), at, at + kDim);
                want.push_back(f[b * kParticles + p]);
            }
            set_values(lab.problem().x()[0], rows);
            CHECK(lab.problem().objective() == want);
        }
        std::swap(from, to);
    }
    CHECK(stepper.evaluations()[0].values == kSteps * kParticles);
    CHECK(stepper.evaluations()[0].gradients == 0);
}

TEST_CASE(
    "a value that is known is not computed again, one that is paid for not charged again; to look is free") {
    Lab lab({.optimizer = "gradient_descent", .problem = {.optimizee = "quadratic", .instances = 2}});
    const Drive drive(lab);
    Stepper stepper(drive.scene);
    Point point(stepper.layout(), {.g = true, .f = true});
    stepper.evaluate(point, 0, true, false, kFree);
    CHECK(stepper.evaluations()[0].values == 0);
    point.f.values<double>()[0] = 42;
    stepper.evaluate(point, 0, true, true, kCharged);
    CHECK(point.f.values<double>()[0] == 42);
    for (int again = 0; again < 2; ++again) {
        CHECK(stepper.evaluations()[0].points == 1);
        CHECK(stepper.evaluations()[0].values == 1);
        CHECK(stepper.evaluations()[0].gradients == 1);
        stepper.evaluate(point, 0, true, true, kCharged);
    }
}
