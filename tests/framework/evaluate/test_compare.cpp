#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "framework/evaluate/compare.hpp"

using namespace l2o::framework;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
using Points = std::vector<std::vector<double>>;

/// Points 0, 10, 20 ... of the objective by row. A row has paid one evaluation per iteration and a
/// millisecond for each; shards have two rows.
Curve curve(const std::string& name, const Points& points) {
    Curve curve{.contestant = name, .metrics = {"objective"}, .final_rows = {points.back()}};
    curve.history.shard_rows = 2;
    const std::size_t shards = (points[0].size() + 1) / 2;
    for (std::size_t point = 0; point < points.size(); ++point) {
        const auto iteration = static_cast<double>(10 * point);
        curve.iteration.push_back(static_cast<std::int64_t>(10 * point));
        curve.history.values.push_back(points[point]);
        curve.history.evaluations.emplace_back(points[point].size(), iteration);
        curve.history.seconds.emplace_back(shards, iteration * 1e-3);
    }
    return curve;
}

Judging judging(const std::string& reference = "ref") {
    return {.metric = "objective", .reference = reference, .tolerance = 0.1};
}

std::vector<std::int64_t> reached(const Curve& curve) {
    std::vector<std::int64_t> iterations;
    for (const Reached& row : curve.reached) iterations.push_back(row.iteration);
    return iterations;
}

}  // namespace

TEST_CASE("target: a row has arrived when its metric is first at or below the target, and stays arrived") {
    std::vector<Curve> curves{curve("a", {{9, 9, 9}, {5, 9, NAN}, {7, 5.01, 4}})};
    Judging judge = judging();
    judge.target = 5;
    find_reached(curves, judge);
    CHECK(reached(curves[0]) == std::vector<std::int64_t>{10, -1, 20});
    CHECK(curves[0].reached[2].evaluations == 20);
    CHECK(curves[0].reached[2].seconds == 0.02);
    CHECK(curves[0].history.values.empty());
}

TEST_CASE("target: a stair is what a row paid for, and what was recorded has no part in it") {
    std::vector<Curve> curves{curve("a", {{9, 9}, {0, 0}}), curve("b", {{9, 9}, {8, 8}})};
    curves[0].staircases = {{{7, {2, 3, 0.25}}, {4, {5, 6, 0.5}}, {2, {8, 9, 0.75}}}, {}};
    curves[1].staircases = {{{5, {1, 1, 0.125}}}, {{6, {0, 1, 0.125}}}};
    Judging judge = judging();
    judge.is_paid_for = true;
    judge.target = 5;
    find_reached(curves, judge);
    CHECK(reached(curves[0]) == std::vector<std::int64_t>{5, -1});
    CHECK(curves[0].reached[0].evaluations == 6);
    CHECK(curves[0].reached[0].seconds == 0.5);
    CHECK(std::isnan(curves[0].reached[1].evaluations));
    CHECK(reached(curves[1]) == std::vector<std::int64_t>{1, -1});
    CHECK(curves[0].staircases[0].size() == 3);
    CHECK(curves[0].history.values.empty());
    // From 9 to the best that was paid for, 2 and 6: all but a tenth of the way is 2.7 and 6.3.
    std::vector<Curve> again{curve("a", {{9, 9}, {0, 0}}), curve("b", {{9, 9}, {8, 8}})};
    for (std::size_t i = 0; i < 2; ++i) again[i].staircases = curves[i].staircases;
    judge.target.reset();
    find_reached(again, judge);
    CHECK(reached(again[0]) == std::vector<std::int64_t>{8, -1});
    CHECK(reached(again[1]) == std::vector<std::int64_t>{-1, 0});
}

TEST_CASE("target: of a metric where higher is better it is a lower bound") {
    std::vector<Curve> curves{curve("a", {{0.1, 0.1}, {0.9, 0.5}, {0.2, 0.6}})};
    Judging judge = judging();
    judge.target = 0.6;
    judge.higher_is_better = {"objective"};
    find_reached(curves, judge);
    CHECK(reached(curves[0]) == std::vector<std::int64_t>{10, 20});
}

TEST_CASE("target: without one, 90 % of the way to the best of all contestants on that row has to be made") {
    // Row 0: from 10 to the best, 0, of b: within 1. Row 1: nobody improves. Row 2: from -1 to -2: -1.9.
    std::vector<Curve> curves{curve("a", {{10, 3, -1}, {1.01, 3, -1.89}, {1, 4, -1.9}}),
                              curve("b", {{10, 3, -1}, {0, 3, -2}, {5, NAN, 7}})};
    find_reached(curves, judging());
    CHECK(reached(curves[0]) == std::vector<std::int64_t>{20, -1, 20});
    CHECK(reached(curves[1]) == std::vector<std::int64_t>{10, -1, 10});
}

