#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "framework/evaluate/over_seeds.hpp"
#include "framework/evaluate/results.hpp"
#include "tests/framework/evaluate/aa_model.hpp"

using namespace l2o::framework;
using l2o::test::aa_models, l2o::test::aa_rates;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Of trainings that come to these numbers on every one of four instances, less those.
SeedDifferences constant(const std::vector<double>& a, const std::vector<double>& b) {
    SeedDifferences all;
    for (const double one : a) {
        all.emplace_back();
        for (const double other : b) all.back().emplace_back(4, one - other);
    }
    return all;
}

/// Whole, from 1 to n, so that Wilcoxon's p is 2 / 2^n, shifted for the trainings by what is given.
SeedDifferences rising(const std::vector<double>& shifts, int n) {
    SeedDifferences all;
    for (const double shift : shifts) {
        all.emplace_back().emplace_back();
        for (int i = 1; i <= n; ++i) all.back().back().push_back(i + shift);
    }
    return all;
}

}  // namespace

TEST_CASE("over seeds: of one training a side, it is the bootstrapped median and Wilcoxon's test") {
    const std::vector<double> differences{3, -1, 4, 1, 5, -9, 2.5};
    const OverSeeds one = compare_over_seeds({{differences}});
    CHECK(one.difference == 2.5);
    CHECK(one.p == wilcoxon_signed_rank(differences).p);
    CHECK(one.interval.low == bootstrap_median(differences).low);
    CHECK(one.interval.high == bootstrap_median(differences).high);
    CHECK(std::isnan(one.degrees));
}

TEST_CASE("over seeds: a single pair has no interval, and nothing is certain") {
    const OverSeeds one = compare_over_seeds({{{-2.0}}});
    CHECK(one.difference == -2);
    CHECK(std::isnan(one.interval.low));
    CHECK(interval_text(one.interval, " .. ") == "-");
    CHECK(one.p == 1);
    CHECK(interval_text({-1.5, 2}, " .. ") == "-1.5 .. 2");
}

TEST_CASE("over seeds: two sides of several trainings are compared by Welch's t") {
    // Means 2 and 7, variances of the means 1/3 and 9.
    const OverSeeds two = compare_over_seeds(constant({1, 2, 3}, {10, 4}));
    CHECK(two.difference == doctest::Approx(-5).epsilon(1e-14));
    const double error = std::sqrt(1.0 / 3 + 9);
    CHECK(two.degrees == doctest::Approx(std::pow(1.0 / 3 + 9, 2) / (1.0 / 18 + 81)).epsilon(1e-12));
    CHECK((two.interval.high - two.interval.low) / 2 > 1.96 * error);
    CHECK(two.interval.low + two.interval.high == doctest::Approx(-10));
}

TEST_CASE("over seeds: against one without a training it is Student's t, and three seeds have two degrees") {
    // Summaries -1, 0, 1 and 5 more: t = 5 * sqrt(3) = 8.66; p = 1 - t / sqrt(t^2 + 2) of two degrees.
    const OverSeeds one = compare_over_seeds(constant({4, 5, 6}, {0}));
    CHECK(one.degrees == 2);
    // Of four equal differences Wilcoxon says no less than that.
    CHECK(one.p >= 1 - 8.660254 / std::sqrt(77));
    // Twenty instances: Wilcoxon's p is 2e-6, so that t decides, which knows of what other instances add.
    const OverSeeds many = compare_over_seeds(rising({-1, 0, 1}, 20));
    CHECK(many.difference == 10.5);
    CHECK(many.p > 1 - 10.5 * std::sqrt(3.0) / std::sqrt(3 * 10.5 * 10.5 + 2));
    CHECK(many.p < 0.1);
}

TEST_CASE("over seeds: neither many instances nor equal trainings make a difference alone") {
    // Every instance says so, the trainings do not: their means are 1, -0.9, 0.8.
    SeedDifferences instances = constant({1, -0.9, 0.8}, {0});
    for (auto& row : instances) row[0].assign(200, row[0][0]);
    const OverSeeds by_instance = compare_over_seeds(instances);
    CHECK(by_instance.signed_rank.p < 1e-10);
    CHECK(by_instance.p > 0.3);
    CHECK(by_instance.interval.low < 0);
    // All trainings do the same, and half of the instances say the contrary.
    const std::vector<double> mixed{1, -1.1, 1.2, -1.3, 1.4, -1.5, 1.6};
    const OverSeeds by_seed = compare_over_seeds({{mixed}, {mixed}, {mixed}});
    CHECK(by_seed.p >= wilcoxon_signed_rank(mixed).p);
    CHECK(by_seed.interval.low <= bootstrap_median(mixed).low);
}

TEST_CASE("over seeds: the interval holds the difference, and turning the sides round turns it round") {
    const SeedDifferences there = constant({1, 2.5, 3}, {0.5, 0, 1});
    SeedDifferences back(3, std::vector<std::vector<double>>(3));
    for (std::size_t a = 0; a < 3; ++a) {
        for (std::size_t b = 0; b < 3; ++b) {
            for (const double d : there[a][b]) back[b][a].push_back(-d);
        }
    }
    const OverSeeds one = compare_over_seeds(there), other = compare_over_seeds(back);
    CHECK(one.difference == -other.difference);
    CHECK(one.p == doctest::Approx(other.p).epsilon(1e-12));
    CHECK(one.interval.low == doctest::Approx(-other.interval.high).epsilon(1e-12));
    CHECK(one.interval.low < one.difference);
    CHECK(one.interval.high > one.difference);
}

TEST_CASE(
    "over seeds: one training that diverged leaves nothing to be said, all of them leave the instances") {
    const std::vector<double> lost(8, kInfinity), fine(8, -1);
    const OverSeeds one = compare_over_seeds({{lost}, {fine}, {fine}});
    CHECK(one.difference == kInfinity);
    CHECK(one.p == 1);
    CHECK(one.interval.low == -kInfinity);
    CHECK(one.interval.high == kInfinity);
    const OverSeeds all = compare_over_seeds({{lost}, {lost}});
    CHECK(all.difference == kInfinity);
    CHECK(all.interval.low == kInfinity);
    CHECK(all.p == doctest::Approx(all.signed_rank.p));
    const OverSeeds none = compare_over_seeds({{std::vector<double>(8, 0.0)}, {std::vector<double>(8, 0.0)}});
    CHECK(none.p == 1);
    CHECK(none.interval.low == 0);
}

TEST_CASE("over seeds: two copies of a contestant are told apart in about 5 % of the cases, not in 20") {
    // aa_simulation.cpp has 10,000 repetitions and all models; four standard deviations of 300.
    constexpr int kRepetitions = 300;
    for (const int seeds : {3, 5, 8}) {
        CAPTURE(seeds);
        const double alarms = aa_rates(aa_models().front(), seeds, seeds, kRepetitions).alarms;
        CHECK(alarms > 0);
        CHECK(alarms < 0.05 + 4 * std::sqrt(0.05 * 0.95 / kRepetitions));
    }
}
