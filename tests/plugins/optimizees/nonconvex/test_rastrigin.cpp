#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;
using namespace l2o::framework;

TEST_CASE(
    "rastrigin: the classic function is 0 at 0, ||x||^2 / 2 at integers and 20 n more half way between") {
    ProblemLab lab(
        {.optimizee = "rastrigin", .options = {{"family", "classic"}, {"n", "2"}}, .instances = 3});
    set_values(lab.x()[0], {0, 0, 3, -1, 0.5, 1.5});
    const std::vector<double> f = lab.objective();
    CHECK(f[0] == 0);
    CHECK(f[1] == doctest::Approx(5).epsilon(1e-14));
    CHECK(f[2] == doctest::Approx(1.25 + 40).epsilon(1e-14));
    CHECK(lab.gradient()[0][0] == 0);
    CHECK(lab.gradient()[0][1] == 0);
}

TEST_CASE("rastrigin: gradient and Hessian-vector product agree with central differences to 1e-7") {
    for (const char* family : {"random", "classic"}) {
        CAPTURE(family);
        const ProblemLab::Setup setup{.optimizee = "rastrigin", .options = {{"family", family}}};
        CHECK(ProblemLab(setup).gradient_error() <= 1e-7);
        CHECK(ProblemLab(setup).hvp_error() <= 1e-7);
    }
}

TEST_CASE("rastrigin: f is never below alpha (n - ||c||_1)") {
    ProblemLab lab({.optimizee = "rastrigin", .instances = 200});
    const std::vector<double> f = lab.objective(), c = values(lab.data("c"));
    for (std::size_t row = 0; row < f.size(); ++row) {
        double norm = 0;
        for (std::size_t i = 0; i < 10; ++i) norm += std::abs(c[row * 10 + i]);
        CHECK(f[row] >= 10 * (10 - norm));
    }
}

// E f = E 1/2 ||A x - b||^2 + alpha n, for c has mean 0; E ||A x||^2 = n E ||x||^2.
TEST_CASE("rastrigin: the mean of f over starts is (n^2 std^2 + n) / 2 + 10 n") {
    const auto mean = [](const char* n, const char* init_std) {
        ProblemLab lab(
            {.optimizee = "rastrigin", .options = {{"n", n}, {"init_std", init_std}}, .instances = 4000});
        double sum = 0;
        for (const double f : lab.objective()) sum += f;
        return sum / 4000;
    };
    CHECK(mean("10", "1") == doctest::Approx(155).epsilon(0.02));
    CHECK(mean("2", "1") == doctest::Approx(23).epsilon(0.04));
    CHECK(mean("2", "0.01") == doctest::Approx(21).epsilon(0.06));
}

TEST_CASE("rastrigin: instances [0, 8) and [8, 16) are instances [0, 16); A, b and c are drawn apart") {
    const ProblemLab lab({.optimizee = "rastrigin"});
    const auto draw = [&](std::uint64_t first, std::int64_t count) {
        const ProblemData data = lab.optimizee().sample({5, 0}, Split::kTest, first, count, false);
        std::vector<std::vector<double>> tensors;
        for (const Tensor& tensor : data.tensors) tensors.push_back(values(tensor));
        return tensors;
    };
    const auto all = draw(0, 16), low = draw(0, 8), high = draw(8, 8);
    for (std::size_t i = 0; i < 3; ++i) {
        std::vector<double> joined = low[i];
        joined.insert(joined.end(), high[i].begin(), high[i].end());
        CHECK(joined == all[i]);
    }
    CHECK(all[1] != all[2]);
    CHECK(all[0][0] != all[1][0]);
}

TEST_CASE("rastrigin: an unknown family is refused with the known ones") {
    CHECK_THROWS_WITH_AS(ProblemLab({.optimizee = "rastrigin", .options = {{"family", "classical"}}}),
                         doctest::Contains("classic"),
                         Error);
}
