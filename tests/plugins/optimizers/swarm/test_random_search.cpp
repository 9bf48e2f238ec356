#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

/// 1/2 ||x||^2, from 0 or from N(0, 1).
ProblemLab::Setup bowl(const char* n, const char* init_std, const char* box = "0") {
    return {
        .optimizee = "rastrigin",
        .options = {{"n", n}, {"family", "classic"}, {"alpha", "0"}, {"init_std", init_std}, {"box", box}},
        .instances = 64};
}

}  // namespace

TEST_CASE("random_search: x is the best of the points so far, one value each") {
    Lab lab({.optimizer = "random_search", .problem = bowl("3", "1")});
    const Lab::Run run = lab.run(50);
    CHECK(run.value_evaluations == 50);
    CHECK(run.gradient_evaluations == 0);
    for (std::size_t t = 1; t < 50; ++t)
        for (std::size_t row = 0; row < 64; ++row) CHECK(run.f[t + 1][row] <= run.f[t][row]);
}

// Of 2 n f = n chi^2_n / ... with n = 2: f ~ Exp(1), so the least of t has mean 1 / t.
TEST_CASE(
    "random_search: around 0 with sigma 1 the least of t values of ||x||^2 / 2, n = 2, has mean 1 / t") {
    ProblemLab::Setup setup = bowl("2", "0");
    setup.instances = 4000;
    const Lab::Run run = Lab({.optimizer = "random_search", .problem = setup}).run(10);
    for (const std::size_t t : {1, 4, 10}) {
        double sum = 0;
        for (const double f : run.f[t]) sum += f / 4000;
        CHECK(sum * double(t) == doctest::Approx(1).epsilon(0.06));
    }
}

TEST_CASE("random_search: in a box points are uniform in it") {
    ProblemLab::Setup setup = bowl("1", "0", "0.5");
    setup.instances = 4000;
    const std::vector<double> x = Lab({.optimizer = "random_search", .problem = setup}).run(1).x[1];
    CHECK(std::ranges::all_of(x, [](double value) { return std::abs(value) <= 0.5; }));
    for (const double part : {-0.25, 0.0, 0.25})
        CHECK(double(std::ranges::count_if(x, [&](double value) { return value < part; })) / 4000 ==
              doctest::Approx(0.5 + part).epsilon(0.06));
}

TEST_CASE("random_search: around the best it comes down further than around the start") {
    const auto mean = [](const char* around) {
        const Lab::Run run = Lab({.optimizer = "random_search",
                                  .options = {{"around", around}, {"sigma", "0.3"}},
                                  .problem = bowl("4", "3")})
                                 .run(300);
        double sum = 0;
        for (const double f : run.f.back()) sum += f;
        return sum;
    };
    CHECK(mean("best") < 0.1 * mean("start"));
}
