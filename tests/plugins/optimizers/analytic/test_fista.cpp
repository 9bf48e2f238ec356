#include <doctest/doctest.h>

#include <cmath>

#include "tests/support/lab.hpp"

namespace {

using namespace l2o::test;

ProblemLab::Setup lasso(const char* m, const char* n) {
    return {.optimizee = "lasso", .options = {{"m", m}, {"n", n}}, .instances = 16};
}

}  // namespace

TEST_CASE("fista: f(x_k) - f* stays below 2 L ||x_0 - x*||^2 / (k + 1)^2") {
    // Beck & Teboulle 2009, theorem 4.4.
    Lab lab({.optimizer = "fista", .problem = lasso("25", "50")});
    const double l = lab.param("const.L").value(0);
    const auto f_star = values(lab.problem().data("f_star")), x_star = values(lab.problem().data("x_star"));
    const auto f = lab.run(300).f;
    for (std::size_t r = 0; r < f_star.size(); ++r) {
        double distance = 0;  // x_0 = 0
        for (std::size_t i = 0; i < 50; ++i) distance += x_star[50 * r + i] * x_star[50 * r + i];
        for (std::size_t k = 1; k < f.size(); ++k)
            CHECK(f[k][r] - f_star[r] <= 2 * l * distance / double((k + 1) * (k + 1)));
    }
}

TEST_CASE("fista: after 5000 steps f is the certified minimum to 1e-5 of it, and never below it") {
    for (const auto& [m, n] : {std::pair{"5", "10"}, {"25", "50"}}) {
        Lab lab({.optimizer = "fista", .problem = lasso(m, n)});
        const auto f_star = values(lab.problem().data("f_star"));
        const auto f = lab.run(5000).f.back();
        for (std::size_t r = 0; r < f.size(); ++r) {
            CHECK(f[r] - f_star[r] <= 1e-5 * f_star[r]);
            CHECK(f[r] - f_star[r] >= -1e-10 * f_star[r]);
        }
    }
}

TEST_CASE("fista: the first two steps are ISTA's, the third starts from x_2 + 0.28175 (x_2 - x_1)") {
    Lab fista({.optimizer = "fista", .problem = lasso("25", "50")});
    Lab ista({.optimizer = "ista", .problem = lasso("25", "50")});
    const auto x = fista.run(3).x;
    const auto x_ista = ista.run(2).x;
    CHECK(relative_error(x[1], x_ista[1]) < 1e-14);
    CHECK(relative_error(x[2], x_ista[2]) < 1e-14);

    const double t2 = (1 + std::sqrt(5.0)) / 2, t3 = (1 + std::sqrt(1 + 4 * t2 * t2)) / 2;
    const double momentum = (t2 - 1) / t3;
    CHECK(momentum == doctest::Approx(0.28175).epsilon(1e-4));
    std::vector<double> y = x[2];
    for (std::size_t i = 0; i < y.size(); ++i) y[i] += momentum * (x[2][i] - x[1][i]);
    set_values(ista.problem().x()[0], y);
    CHECK(relative_error(x[3], ista.run(1).x[1]) < 1e-13);
}

TEST_CASE("fista: at 100 steps it is at least ten times closer to the minimum than ISTA") {
    const auto suboptimality = [](const char* optimizer) {
        Lab lab({.optimizer = optimizer, .problem = lasso("25", "50")});
        const auto f = lab.run(100).f.back(), f_star = values(lab.problem().data("f_star"));
        double sum = 0;
        for (std::size_t r = 0; r < f.size(); ++r) sum += f[r] - f_star[r];
        return sum;
    };
    CHECK(10 * suboptimality("fista") < suboptimality("ista"));
}

TEST_CASE("fista: with restart it is the same until the momentum points uphill, and linear after that") {
    auto problem = lasso("25", "50");
    Lab plain({.optimizer = "fista", .problem = problem});
    Lab restarting({.optimizer = "fista", .options = {{"restart", "true"}}, .problem = problem});
    const auto f_star = values(plain.problem().data("f_star"));
    const auto without = plain.run(1000), with = restarting.run(1000);
    CHECK(with.x[3] == without.x[3]);
    CHECK(with.x[200] != without.x[200]);
    for (std::size_t r = 0; r < f_star.size(); ++r) CHECK(with.f.back()[r] - f_star[r] <= 1e-10 * f_star[r]);
}