TEST_CASE("target: the best may be -inf (an error of nothing in dB), the start may be NAN") {
    std::vector<Curve> curves{curve("a", {{0, NAN}, {-50, 3}, {-kInfinity, 2}})};
    find_reached(curves, judging());
    CHECK(reached(curves[0]) == std::vector<std::int64_t>{20, 20});
}

TEST_CASE("compare: differences are the contestant less the reference, row by row") {
    const std::vector<Curve> curves{
        curve("ref", {{10, 20, 30}}), curve("a", {{9, 18, 33}}), curve("b", {{9, 19, 29}})};
    const std::vector<Comparison> all = compare(curves, judging(), "objective");
    REQUIRE(all.size() == 2);
    CHECK(all[0].contestant == "a");
    CHECK(all[0].difference == -1);
    CHECK(all[0].better == doctest::Approx(2.0 / 3));
    CHECK(all[0].interval.low == -2);
    CHECK(all[0].interval.high == 3);
    CHECK(all[0].signed_rank.p == 1);  // T = 3 of ranks 1, 2, 3: both tails are the whole
    CHECK(all[1].better == 1);
    CHECK(all[1].signed_rank.positive_ranks == 0);
    CHECK(all[1].p_holm == doctest::Approx(2 * all[1].signed_rank.p));
    CHECK(compare(curves, judging("nobody"), "objective").empty());
}

TEST_CASE("compare: instances without a certified solution have no part in anything") {
    // Instance 1, rows 2 and 3, is unsolved.
    std::vector<Curve> curves{
        curve("ref", {{9, 9, NAN, NAN, 9, 9}, {3, 3, NAN, NAN, 3, 3}, {1, 1, NAN, NAN, 1, 1}}),
        curve("a", {{9, 9, NAN, NAN, 9, 9}, {1, 1, NAN, NAN, 1, 9}, {0, 0, NAN, NAN, 0, NAN}})};
    Judging judge = judging();
    judge.starts = 2;
    judge.target = 1;
    judge.needs_solution = {"objective"};
    judge.unsolved = {1};
    CHECK(judge.counted("objective", 6) == std::vector<std::size_t>{0, 1, 4, 5});
    CHECK(judge.counted("else", 6).size() == 6);
    const Comparison two = compare(curves, judge, "objective")[0];
    CHECK(two.instances == 2);
    CHECK(two.better == 0.5);
    find_reached(curves, judge);
    CHECK(reached(curves[1]) == std::vector<std::int64_t>{10, 10, -1, -1, 10, -1});
    const std::vector<Arrival> ways = arrivals(curves, judge);
    CHECK(ways[0].share == 1);
    CHECK(ways[1].share == 0.75);
    CHECK(ways[1].iterations == 10);
    CHECK(performance_profiles(curves, judge)[1].back().second == 0.75);
    judge.unsolved = {0, 1, 2};
    CHECK(compare(curves, judge, "objective").empty());
    CHECK(std::isnan(arrivals(curves, judge)[0].share));
    CHECK(performance_profiles(curves, judge)[0].empty());
}

TEST_CASE("compare: where higher is better the difference keeps its sign, and better is more") {
    Judging judge = judging();
    judge.higher_is_better = {"objective"};
    const auto all = compare({curve("ref", {{0.5, 0.6}}), curve("a", {{0.75, 0.85}})}, judge, "objective");
    CHECK(all[0].difference == doctest::Approx(0.25));
    CHECK(all[0].better == 1);
}

TEST_CASE("compare: several starts of an instance are one difference; starts of the only instance are many") {
    Judging judge = judging();
    judge.starts = 2;
    const std::vector<Curve> two{curve("ref", {{0, 0, 0, 0}}), curve("a", {{1, 3, -8, -4}})};
    const Comparison by_instance = compare(two, judge, "objective")[0];
    CHECK(by_instance.instances == 2);
    CHECK(by_instance.difference == -2);  // between 2 and -6
    CHECK(by_instance.better == 0.5);
    const std::vector<Curve> one{curve("ref", {{0, 0}}), curve("a", {{1, 3}})};
    CHECK(compare(one, judge, "objective")[0].instances == 2);
}

