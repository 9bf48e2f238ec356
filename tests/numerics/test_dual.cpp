#include <doctest/doctest.h>

#include <cmath>

#include "l2o/numerics/dual.hpp"

using namespace l2o::numerics;

TEST_CASE("dual: every function has the slope of its derivative") {
    using D = Dual<double, 2>;
    const double x0 = 0.7, y0 = -1.3, step = 1e-6;
    const auto check = [&](auto f) {
        const D got = f(D::variable(x0, 0), D::variable(y0, 1));
        CHECK(got.value == f(x0, y0));
        CHECK(got.slope[0] ==
              doctest::Approx((f(x0 + step, y0) - f(x0 - step, y0)) / (2 * step)).epsilon(1e-8));
        CHECK(got.slope[1] ==
              doctest::Approx((f(x0, y0 + step) - f(x0, y0 - step)) / (2 * step)).epsilon(1e-8));
    };
    using std::abs, std::clamp, std::exp, std::log, std::max, std::min, std::sqrt, std::tanh;
    check([](auto x, auto y) { return 3 + x * y - 2 / y; });
    check([](auto x, auto y) { return (x - 1) / (y + x) - -y; });
    check([](auto x, auto y) { return exp(x * y) * log(x) + sqrt(x) * tanh(y); });
    check([](auto x, auto y) { return abs(x) * x + abs(y) * y; });
    check([](auto x, auto y) { return max(x, y) * y + min(x, y) * x; });
    check([](auto x, auto y) { return clamp(x, 0.0, 1.0) * y + clamp(y, -1.0, 1.0) * x; });
    check([](auto x, auto y) { return x > y && x >= y && y < x && y <= x ? x * x : y; });
    check([](auto x, auto y) { return where_less(x, y, y, x * x) * sign(y); });
}
