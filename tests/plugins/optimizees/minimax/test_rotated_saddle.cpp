#include <doctest/doctest.h>

#include <cmath>

#include "tests/support/lab.hpp"

using namespace l2o::test;

TEST_CASE("rotated_saddle: gradient and Hessian-vector product agree with central differences to 1e-9") {
    CHECK(ProblemLab({.optimizee = "rotated_saddle"}).gradient_error() <= 1e-9);
    CHECK(ProblemLab({.optimizee = "rotated_saddle"}).hvp_error() <= 1e-9);
}

TEST_CASE("rotated_saddle: u minimises, v maximises, and (0, 0) is a saddle point of every instance") {
    ProblemLab lab({.optimizee = "rotated_saddle", .instances = 50});
    CHECK_FALSE(has(*lab.optimizee().blocks()[0], L2O_SPEC_MAXIMISED));
    CHECK(has(*lab.optimizee().blocks()[1], L2O_SPEC_MAXIMISED));
    const auto f_at = [&](double u, double v) {
        set_values(lab.x()[0], std::vector<double>(50, u));
        set_values(lab.x()[1], std::vector<double>(50, v));
        return lab.objective();
    };
    const std::vector<double> along_u = f_at(0.3, 0), along_v = f_at(0, 0.3), centre = f_at(0, 0);
    for (std::size_t i = 0; i < 50; ++i) {
        CHECK(centre[i] == 0);
        CHECK(along_u[i] > 0);
        CHECK(along_v[i] < 0);
    }
}

TEST_CASE("rotated_saddle: a and b lie in [0.9, 1], starts in [-0.5, 0.5), all drawn apart") {
    ProblemLab lab({.optimizee = "rotated_saddle", .instances = 500});
    const std::vector<double> a = values(lab.data("a")), b = values(lab.data("b")), u = values(lab.x()[0]),
                              v = values(lab.x()[1]);
    double mean_a = 0, mean_u = 0;
    for (std::size_t i = 0; i < 500; ++i) {
        REQUIRE((a[i] >= 0.9 && a[i] <= 1 && b[i] >= 0.9 && b[i] <= 1));
        REQUIRE((std::abs(u[i]) <= 0.5 && std::abs(v[i]) <= 0.5));
        mean_a += a[i] / 500;
        mean_u += u[i] / 500;
    }
    CHECK(std::abs(mean_a - 0.95) < 0.006);  // 4 standard errors are 0.0052 and 0.052
    CHECK(std::abs(mean_u) < 0.06);
    CHECK(a != b);
    CHECK(u != v);
}

TEST_CASE("rotated_saddle: distances are absolute values, and the residual is the norm of the gradient") {
    ProblemLab lab({.optimizee = "rotated_saddle", .instances = 2});
    set_values(lab.x()[0], {3, 0});
    set_values(lab.x()[1], {-4, 2});
    CHECK(lab.metric("d_u") == std::vector<double>{3, 0});
    CHECK(lab.metric("d_v") == std::vector<double>{4, 2});
    CHECK(lab.metric("distance") == std::vector<double>{7, 2});
    const std::vector<std::vector<double>> g = lab.gradient();
    CHECK(relative_error(lab.metric("residual"),
                         {std::hypot(g[0][0], g[1][0]), std::hypot(g[0][1], g[1][1])}) <= 1e-15);
}

TEST_CASE("rotated_saddle: the gap is f with the best answer of v minus f with the best answer of u") {
    ProblemLab lab({.optimizee = "rotated_saddle", .instances = 1});
    const double a = lab.data("a").value(0), b = lab.data("b").value(0), u = 0.3, v = -0.45;
    const auto f_at = [&](double at_u, double at_v) {
        set_values(lab.x()[0], {at_u});
        set_values(lab.x()[1], {at_v});
        return lab.objective()[0];
    };
    const double highest = f_at(u, u / b), lowest = f_at(-v / a, v);
    for (const double step : {-0.01, 0.01}) {
        CHECK(f_at(u, u / b + step) < highest);
        CHECK(f_at(-v / a + step, v) > lowest);
    }
    f_at(u, v);
    CHECK(lab.metric("gap")[0] == doctest::Approx(highest - lowest).epsilon(1e-14));
}
