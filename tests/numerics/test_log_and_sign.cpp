#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "central_difference.hpp"
#include "l2o/numerics/log_and_sign.hpp"

using namespace l2o::numerics;

namespace {

std::array<double, 2> preprocess(double g, double k) {
    std::array<double, 2> out{};
    log_and_sign(std::span(&g, 1), k, std::span(&out[0], 1), std::span(&out[1], 1));
    return out;
}

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

TEST_CASE("log and sign: the bits of an entry do not depend on its position or on the length") {
    const auto g = random_normal<float>(101, 1);
    std::vector<float> log_part(101), sign_part(101);
    log_and_sign(g, 5.0F, log_part, sign_part);
    for (std::size_t i = 0; i < g.size(); ++i) {
        float log_alone = 0, sign_alone = 0;
        log_and_sign(std::span(&g[i], 1), 5.0F, std::span(&log_alone, 1), std::span(&sign_alone, 1));
        CHECK(log_alone == log_part[i]);
        CHECK(sign_alone == sign_part[i]);
    }
}

TEST_CASE("log and sign: the vjp adds the central difference, 0 where a part is clamped") {
    std::vector<double> g{0.3, -0.2, 2.5, -1e-3, 4e-3, 0, 1e-5}, log_part(7), sign_part(7);
    const auto log_bar = random_normal(7, 2), sign_bar = random_normal(7, 3);
    const auto f = [&] {
        log_and_sign(g, 5.0, log_part, sign_part);
        return dot(log_part, log_bar) + dot(sign_part, sign_bar);
    };
    std::vector<double> g_bar(7, 0.25);
    log_and_sign_vjp(g, 5.0, log_bar, sign_bar, g_bar);
    for (double& v : g_bar) v -= 0.25;
    CHECK(relative_error(g_bar, central_difference(f, g, 1e-7)) < 1e-7);
    CHECK(g_bar[3] == doctest::Approx(sign_bar[3] * std::exp(5.0)));
    CHECK(g_bar[0] == doctest::Approx(log_bar[0] / (5 * (0.3 + 0x1p-23))));
}

TEST_CASE_TEMPLATE("log and sign: the logarithm has its stated relative error wherever a number can be",
                   Scalar,
                   float,
                   double) {
    using Bits = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
    constexpr Bits kStep = sizeof(Scalar) == 4 ? Bits(2131) : Bits(9223372036907);  // a million numbers
    constexpr std::size_t kSize = 1000;
    constexpr Scalar kScale = 64;  // so large that nothing is clamped; a power of two, which costs no digit
    std::vector<Scalar> g, log_part(kSize), sign_part(kSize);
    double worst = 0;
    for (Bits bits = 0; bits < std::numeric_limits<Bits>::max() / 2 - kStep; bits += kStep) {
        Scalar value = 0;
        std::memcpy(&value, &bits, sizeof value);
        if (!std::isfinite(value)) break;
        g.push_back(value);
        if (g.size() < kSize) continue;
        log_and_sign(g, kScale, log_part, sign_part);
        for (std::size_t i = 0; i < kSize; ++i) {
            const auto exact = std::log(static_cast<long double>(g[i] + Scalar(kLogAndSignEpsilon)));
            if (exact != 0) worst = std::max(worst, double(std::abs((kScale * log_part[i] - exact) / exact)));
        }
        g.clear();
    }
    CAPTURE(worst);
    CHECK(worst <= 2 * double(std::numeric_limits<Scalar>::epsilon()));
    CHECK(worst > 0);
}
