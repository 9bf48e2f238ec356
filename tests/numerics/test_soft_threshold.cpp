#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "central_difference.hpp"
#include "l2o/numerics/soft_threshold.hpp"

using namespace l2o::numerics;

TEST_CASE("soft threshold: shrinks by theta, to 0 inside, odd in z") {
    CHECK(soft_threshold(3.0, 1.0) == 2);
    CHECK(soft_threshold(-3.0, 1.0) == -2);
    CHECK(soft_threshold(1.0, 1.0) == 0);
    CHECK(soft_threshold(-0.5F, 1.0F) == 0);
    CHECK(soft_threshold(0.0, 1.0) == 0);
}

TEST_CASE("soft threshold: a negative theta is not clamped and leaves 0 at 0") {
    CHECK(soft_threshold(3.0, -1.0) == 4);
    CHECK(soft_threshold(-3.0, -1.0) == -4);
    CHECK(soft_threshold(0.0, -1.0) == 0);
    CHECK(soft_threshold_slope(0.0, -1.0) == 0);
}

TEST_CASE("soft threshold: minimises theta |x| + 1/2 (x - z)^2") {
    for (double z : {-2.0, -0.3, 0.0, 0.7, 1.9})
        for (double theta : {0.0, 0.5, 1.0}) {
            const auto objective = [&](double x) { return theta * std::abs(x) + (x - z) * (x - z) / 2; };
            const double x = soft_threshold(z, theta);
            for (double away : {-1e-3, 1e-3}) CHECK(objective(x) < objective(x + away));
        }
}

TEST_CASE("soft threshold: NaN is passed on") {
    CHECK(std::isnan(soft_threshold(std::numeric_limits<float>::quiet_NaN(), 1.0F)));
}

TEST_CASE("soft threshold: the vjp is the central difference, for theta of either sign") {
    for (double theta : {0.4, -0.4}) {
        std::vector<double> z = random_normal(40, 1), out(z.size()), z_bar(z.size());
        const std::vector<double> out_bar = random_normal(40, 2);
        std::vector<double> at_theta{theta};
        const auto f = [&] {
            soft_threshold(z, at_theta[0], out);
            return dot(out, out_bar);
        };
        const double theta_bar = soft_threshold_vjp(z, theta, out_bar, z_bar);
        CHECK(relative_error(z_bar, central_difference(f, z)) < 1e-8);
        CHECK(relative_error({theta_bar}, central_difference(f, at_theta)) < 1e-8);
    }
}

TEST_CASE("soft threshold: at z = 0 nothing flows back, not even for a negative theta") {
    std::vector<double> z{0}, out_bar{1}, z_bar{7};
    CHECK(soft_threshold_vjp(z, -1.0, out_bar, z_bar) == 0);
    CHECK(z_bar[0] == 0);
}
