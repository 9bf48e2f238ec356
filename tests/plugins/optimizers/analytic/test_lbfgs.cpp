#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "framework/error.hpp"
#include "tests/plugins/optimizers/scipy_lab.hpp"

using namespace l2o::test;

namespace {

struct Iterate {
    std::int64_t evaluations;
    double f;
};

double mean(const std::vector<double>& f) {
    double sum = 0;
    for (const double value : f) sum += value / double(f.size());
    return sum;
}

}  // namespace

// SciPy 1.17.1: evaluations and f after every iteration.
TEST_CASE("lbfgs: f, and what was evaluated for it, is that of SciPy's L-BFGS-B after every step") {
    const std::vector<std::pair<std::string, std::vector<Iterate>>> goldens{
        {"0",
         {{2, 2.63030199119},
          {3, 1.86533414991},
          {5, 1.63103443775},
          {6, 1.18368099377},
          {7, 1.09713777804},
          {8, 1.09644624915},
          {9, 1.09644122869},
          {10, 1.09644120523},
          {11, 1.09644120522}}},
        {"0.1",
         {{3, 2.14014743763},
          {4, 2.02958858777},
          {5, 1.96694217941},
          {6, 1.94969403319},
          {7, 1.94857589126},
          {8, 1.94846216469},
          {9, 1.9484606063},
          {10, 1.94846060284},
          {11, 1.94846060282}}},
    };
    for (const auto& [name, steps] : goldens) {
        // A lambda, which CAPTURE makes, cannot hold a structured binding in C++17 (clang).
        const std::string& alpha = name;
        const auto& iterates = steps;
        const Lab::Run run = scipy_lab("lbfgs", {}, alpha).run(static_cast<std::int64_t>(iterates.size()));
        for (std::size_t t = 1; t <= iterates.size(); ++t) {
            CAPTURE(alpha);
            CAPTURE(t);
            CHECK(run.f[t][0] == doctest::Approx(iterates[t - 1].f).epsilon(1e-9));
            const auto upto = scipy_lab("lbfgs", {}, alpha).run(static_cast<std::int64_t>(t));
            CHECK(upto.gradient_evaluations == iterates[t - 1].evaluations);
            CHECK(upto.value_evaluations == upto.gradient_evaluations);
        }
    }
}

TEST_CASE("lbfgs: with differences it takes the same steps, for n + 1 values each") {
    const Lab::Run exact = scipy_lab("lbfgs", {}, "0.1").run(4),
                   by_values = scipy_lab("lbfgs", {{"differences", "true"}}, "0.1").run(4);
    for (std::size_t t = 1; t <= 4; ++t) CHECK(relative_error(by_values.x[t], exact.x[t]) < 1e-4);
    CHECK(by_values.gradient_evaluations == 0);
    CHECK(by_values.value_evaluations == 5 * exact.gradient_evaluations);
}

TEST_CASE("lbfgs: a badly conditioned quadratic is solved to its end, and the row ends there") {
    const ProblemLab::Setup narrow{.optimizee = "quadratic",
                                   .options = {{"n", "20"}, {"init_std", "1"}, {"condition_number", "1e4"}},
                                   .instances = 3};
    const Lab::Run run =
        Lab({.optimizer = "lbfgs", .options = {{"tolerance", "1e-6"}}, .problem = narrow}).run(600);
    CHECK(mean(run.f.back()) < 1e-9);
    CHECK(run.gradient_evaluations < 500);
    INFO("as one that remembers a single pair does, which takes longer");
    const Lab::Run one =
        Lab({.optimizer = "lbfgs", .options = {{"memory", "1"}, {"tolerance", "1e-6"}}, .problem = narrow})
            .run(600);
    CHECK(one.gradient_evaluations > run.gradient_evaluations);
}

TEST_CASE("lbfgs: f never rises from one point to the next, on functions with many wells") {
    const Lab::Run run =
        Lab({.optimizer = "lbfgs", .problem = {.optimizee = "rastrigin", .instances = 32}}).run(60);
    for (std::size_t t = 0; t < 60; ++t)
        for (std::size_t row = 0; row < 32; ++row) CHECK(run.f[t + 1][row] <= run.f[t][row]);
    CHECK(mean(run.f.back()) < 0.5 * mean(run.f.front()));
}

TEST_CASE("lbfgs: a row ends where a step no longer lowers f, as L-BFGS-B with ftol 0") {
    // Values near 1e9 tell points apart that gradients of 1e-12 do not reach.
    Lab lab = scipy_lab("lbfgs", {}, "0");
    set_values(lab.problem().data("b"), {3e4, -2e4, 1e4, 3e4});
    const Lab::Run run = lab.run(200);
    CHECK(run.gradient_evaluations < 100);  // some 20, by rounding; 1,500 where it does not end
    for (std::size_t t = 0; t < 200; ++t) CHECK(run.f[t + 1][0] <= run.f[t][0]);
}

TEST_CASE("lbfgs: with restart it finds a lower well, and goes on to the end") {
    const Lab::Run once = scipy_lab("lbfgs", {}, "1").run(1000),
                   again = scipy_lab("lbfgs", {{"restart", "true"}}, "1").run(1000),
                   near = scipy_lab("lbfgs", {{"restart", "true"}, {"spread", "1e-6"}}, "1").run(1000);
    const auto least = [](const Lab::Run& run) {
        double f = run.f[0][0];
        for (const auto& row : run.f) f = std::min(f, row[0]);
        return f;
    };
    CHECK(again.gradient_evaluations >= 1000);
    CHECK(least(again) < least(once) - 0.1);
    INFO("which are drawn around x_0: near it they come to the well of the first");
    CHECK(least(near) == doctest::Approx(least(once)).epsilon(1e-9));
}

TEST_CASE("lbfgs: a start where f is no number ends the row at once") {
    Lab lab = scipy_lab("lbfgs", {}, "0");
    set_values(lab.problem().data("b"), {0, 0, 0, std::nan("")});
    const Lab::Run run = lab.run(5);
    CHECK(run.gradient_evaluations == 1);
    CHECK(run.x.back() == run.x.front());
}

TEST_CASE("lbfgs: a problem with bounds is refused, and told who keeps them") {
    CHECK_THROWS_WITH_AS(
        Lab({.optimizer = "lbfgs", .problem = {.optimizee = "rastrigin", .options = {{"box", "1"}}}}),
        doctest::Contains("optimizer 'lbfgs' on 'rastrigin': block 'x' has bounds, which this method "
                          "does not keep; use one that does, for example 'projected_gradient'"),
        l2o::framework::Error);
}

TEST_CASE("lbfgs: a problem of values alone is refused, and told that differences will do") {
    CHECK_THROWS_WITH_AS(
        Lab({.optimizer = "lbfgs",
             .problem = {.optimizee = "black_box", .options = {{"values_only", "true"}}}}),
        doctest::Contains("this problem has no gradients; set differences, which makes them of n + 1 values"),
        l2o::framework::Error);
}

TEST_CASE("lbfgs: differences in single precision are refused") {
    CHECK_THROWS_WITH_AS(
        Lab({.optimizer = "lbfgs",
             .options = {{"differences", "true"}},
             .problem = {.optimizee = "rastrigin", .dtype = Dtype::kF32}}),
        doctest::Contains(
            "differences of values in single precision are no gradient; expected dtype float64"),
        l2o::framework::Error);
}
