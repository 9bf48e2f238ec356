#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/framework/evaluate/arena.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::Arena;
using l2o::test::kQuadratic;
using l2o::test::kRastrigin;
using l2o::test::kSparse;
using l2o::test::ProblemLab;
using l2o::test::set_values;
using l2o::test::values;

TEST_CASE(
    "evaluate: what counts is the point that the optimizer recommends; its value is paid for where it is the "
    "answer") {
    Arena mean({kQuadratic, "optimizer { use averaged_descent\n learning_rate 0.02 }", "iterations 8"});
    const History history = mean.run().history;
    Arena plain({kQuadratic, "optimizer { use gradient_descent\n learning_rate 0.02 }", "iterations 8"});
    // x_0 .. x_8 of gradient descent, by hand.
    ProblemLab& lab = plain.lab();
    std::vector<double> sum(values(lab.x()[0]).size(), 0), x = values(lab.x()[0]);
    for (std::size_t t = 0; t <= 8; ++t) {
        set_values(lab.x()[0], x);
        const std::vector<double> g = lab.gradient()[0];
        for (std::size_t i = 0; i < x.size(); ++i) sum[i] += x[i];
        std::vector<double> average = sum;
        for (double& value : average) value /= static_cast<double>(t + 1);
        set_values(lab.x()[0], average);
        const std::vector<double> want = lab.objective();
        for (std::size_t row = 0; row < want.size(); ++row) {
            CHECK(history.values[t][row] == doctest::Approx(want[row]).epsilon(1e-12));
            CHECK(history.evaluations[t][row] == static_cast<double>(t) + 1);
        }
        for (std::size_t i = 0; i < x.size(); ++i) x[i] -= 0.02 * g[i];
    }
}

TEST_CASE(
    "evaluate: the best point that was paid for is told beside the last, and is the answer where asked for") {
    const std::string swings = "optimizer { use gradient_descent\n learning_rate 0.3 }";
    const Curve last = Arena({kRastrigin, swings, "iterations 12"}).run();
    const Curve best = Arena({kRastrigin, swings, "iterations 12 answer best"}).run();
    REQUIRE(last.best.size() == 13);
    CHECK(std::isnan(last.best[0]));
    CHECK(last.final_best.size() == last.final_rows[0].size());
    std::size_t below = 0;
    for (std::size_t row = 0; row < last.final_best.size(); ++row) {
        CHECK(last.final_best[row] <= last.final_rows[0][row]);
        if (last.final_best[row] < last.final_rows[0][row]) ++below;
        CHECK(best.final_best[row] == best.final_rows[0][row]);
        CHECK(best.final_rows[0][row] >= last.final_best[row]);
    }
    CHECK(below > 0);
    // x_12 is not among what was paid for unless it is the answer.
    CHECK(last.evaluations.back() == 13);
    CHECK(best.evaluations.back() == 12);
    CHECK(Arena({kSparse, "optimizer { use ista }", "iterations 3"}).run().best.size() == 4);
    for (const double f : Arena({kSparse, "optimizer { use ista }", "iterations 3"}).run().final_best)
        CHECK(std::isnan(f));
}
