#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <l2o/nets/log_and_sign.hpp>
#include <limits>

using l2o::nets::log_and_sign;

namespace {

std::array<double, 2> preprocess(double g, double k) { return log_and_sign(g, k); }

}  // namespace

TEST_CASE("log and sign: small, large and unit gradients come out as computed by hand") {
    CHECK(preprocess(1e-3, 5)[0] == -1);
    CHECK(preprocess(1e-3, 5)[1] == doctest::Approx(1e-3 * std::exp(5.0)).epsilon(1e-14));
    CHECK(preprocess(0.5, 5)[0] == doctest::Approx(-0.13863).epsilon(1e-4));
    CHECK(preprocess(0.5, 5)[1] == 1);
    CHECK(preprocess(1e-3, 10)[0] == doctest::Approx((std::log(1e-3 + 0x1p-23)) / 10).epsilon(1e-14));
    CHECK(preprocess(-1e-3, 10)[1] == -1);
    CHECK(std::abs(preprocess(1, 5)[0]) < 1e-7);
}

TEST_CASE("log and sign: the logarithm has no upper clamp, and 0 gives (-1, 0)") {
    CHECK(preprocess(-std::exp(5.0), 5)[0] == doctest::Approx(1));
    CHECK(preprocess(0, 5) == std::array<double, 2>{-1, 0});
}

TEST_CASE("log and sign: the slopes are the central differences, 0 where a part is clamped") {
    using Number = l2o::numerics::Dual<double, 1>;
    for (double g : {0.3, -0.2, 2.5, -1e-3, 4e-3, 1e-5})
        for (const std::size_t part : {0U, 1U}) {
            CAPTURE(g);
            CAPTURE(part);
            const double h = 1e-7 * std::abs(g);
            const double want = (log_and_sign(g + h, 5.0)[part] - log_and_sign(g - h, 5.0)[part]) / (2 * h);
            CHECK(log_and_sign(Number::variable(g, 0), 5.0)[part].slope[0] ==
                  doctest::Approx(want).epsilon(1e-6));
        }
    CHECK(log_and_sign(Number::variable(0, 0), 5.0)[0].slope[0] == 0);
    CHECK(log_and_sign(Number::variable(-1e-3, 0), 5.0)[0].slope[0] == 0);
    CHECK(log_and_sign(Number::variable(0.3, 0), 5.0)[1].slope[0] == 0);
}

TEST_CASE("log and sign: what is no number stays none, so that a diverged iterate is seen") {
    for (const double part : log_and_sign(std::nan(""), 5.0)) CHECK(std::isnan(part));
}

TEST_CASE_TEMPLATE(
    "log and sign: the logarithm has an error of two epsilons wherever a number can be, and the "
    "bits of a lane depend on its own input only",
    Scalar,
    float,
    double) {
    using Bits = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
    using Packed = l2o::numerics::Packets<Scalar, 1>;
    constexpr Bits kStep = sizeof(Scalar) == 4 ? Bits(2131) : Bits(9223372036907);  // a million numbers
    constexpr std::size_t kSize = sizeof(Packed) / sizeof(Scalar);
    constexpr Scalar kScale = 64;  // so large that nothing is clamped; a power of two, which costs no digit
    Scalar g[kSize] = {}, log_part[kSize], alone[kSize];
    std::size_t count = 0, differing = 0;
    double worst = 0;
    for (Bits bits = 0; bits < std::numeric_limits<Bits>::max() / 2 - kStep; bits += kStep) {
        Scalar value = 0;
        std::memcpy(&value, &bits, sizeof value);
        if (!std::isfinite(value)) break;
        g[count++] = value;
        if (count < kSize) continue;
        count = 0;
        log_and_sign(Packed::load(g), kScale)[0].store(log_part);
        log_and_sign(Packed(g[kSize - 1]), kScale)[0].store(alone);
        differing += alone[0] != log_part[kSize - 1];
        for (std::size_t i = 0; i < kSize; ++i) {
            const auto exact = std::log(static_cast<long double>(g[i] + Scalar(0x1p-23)));
            if (exact != 0) worst = std::max(worst, double(std::abs((kScale * log_part[i] - exact) / exact)));
        }
    }
    CAPTURE(worst);
    CHECK(worst <= 2 * double(std::numeric_limits<Scalar>::epsilon()));
    CHECK(worst > 0);
    CHECK(differing == 0);
}
