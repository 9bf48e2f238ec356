#include <doctest/doctest.h>

#include <cmath>
#include <l2o/numerics/philox.hpp>
#include <limits>

#include "framework/evaluate/paired.hpp"

using namespace l2o::framework;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// 1, 2 ... n, those in `negative` with a minus.
std::vector<double> ranks(int n, const std::vector<int>& negative) {
    std::vector<double> differences;
    for (int rank = 1; rank <= n; ++rank) differences.push_back(rank);
    for (const int rank : negative) differences[static_cast<std::size_t>(rank - 1)] = -rank;
    return differences;
}

double p_of(const std::vector<double>& differences) { return wilcoxon_signed_rank(differences).p; }

}  // namespace

TEST_CASE("wilcoxon: if all of n differences have one sign, p is 2 / 2^n") {
    for (const int n : {1, 5, 6, 20, 50}) {
        CAPTURE(n);
        const SignedRank result = wilcoxon_signed_rank(ranks(n, {}));
        CHECK(result.is_exact);
        CHECK(result.pairs == n);
        CHECK(result.positive_ranks == n * (n + 1) / 2);
        CHECK(result.p == doctest::Approx(std::exp2(1 - n)).epsilon(1e-14));
    }
}

TEST_CASE("wilcoxon: the subsets of {1..6} with a sum up to 3 are 5 of 64") {
    CHECK(p_of(ranks(6, {3})) == doctest::Approx(2.0 * 5 / 64).epsilon(1e-15));
    CHECK(p_of(ranks(6, {1, 2})) == doctest::Approx(2.0 * 5 / 64).epsilon(1e-15));
    CHECK(p_of(ranks(4, {1, 4})) == 1);
}

TEST_CASE("wilcoxon: two-sided 5 % is where the printed tables say: T <= 8 for 10 pairs, 52 for 20") {
    // Critical values of T, for instance Hollander, Wolfe & Chicken 2014, table A.4.
    CHECK(p_of(ranks(10, {8})) <= 0.05);
    CHECK(p_of(ranks(10, {9})) > 0.05);
    CHECK(p_of(ranks(20, {20, 19, 13})) <= 0.05);
    CHECK(p_of(ranks(20, {20, 19, 14})) > 0.05);
}

TEST_CASE("wilcoxon: turning all signs around changes nothing, and differences of 0 are left out") {
    const std::vector<double> differences{0.3, -0.1, 0.7, 1.2, -0.4};
    std::vector<double> turned;
    for (const double d : differences) turned.push_back(-d);
    CHECK(p_of(differences) == p_of(turned));
    std::vector<double> with_zeros = differences;
    with_zeros.insert(with_zeros.begin(), 3, 0.0);
    CHECK(wilcoxon_signed_rank(with_zeros).pairs == 5);
    CHECK(p_of(with_zeros) == p_of(differences));
    CHECK(p_of({0, 0, 0}) == 1);
    CHECK(p_of({}) == 1);
}

TEST_CASE("wilcoxon: ties share their rank, and the variance is smaller by the tie term") {
    // |d| = 1 1 1 2 2 3: ranks 2 2 2 4.5 4.5 6; T+ = 2 + 2 + 4.5 + 4.5 + 6 = 19, mean 10.5,
    // variance 6 * 7 * 13 / 24 - (24 + 6) / 48 = 22.125; z = (8.5 - 0.5) / sqrt(22.125)
    const SignedRank result = wilcoxon_signed_rank({1, 1, -1, 2, 2, 3});
    CHECK_FALSE(result.is_exact);
    CHECK(result.positive_ranks == 19);
    CHECK(result.p == doctest::Approx(std::erfc(8 / std::sqrt(22.125) / std::sqrt(2.0))).epsilon(1e-13));
}

TEST_CASE("wilcoxon: the normal approximation of 51 pairs is within 2 % of the exact value of 50") {
    const std::vector<int> negative{50, 49, 48, 47, 46, 45, 44, 43, 42, 41};
    const SignedRank exact = wilcoxon_signed_rank(ranks(50, negative));
    CHECK(exact.is_exact);
    std::vector<double> doubled = ranks(50, negative);
    doubled[0] = doubled[1];  // a tie of the two smallest: the approximation
    const SignedRank normal = wilcoxon_signed_rank(doubled);
    CHECK_FALSE(normal.is_exact);
    CHECK(normal.p == doctest::Approx(exact.p).epsilon(0.02));
    CHECK_FALSE(wilcoxon_signed_rank(ranks(51, negative)).is_exact);
}

