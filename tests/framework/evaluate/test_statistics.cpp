#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "framework/evaluate/evaluate.hpp"
#include "framework/evaluate/shard_run.hpp"

using namespace l2o::framework;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("statistics: quantiles lie between neighbours as definition 7 of Hyndman & Fan says") {
    const Distribution d = distribution_of({4, 1, 3, 2});
    CHECK(d.mean == doctest::Approx(2.5).epsilon(1e-15));
    CHECK(d.median == doctest::Approx(2.5).epsilon(1e-15));
    CHECK(d.q10 == doctest::Approx(1.3).epsilon(1e-15));
    CHECK(d.q25 == doctest::Approx(1.75).epsilon(1e-15));
    CHECK(d.q75 == doctest::Approx(3.25).epsilon(1e-15));
    CHECK(d.q90 == doctest::Approx(3.7).epsilon(1e-15));
    CHECK(d.finite == 4);
}

TEST_CASE("statistics: of one value everything is that value") {
    const Distribution d = distribution_of({-3});
    for (const double value : {d.mean, d.median, d.q10, d.q25, d.q75, d.q90}) CHECK(value == -3);
}

TEST_CASE("statistics: what diverged counts as the worst in every quantile and in the mean") {
    const Distribution low = distribution_of({1, NAN, 2, kInfinity, 3, 4, 5});
    CHECK(low.median == 4);
    CHECK(low.q25 == 2.5);
    CHECK(low.q75 == kInfinity);
    CHECK(low.q90 == kInfinity);
    CHECK(low.mean == kInfinity);
    CHECK(low.finite == 5);
    const Distribution high = distribution_of({1, NAN, 2, -kInfinity, 3, 4, 5}, true);
    CHECK(high.median == 2);
    CHECK(high.q75 == 3.5);
    CHECK(high.q25 == -kInfinity);
    CHECK(high.mean == -kInfinity);
    CHECK(high.finite == 5);
}

TEST_CASE("statistics: a median that falls on one that diverged, or half-way to it, is the worst") {
    CHECK(distribution_of({1, NAN, NAN}).median == kInfinity);
    CHECK(distribution_of({1, NAN}).median == kInfinity);
    CHECK(distribution_of({-kInfinity, NAN}).median == kInfinity);
    CHECK(distribution_of({1, NAN}, true).median == -kInfinity);
}

TEST_CASE("statistics: an error of nothing in decibel is the best value, not one that diverged") {
    const Distribution d = distribution_of({-kInfinity, 1, 2, 3});
    CHECK(d.finite == 4);
    CHECK(d.q10 == -kInfinity);
    CHECK(d.median == 1.5);
    CHECK(d.mean == -kInfinity);
}

TEST_CASE("statistics: of ratios the rows are quotients, and all rows together the sum over the sum") {
    const Ratios plain = ratios_of({1, 2, 9, 3, 0, 5}, false);
    CHECK(plain.rows == std::vector<double>{0.5, 3, 0});
    CHECK(plain.pooled == 1);
    const Ratios decibel = ratios_of({1, 10, 0, 90}, true);
    CHECK(decibel.rows[0] == doctest::Approx(-10).epsilon(1e-15));
    CHECK(decibel.rows[1] == -std::numeric_limits<double>::infinity());
    CHECK(decibel.pooled == doctest::Approx(-20).epsilon(1e-15));
}

TEST_CASE("statistics: a ratio over 0 counts in the sums; one part that is not finite makes them NAN") {
    const Ratios over_zero = ratios_of({3, 0, 0, 0, 1, 4}, false);
    CHECK(over_zero.rows == std::vector<double>{kInfinity, 0, 0.25});
    CHECK(over_zero.pooled == 1);
    const Ratios diverged = ratios_of({NAN, 1, kInfinity, 1, 1, 4}, false);
    CHECK(std::isnan(diverged.rows[0]));
    CHECK(diverged.rows[1] == kInfinity);
    for (const double u : {static_cast<double>(NAN), kInfinity, -kInfinity}) {
        CHECK(std::isnan(ratios_of({u, 1, 1, 4}, false).pooled));
        CHECK(std::isnan(ratios_of({1, u, 1, 4}, false).pooled));
    }
}

TEST_CASE("statistics: where all diverged all are the worst") {
    const Distribution d = distribution_of({NAN});
    for (const double value : {d.mean, d.median, d.q10, d.q25, d.q75, d.q90}) CHECK(value == kInfinity);
    CHECK(d.finite == 0);
}

TEST_CASE("shard: one that stopped stays as it was, one whose plugin gave up is NAN from then on") {
    ShardRun shard;
    shard.records[0] = {.evaluations = {{3, 1, 2}}, .seconds = 3, .rows = {{5}}};
    shard.records[4] = {.evaluations = {{13, 6, 7}}, .seconds = 8, .rows = {{9}}};
    for (const bool gave_up : {false, true}) {
        if (gave_up) shard.gave_up = {.evaluations = {{14, 6, 8}}, .seconds = 9, .rows = {{NAN}}};
        CHECK(shard.at(0).rows[0][0] == 5);
        CHECK(shard.at(3).rows[0][0] == 5);
        CHECK(shard.at(4).rows[0][0] == 9);
        CHECK(shard.at(8).evaluations[0].gradients == (gave_up ? 8 : 7));
        CHECK(shard.at(8).seconds == (gave_up ? 9 : 8));
    }
    CHECK(std::isnan(shard.at(8).rows[0][0]));
    shard.gave_up.reset();
    CHECK(shard.at(8).rows[0][0] == 9);
}
