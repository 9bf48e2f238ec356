#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "l2o/numerics/packet.hpp"

using namespace l2o::numerics;

namespace {

constexpr int kWide = 2;
template <class Scalar>
using Some = Packets<Scalar, kWide>;
template <class Scalar>
constexpr std::size_t kSome = std::size_t(kWide* kPacket<Scalar>);

template <class Scalar>
Some<Scalar> logistic(const Some<Scalar>& x) {
    return Some<Scalar>(1) / one_plus_exp_minus(x);
}
template <class Scalar>
Some<Scalar> tanh(const Some<Scalar>& x) {
    const auto fraction = tanh_fraction(x);
    return fraction.top / fraction.bottom;
}
template <class Scalar>
Some<Scalar> slope_of_tanh(const Some<Scalar>& x) {
    const auto fraction = tanh_fraction(x);
    return Some<Scalar>(4) * fraction.e / (fraction.bottom * fraction.bottom);
}
/// f(x) for one number, in every lane.
template <class Scalar, class F>
Scalar at(F f, Scalar x) {
    Scalar out[kSome<Scalar>];
    f(Some<Scalar>(x)).store(out);
    return out[0];
}

/// Calls check(x, f(x)) for finite numbers of both signs and every size, all fractions among them.
template <class Scalar, class F, class Check>
void for_the_whole_range(F f, Check check) {
    using Bits = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
    // A prime; two million numbers.
    constexpr Bits kStep = sizeof(Scalar) == 4 ? Bits(2131) : Bits(9223372036907);
    Scalar x[kSome<Scalar>], y[kSome<Scalar>];
    std::size_t filled = 0;
    for (Bits bits = 0, next = 0; next >= bits; bits = next, next += kStep) {
        std::memcpy(&x[filled], &next, sizeof next);
        if (!std::isfinite(x[filled]) || ++filled < kSome<Scalar>) continue;
        filled = 0;
        f(Some<Scalar>::load(x)).store(y);
        for (std::size_t i = 0; i < kSome<Scalar>; ++i) check(x[i], y[i]);
    }
}

/// Bounds that the docstrings state.
template <class Scalar>
constexpr double kLogisticError = sizeof(Scalar) == 4 ? 2.5e-6 : 3e-15;
template <class Scalar>
constexpr double kTanhError = sizeof(Scalar) == 4 ? 1e-6 : 1e-15;
template <class Scalar>
constexpr double kSlopeError = sizeof(Scalar) == 4 ? 2.5e-6 : 3e-15;

}  // namespace

TEST_CASE_TEMPLATE("packet: the logistic function has its stated error wherever a number can be",
                   Scalar,
                   float,
                   double) {
    double relative = 0, absolute = 0;
    for_the_whole_range<Scalar>(logistic<Scalar>, [&](Scalar x, Scalar y) {
        const long double exact = 1 / (1 + std::exp(-static_cast<long double>(x)));
        const auto error = double(std::abs(y - exact));
        absolute = std::max(absolute, error);
        if (x >= -40) relative = std::max(relative, error / double(exact));
    });
    CAPTURE(relative);
    CAPTURE(absolute);
    CHECK(relative <= kLogisticError<Scalar>);
    CHECK(absolute <= std::numeric_limits<Scalar>::epsilon());
    CHECK(absolute > 0);
}

TEST_CASE_TEMPLATE("packet: tanh has its stated relative error wherever a number can be",
                   Scalar,
                   float,
                   double) {
    double relative = 0, below = 0;  // below the normal numbers, in units of the smallest
    for_the_whole_range<Scalar>(tanh<Scalar>, [&](Scalar x, Scalar y) {
        const long double exact = std::tanh(static_cast<long double>(x));
        const long double error = std::abs(y - exact);
        if (std::abs(x) >= std::numeric_limits<Scalar>::min())
            relative = std::max(relative, double(error / std::abs(exact)));
        else
            below = std::max(below, double(error / std::numeric_limits<Scalar>::denorm_min()));
        if (x == 0) CHECK(y == 0);
    });
    CAPTURE(relative);
    CAPTURE(below);
    CHECK(relative <= kTanhError<Scalar>);
    CHECK(relative > 0);
    CHECK(below <= 3);
}

