#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "framework/evaluate/evaluate.hpp"
#include "framework/evaluate/shard_run.hpp"

using namespace l2o::framework;

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

TEST_CASE("statistics: values that are not finite are left out and missing in the count") {
    const double infinity = std::numeric_limits<double>::infinity();
    const Distribution d = distribution_of({1, NAN, 3, infinity, -infinity});
    CHECK(d.median == 2);
    CHECK(d.mean == 2);
    CHECK(d.finite == 2);
}

TEST_CASE("statistics: without a finite value all are NAN") {
    const Distribution d = distribution_of({NAN});
    for (const double value : {d.mean, d.median, d.q10, d.q25, d.q75, d.q90}) CHECK(std::isnan(value));
    CHECK(d.finite == 0);
}

TEST_CASE("shard: one that stopped stays as it was, one whose plugin gave up is NAN from then on") {
    ShardRun shard;
    shard.records[0] = {.evaluations = {1, 2}, .seconds = 3, .rows = {{5}}};
    shard.records[4] = {.evaluations = {6, 7}, .seconds = 8, .rows = {{9}}};
    for (const bool is_diverged : {false, true}) {
        shard.is_diverged = is_diverged;
        CHECK(shard.at(0).rows[0][0] == 5);
        CHECK(shard.at(3).rows[0][0] == 5);
        CHECK(shard.at(4).rows[0][0] == 9);
        CHECK(shard.at(8).evaluations.gradients == 7);
    }
    CHECK(std::isnan(shard.at(8).rows[0][0]));
    shard.is_diverged = false;
    CHECK(shard.at(8).rows[0][0] == 9);
}
