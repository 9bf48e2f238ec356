#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "l2o/numerics/asinh.hpp"

using namespace l2o::numerics;

TEST_CASE_TEMPLATE("asinh: has its stated error wherever it is promised, and is odd", Scalar, float, double) {
    using Bits = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
    // A prime; two million numbers of both signs, every size and all fractions among them.
    constexpr Bits kStep = sizeof(Scalar) == 4 ? Bits(2131) : Bits(9223372036907);
    constexpr double kLargest = sizeof(Scalar) == 4 ? 1e18 : 1e150;
    constexpr double kError = sizeof(Scalar) == 4 ? 4e-7 : 8e-16;
    Lanes<Scalar> x;
    double worst = 0;
    Eigen::Index filled = 0;
    for (Bits bits = 0, next = 0; next >= bits; bits = next, next += kStep) {
        std::memcpy(&x[filled], &next, sizeof next);
        if (!(std::abs(double(x[filled])) <= kLargest) || ++filled < kLanes<Scalar>) continue;
        filled = 0;
        const Lanes<Scalar> y = asinh<Scalar>(x), other = asinh<Scalar>(-x);
        for (Eigen::Index i = 0; i < kLanes<Scalar>; ++i) {
            const long double exact = std::asinh(static_cast<long double>(x[i]));
            if (std::abs(exact) < 1e-37L) continue;  // packets take denormals for 0
            worst = std::max(worst, double(std::abs((y[i] - exact) / exact)));
            CHECK_UNARY(other[i] == -y[i]);
        }
    }
    MESSAGE("relative error " << worst);
    CHECK(worst <= kError);
    CHECK(worst > kError / 100);
}
