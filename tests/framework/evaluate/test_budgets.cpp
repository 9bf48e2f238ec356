#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "tests/framework/evaluate/arena.hpp"

using namespace l2o::framework;
using l2o::test::Arena;
using l2o::test::kQuadratic;
using l2o::test::kRastrigin;

TEST_CASE("evaluate: a row uses its budget up, whatever the other rows of its shard need") {
    Arena arena({.problem = kRastrigin,
                 .contestant = "optimizer { use gradient_descent\n step_rule armijo\n initial_step 10 }",
                 .evaluate = "iterations 100 max_evaluations 60 shard_rows 64",
                 .instances = 64});
    const History history = arena.run().history;
    for (std::size_t row = 0; row < 64; ++row) {
        CHECK(history.evaluations.back()[row] <= 60);
        // At most 32 evaluations are needed for another step.
        CHECK(history.evaluations.back()[row] > 60 - 33);
    }
}

TEST_CASE("evaluate: a budget ends the run before the step that would exceed it") {
    Arena fixed({kQuadratic,
                 "optimizer { use gradient_descent }",
                 "iterations 20 max_evaluations 7 metrics_every 5"});
    const Curve curve = fixed.run();
    CHECK(curve.iteration == std::vector<std::int64_t>{0, 5, 7});
    CHECK(curve.gradients == std::vector<double>{0, 5, 7});

    // A line search of several trials: the number of a step is not known beforehand.
    Arena search({kQuadratic,
                  "optimizer { use gradient_descent\n step_rule armijo\n initial_step 10 }",
                  "iterations 20 max_evaluations 30 shard_rows 2"});
    const Curve spent = search.run();
    CHECK(spent.iteration.back() < 20);
    CHECK(spent.iteration.back() > 1);
    CHECK(spent.values.back() > spent.gradients.back());
    CHECK(spent.evaluations.back() <= 30);
    CHECK(spent.distributions[0].back().median < spent.distributions[0].front().median);

    // The seventh evaluation is that of the point where the sixth step ends.
    Arena whole({kQuadratic, "optimizer { use gradient_descent }", "iterations 6"});
    CHECK(curve.final_rows[0] == whole.run().final_rows[0]);
}