TEST_CASE("compare: who diverged loses by infinity, two who diverged are equal") {
    const Comparison lost =
        compare({curve("ref", {{1, 1, 1}}), curve("a", {{NAN, NAN, 0}})}, judging(), "objective")[0];
    CHECK(lost.difference == kInfinity);
    CHECK(lost.better == doctest::Approx(1.0 / 3));
    const Comparison both =
        compare({curve("ref", {{NAN, 1}}), curve("a", {{NAN, 1}})}, judging(), "objective")[0];
    CHECK(both.difference == 0);
    CHECK(both.better == 0.5);
}

TEST_CASE("arrival: the median counts who never arrives, and a training is paid for by the time saved") {
    std::vector<Curve> curves{curve("ref", {{9, 9, 9}, {9, 9, 9}, {1, 1, 9}}),
                              curve("fast", {{9, 9, 9}, {1, 1, 1}, {1, 1, 1}}),
                              curve("slow", {{9, 9, 9}, {9, 9, 9}, {1, 1, 1}}),
                              curve("none", {{9, 9, 9}, {1, 9, 9}, {1, 9, 9}})};
    for (std::size_t i = 1; i < 4; ++i) curves[i].training_seconds = 5;
    Judging judge = judging();
    judge.target = 1;
    find_reached(curves, judge);
    const std::vector<Arrival> ways = arrivals(curves, judge);
    CHECK(ways[0].share == doctest::Approx(2.0 / 3));
    CHECK(ways[0].iterations == 20);
    CHECK(std::isnan(ways[0].break_even));
    CHECK(ways[1].evaluations == 10);
    CHECK(ways[1].break_even == doctest::Approx(5 / 0.01));
    CHECK(ways[2].break_even == kInfinity);
    CHECK(ways[3].iterations == kInfinity);
    CHECK(std::isnan(ways[3].break_even));
}

TEST_CASE("arrival: evaluations are paired with those of the reference, who never arrives taking the most") {
    constexpr std::size_t kRows = 12;
    std::vector<Curve> curves{curve("ref", Points(3, std::vector<double>(kRows, 9))),
                              curve("sooner", Points(3, std::vector<double>(kRows, 9))),
                              curve("same", Points(3, std::vector<double>(kRows, 9)))};
    for (std::size_t row = 0; row < kRows; ++row) {
        const double paid = 20 + static_cast<double>(row);
        curves[0].reached.push_back({.iteration = 5, .evaluations = paid, .seconds = 0});
        curves[1].reached.push_back({.iteration = 5, .evaluations = paid / 2, .seconds = 0});
    }
    curves[0].reached.back() = {};
    curves[2].reached = curves[0].reached;
    const std::vector<Arrival> ways = arrivals(curves, judging());
    CHECK(std::isnan(ways[0].evaluations_p));
    CHECK(ways[0].evaluations_95 == kInfinity);
    CHECK(ways[1].evaluations_95 == doctest::Approx((20 + 0.95 * 11) / 2));
    // Twelve differences of one sign and of many sizes: 2 / 2^12; of two entries the first of Holm's steps.
    CHECK(ways[1].evaluations_p == doctest::Approx(2 * 2.0 / 4096));
    CHECK(ways[2].evaluations_p == 1);
    CHECK(std::isnan(arrivals(curves, judging("nobody"))[1].evaluations_p));
}

TEST_CASE("profile: the example of three rows done by hand") {
    // Evaluations to the target:  a: 10 20 -   b: 20 10 -   nobody gets row 2.
    std::vector<Curve> curves{curve("a", {{9, 9, 9}, {1, 9, 9}, {1, 1, 9}}),
                              curve("b", {{9, 9, 9}, {9, 1, 9}, {1, 1, 9}})};
    Judging judge = judging();
    judge.target = 1;
    find_reached(curves, judge);
    const std::vector<Profile> profiles = performance_profiles(curves, judge);
    REQUIRE(profiles.size() == 2);
    for (const Profile& profile : profiles) {
        REQUIRE(profile.size() == 2);
        CHECK(profile[0].first == 1);
        CHECK(profile[0].second == doctest::Approx(1.0 / 3));
        CHECK(profile[1].first == 2);
        CHECK(profile[1].second == doctest::Approx(2.0 / 3));
    }
}

TEST_CASE("profile: a start that has arrived is the best of its row, and nobody else's ratio is finite") {
    std::vector<Curve> curves{curve("a", {{1}, {1}}), curve("b", {{9}, {1}})};
    Judging judge = judging();
    judge.target = 1;
    find_reached(curves, judge);
    const std::vector<Profile> profiles = performance_profiles(curves, judge);
    REQUIRE(profiles[0].size() == 1);
    CHECK(profiles[0][0].first == 1);
    CHECK(profiles[1].empty());
}