TEST_CASE_TEMPLATE("packet: the slope of tanh has its stated relative error, also where tanh is nearly 1",
                   Scalar,
                   float,
                   double) {
    double relative = 0;
    for_the_whole_range<Scalar>(slope_of_tanh<Scalar>, [&](Scalar x, Scalar y) {
        const long double e = std::exp(-2 * std::abs(static_cast<long double>(x)));
        const long double exact = 4 * e / ((1 + e) * (1 + e));
        if (std::abs(x) <= 20)
            relative = std::max(relative, double(std::abs(y - exact) / exact));
        else
            CHECK(y <= Scalar(1.7e-17));
    });
    CAPTURE(relative);
    CHECK(relative <= kSlopeError<Scalar>);
    CHECK(relative > 0);
}

TEST_CASE_TEMPLATE("packet: infinities saturate and a NaN stays a NaN", Scalar, float, double) {
    constexpr Scalar kInfinity = std::numeric_limits<Scalar>::infinity();
    CHECK(at<Scalar>(logistic<Scalar>, kInfinity) == 1);
    CHECK(at<Scalar>(logistic<Scalar>, -kInfinity) <= Scalar(4.3e-18));
    CHECK(std::abs(at<Scalar>(tanh<Scalar>, kInfinity) - 1) <= kTanhError<Scalar>);
    CHECK(std::abs(at<Scalar>(tanh<Scalar>, -kInfinity) + 1) <= kTanhError<Scalar>);
    for (const char* payload : {"", "1"}) {
        const auto nan = Scalar(std::nan(payload));
        CHECK(std::isnan(at<Scalar>(logistic<Scalar>, nan)));
        CHECK(std::isnan(at<Scalar>(tanh<Scalar>, nan)));
    }
}

TEST_CASE_TEMPLATE("packet: a lane has the same bits in every place and whatever the others hold",
                   Scalar,
                   float,
                   double) {
    const Scalar x = Scalar(-0.737), others[] = {0, 100, std::numeric_limits<Scalar>::quiet_NaN()};
    for (const auto f : {logistic<Scalar>, tanh<Scalar>}) {
        const Scalar alone = at<Scalar>(f, x);
        for (const Scalar other : others)
            for (std::size_t lane = 0; lane < kSome<Scalar>; ++lane) {
                std::vector<Scalar> all(kSome<Scalar>, other);
                all[lane] = x;
                f(Some<Scalar>::load(all.data())).store(all.data());
                CHECK(all[lane] == alone);
            }
    }
}

TEST_CASE_TEMPLATE("packet: a partial load fills up with zeros and a partial store leaves the rest",
                   Scalar,
                   float,
                   double) {
    for (Index count = 1; count <= kPacket<Scalar>; ++count) {
        std::vector<Scalar> from(std::size_t(count), Scalar(3)), to(std::size_t(kPacket<Scalar>), Scalar(-1));
        const Packet<Scalar> packet = load_packet(from.data(), count);
        store_packet(packet, to.data(), kPacket<Scalar>);
        for (Index i = 0; i < kPacket<Scalar>; ++i) CHECK(to[std::size_t(i)] == (i < count ? 3 : 0));
        std::fill(to.begin(), to.end(), Scalar(-1));
        store_packet(packet, to.data(), count);
        for (Index i = 0; i < kPacket<Scalar>; ++i) CHECK(to[std::size_t(i)] == (i < count ? 3 : -1));
    }
}

TEST_CASE("packet: float packets are added to doubles element by element") {
    std::vector<float> from(std::size_t(kPacket<float>));
    std::vector<double> to(from.size(), 0.5);
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = float(i) / 3;
    add_packet<float>(load_packet(from.data(), kPacket<float>), to.data());
    for (std::size_t i = 0; i < from.size(); ++i) CHECK(to[i] == 0.5 + double(from[i]));
}
