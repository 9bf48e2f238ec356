#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "framework/evaluate/runtimes.hpp"

using namespace l2o::framework;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A row begins at `start`, pays for the stairs and has spent `spent` at its end.
struct Row {
    double start = 0;
    std::vector<std::pair<double, double>> stairs{};  ///< evaluations, f
    double spent = 0;
};

Curve curve(const std::string& name, const std::vector<Row>& rows) {
    Curve curve{.contestant = name, .iteration = {0, 9}, .metrics = {"objective"}};
    curve.history.values.resize(2);
    curve.history.evaluations.resize(2);
    for (const Row& row : rows) {
        Staircase& stairs = curve.staircases.emplace_back();
        for (const auto& [evaluations, f] : row.stairs)
            stairs.push_back({f, {.iteration = 0, .evaluations = evaluations, .seconds = 0}});
        curve.history.values[0].push_back(row.start);
        curve.history.evaluations[0].push_back(1);
        curve.history.values[1].push_back(0);
        curve.history.evaluations[1].push_back(row.spent);
    }
    return curve;
}

const Judging kPaid{.metric = "objective", .reference = "a", .is_paid_for = true, .starts = 2};

}  // namespace

TEST_CASE("runtimes: ERT is all that was spent until a target, or in vain, per row that reached it") {
    // Two starts of two instances, whose least f are 5 and -5.
    const std::vector<Curve> curves{curve("a",
                                          {{1005, {{1, 1005}, {4, 6}}, 10},
                                           {1005, {{1, 1005}, {7, 5.01}}, 20},
                                           {95, {{1, 95}, {3, -5}}, 30},
                                           {95, {{1, 95}}, 40}})};
    const auto all = runtimes_of(curves, kPaid, 2, std::vector<double>{5, -5});
    REQUIRE(all);
    CHECK(all->is_absolute);
    CHECK(all->rows == 4);
    REQUIRE(all->targets.size() == 11);
    CHECK(all->targets.front() == 100);
    CHECK(all->targets.back() == doctest::Approx(1e-8));
    const Runtimes::Run& run = all->runs.at(0);
    CHECK(run.reached[0] == 4);  // 100: at 4, 7, 1 and 1 evaluations
    CHECK(run.expected[0] == (4 + 7 + 1 + 1) / 4.0);
    CHECK(run.reached[2] == 3);  // 1: 4, 7, 3, and 40 in vain
    CHECK(run.expected[2] == (4 + 7 + 3 + 40) / 3.0);
    CHECK(run.reached[10] == 1);
    CHECK(run.expected[10] == 10 + 20 + 3 + 40);
}

TEST_CASE(
    "runtimes: a target that nobody reaches has an infinite ERT, and an unknown optimum counts for nobody") {
    const std::vector<Curve> curves{
        curve("a", {{9, {{1, 9}}, 10}, {9, {{1, 9}}, 10}, {9, {}, 10}, {9, {}, 10}}),
        curve("none", {{9, {}, 0}, {9, {}, 0}, {9, {}, 0}, {9, {}, 0}})};
    const auto all = runtimes_of(curves, kPaid, 1, std::vector<double>{0, NAN});
    REQUIRE(all);
    CHECK(all->rows == 2);
    CHECK(all->runs[0].expected[1] == 1);
    CHECK(all->runs[0].expected[2] == kInfinity);
    CHECK(all->runs[1].reached == std::vector<std::int64_t>(11, 0));
    CHECK(all->runs[1].share.back() == 0);
    CHECK(targets_text(*all) == "f - f_opt from 100 to 1e-08");
}

TEST_CASE("runtimes: without an optimum targets are shares of the way to the best that anybody paid for") {
    const std::vector<Curve> curves{curve("a", {{10, {{1, 10}, {5, 0.5}}, 5}, {1, {{1, 1}}, 5}}),
                                    curve("b", {{10, {{1, 10}, {3, 0}}, 5}, {1, {{1, 1}}, 5}})};
    for (const auto& optima :
         {std::optional<std::vector<double>>(), std::optional(std::vector<double>{NAN})}) {
        const auto all = runtimes_of(curves, kPaid, 1, optima);
        REQUIRE(all);
        CHECK_FALSE(all->is_absolute);
        CHECK(all->rows == 1);  // nobody improves the other one
        REQUIRE(all->targets.size() == 6);
        CHECK(all->runs[0].expected[0] == 1);
        CHECK(all->runs[0].expected[1] == 5);  // 0.5 is 5 % of the way
        CHECK(all->runs[0].expected[2] == kInfinity);
        CHECK(all->runs[1].expected[5] == 3);
    }
}

TEST_CASE("runtimes: the distribution is over rows and 51 targets, at evaluations per dimension") {
    // 21 of the 51 targets are above 0.009: 10^2, 10^1.8, ..., 10^-2; 11 of them are 1 or more.
    const std::vector<Curve> curves{curve("a", {{1, {{4, 0.99}, {40, 0.0099}}, 400}, {1, {}, 400}})};
    const auto all = runtimes_of(curves, kPaid, 4, std::vector<double>{0});
    REQUIRE(all);
    const std::vector<double>& budgets = all->budgets;
    CHECK(budgets.front() <= 0.25);
    CHECK(budgets.back() >= 100);
    for (std::size_t i = 0; i < budgets.size(); ++i) {
        CAPTURE(budgets[i]);
        const double targets = budgets[i] < 1 ? 0 : budgets[i] < 10 ? 11 : 21;
        CHECK(all->runs[0].share[i] == doctest::Approx(targets / (2 * 51)));
    }
}

TEST_CASE("runtimes: there are none of a metric that is not paid for") {
    Judging judging = kPaid;
    judging.is_paid_for = false;
    const std::vector<Curve> curves{curve("a", {{1, {{1, 1}, {2, 0}}, 4}, {1, {}, 4}})};
    CHECK(runtimes_of(curves, kPaid, 1, std::nullopt));
    CHECK_FALSE(runtimes_of(curves, judging, 1, std::nullopt));
}
