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

struct Golden {
    std::string alpha;
    OptionText options;
    std::vector<std::pair<std::size_t, double>> best;  ///< after so many evaluations
};

}  // namespace

// SciPy 1.17.1.
TEST_CASE("nelder_mead: after every number of evaluations the best value is SciPy's, to 1e-6") {
    const std::vector<Golden> goldens{
        {"0",
         {{"adaptive", "false"}},
         {{1, 2.81540403695},
          {5, 2.75398045013},
          {10, 2.35870742749},
          {20, 1.5141722312},
          {30, 1.41706024265},
          {50, 1.09832674467},
          {75, 1.09650588449},
          {100, 1.09644158625},
          {150, 1.09644120534},
          {200, 1.09644120522}}},
        {"0",
         {{"adaptive", "true"}},
         {{1, 2.81540403695},
          {5, 2.75398045013},
          {10, 2.49385594196},
          {20, 1.80736936281},
          {30, 1.42516176119},
          {50, 1.09731435299},
          {75, 1.09731435299},
          {100, 1.09647475647},
          {150, 1.09644137094},
          {200, 1.09644120573}}},
        {"0.1",
         {{"adaptive", "false"}},
         {{1, 3.01540403695},
          {5, 2.95274928419},
          {10, 2.66426843116},
          {20, 1.80097335083},
          {30, 1.76615359757},
          {50, 1.75610956353},
          {75, 1.73177150729},
          {100, 1.72812307907},
          {150, 1.72676011889},
          {200, 1.7267592854}}},
        {"0.1",
         {{"adaptive", "true"}},
         {{1, 3.01540403695},
          {5, 2.95274928419},
          {10, 2.75829012158},
          {20, 2.30035663748},
          {30, 1.78461923516},
          {50, 1.71207969094},
          {75, 1.69698607213},
          {100, 1.65346714938},
          {150, 1.65248406402},
          {200, 1.65244755572}}},
    };
    for (const Golden& golden : goldens) {
        OptionText options = golden.options;
        options["tolerance"] = "1e-14";
        const Lab::Run run = scipy_lab("nelder_mead", options, golden.alpha).run(250);
        for (const auto& [evaluations, f] : golden.best)
            CHECK(run.f[evaluations][0] == doctest::Approx(f).epsilon(1e-6));
        CHECK(run.value_evaluations == 250);
    }
}

TEST_CASE("nelder_mead: a row ends where the simplex is small, and is charged no more") {
    const Lab::Run run = scipy_lab("nelder_mead", {}, "0").run(1000);
    CHECK(run.value_evaluations < 400);
    CHECK(run.f.back()[0] == doctest::Approx(1.09644120522).epsilon(1e-9));
}

TEST_CASE("nelder_mead: single precision ends where double does, at what its numbers can tell apart") {
    const auto evaluations = [](Dtype dtype) {
        return Lab({.optimizer = "nelder_mead",
                    .problem =
                        {.optimizee = "rastrigin", .options = {{"n", "5"}}, .instances = 1, .dtype = dtype}})
            .run(4000)
            .value_evaluations;
    };
    CHECK(evaluations(Dtype::kF64) < 1500);
    CHECK(evaluations(Dtype::kF32) < 1500);
}

TEST_CASE("nelder_mead: with restart it finds a lower well, and goes on to the end") {
    const Lab::Run once = scipy_lab("nelder_mead", {}, "1").run(4000),
                   again = scipy_lab("nelder_mead", {{"restart", "true"}}, "1").run(4000);
    CHECK(again.value_evaluations == 4000);
    CHECK(again.f.back()[0] < once.f.back()[0] - 0.1);
}

TEST_CASE("nelder_mead: every point lies in the box, and the minimum is found where it is at a bound") {
    const ProblemLab::Setup bowl{
        .optimizee = "rastrigin", .options = {{"n", "3"}, {"alpha", "0"}, {"box", "0.25"}}, .instances = 6};
    const Lab::Run run =
        Lab({.optimizer = "nelder_mead", .options = {{"size", "0.2"}}, .problem = bowl}).run(400);
    const Lab::Run cma = Lab({.optimizer = "cma_es", .problem = bowl}).run(200);
    for (const std::vector<double>& x : run.x)
        CHECK(std::ranges::all_of(x, [](double value) { return std::abs(value) <= 0.25; }));
    double sum = 0, least = 0;
    for (std::size_t row = 0; row < 6; ++row) sum += run.f.back()[row], least += cma.f.back()[row];
    CHECK(sum < 1.01 * least + 1e-3);
}

TEST_CASE("nelder_mead: a value that is no number is worse than any") {
    // f is NAN at every trial where x is: the simplex stays where it is.
    Lab lab = scipy_lab("nelder_mead", {}, "0");
    set_values(lab.problem().data("b"), {0, 0, 0, std::nan("")});
    const Lab::Run run = lab.run(30);
    CHECK(run.x.back() == run.x.front());
}

TEST_CASE("nelder_mead: a simplex of too many coordinates is refused") {
    const ProblemLab::Setup large{
        .optimizee = "lasso", .options = {{"m", "1"}, {"n", "4097"}}, .instances = 1};
    CHECK_THROWS_WITH_AS(
        Lab({.optimizer = "nelder_mead", .problem = large}),
        doctest::Contains("a simplex of 4097 coordinates is too large; expected at most 4096"),
        l2o::framework::Error);
}
