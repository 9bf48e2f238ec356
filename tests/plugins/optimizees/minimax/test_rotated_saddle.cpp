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

TEST_CASE("rotated_saddle: the metric `distance` is the Euclidean norm of (u, v)") {
    ProblemLab lab({.optimizee = "rotated_saddle", .instances = 2});
    set_values(lab.x()[0], {3, 0});
    set_values(lab.x()[1], {-4, 2});
    CHECK(relative_error(lab.metric("distance"), {5, 2}) <= 1e-15);
}