TEST_CASE("wilcoxon: a diverged contestant counts as the largest difference") {
    CHECK(wilcoxon_signed_rank({1, 2, -kInfinity}).positive_ranks == 3);
    CHECK(wilcoxon_signed_rank({-1, -2, kInfinity}).positive_ranks == 3);
}

TEST_CASE(
    "student: of 2 degrees p is 1 - t / sqrt(t^2 + 2), and the limits are those of the printed tables") {
    for (const double t : {0.5, 1.0, 4.303, 30.0})
        CHECK(student_p(-t, 2) == doctest::Approx(1 - t / std::sqrt(t * t + 2)).epsilon(1e-12));
    CHECK(student_limit(2) == doctest::Approx(4.303).epsilon(1e-4));
    CHECK(student_limit(4) == doctest::Approx(2.776).epsilon(2e-4));
    CHECK(student_limit(14) == doctest::Approx(2.145).epsilon(2e-4));
    CHECK(student_p(student_limit(3.5), 3.5) == doctest::Approx(0.05).epsilon(1e-12));
}

TEST_CASE("holm: 0.01 0.04 0.03 0.005 become 0.03 0.06 0.06 0.02") {
    const std::vector<double> adjusted = holm({0.01, 0.04, 0.03, 0.005});
    const std::vector<double> want{0.03, 0.06, 0.06, 0.02};
    for (std::size_t i = 0; i < want.size(); ++i) {
        CAPTURE(i);
        CHECK(adjusted[i] == doctest::Approx(want[i]).epsilon(1e-14));
    }
    CHECK(holm({0.4, 0.9}) == std::vector<double>{0.8, 0.9});
    CHECK(holm({0.7, 0.8})[1] == 1);
    CHECK(holm({}).empty());
}

TEST_CASE("quantile: an infinite value does not make its neighbours NAN") {
    CHECK(quantile({1, kInfinity, kInfinity, kInfinity}, 0.5) == kInfinity);
    CHECK(quantile({1, 2, kInfinity}, 0.5) == 2);
    CHECK(quantile({1, 2, kInfinity}, 0.25) == 1.5);
    CHECK(quantile({-kInfinity, 1, 2}, 0.25) == -kInfinity);
    CHECK(quantile({-kInfinity, 1, 2}, 0.75) == 1.5);
}

TEST_CASE("bootstrap: of equal values the interval is that value, and equal input has equal output") {
    const Interval same = bootstrap_median({3, 3, 3, 3});
    CHECK(same.low == 3);
    CHECK(same.high == 3);
    const std::vector<double> values{5, 1, 4, 2, 8, 9, 3};
    CHECK(bootstrap_median(values).low == bootstrap_median(values).low);
    CHECK(bootstrap_median(values).low >= 1);
    CHECK(bootstrap_median(values).low < 4);
    CHECK(bootstrap_median(values).high > 4);
}

TEST_CASE("bootstrap: shifting and scaling the values shifts and scales the interval") {
    const std::vector<double> values{5, 1, 4, 2, 8, 9, 3, 7};
    std::vector<double> moved;
    for (const double value : values) moved.push_back(4 * value - 16);
    const Interval plain = bootstrap_median(values), other = bootstrap_median(moved);
    CHECK(other.low == doctest::Approx(4 * plain.low - 16).epsilon(1e-14));
    CHECK(other.high == doctest::Approx(4 * plain.high - 16).epsilon(1e-14));
}

TEST_CASE("bootstrap: about 95 % of the intervals of 40 normal values hold the true median") {
    constexpr int kTrials = 400;
    int held = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
        l2o::numerics::Stream stream(l2o::numerics::Key{7, 0}, static_cast<std::uint64_t>(trial));
        std::vector<double> values;
        for (int i = 0; i < 40; ++i) values.push_back(2 + stream.normal());
        const Interval interval = bootstrap_median(values);
        held += interval.low <= 2 && 2 <= interval.high ? 1 : 0;
    }
    CAPTURE(held);
    // Four standard deviations of a count that is binomial with 0.95: 17.
    CHECK(held >= 0.95 * kTrials - 17);
    CHECK(held <= 0.95 * kTrials + 17);
}
