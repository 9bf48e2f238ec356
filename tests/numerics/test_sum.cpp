#include <doctest/doctest.h>

#include <cmath>
#include <l2o/numerics/sum.hpp>

using l2o::numerics::sum_over;

TEST_CASE("sum_over: takes every term once, whatever their number") {
    for (std::size_t n = 0; n <= 40; ++n) {
        double want = 0;
        for (std::size_t i = 0; i < n; ++i) want += std::ldexp(1.0, int(i));  // exact: each a bit of its own
        CHECK(sum_over(n, [](std::size_t i) { return std::ldexp(1.0, int(i)); }) == want);
    }
}

TEST_CASE("sum_over: adds floats in double") {
    CHECK(sum_over(3, [](std::size_t i) { return i == 0 ? 1.0f : 1e-9f; }) ==
          doctest::Approx(1 + 2e-9).epsilon(1e-15));
}
