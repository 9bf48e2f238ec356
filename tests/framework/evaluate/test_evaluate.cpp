#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "framework/cancel.hpp"
#include "tests/framework/evaluate/arena.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::Arena;
using l2o::test::kQuadratic;
using l2o::test::kSparse;
using l2o::test::Lab;
using l2o::test::medians;
using l2o::test::relative_error;

TEST_CASE("evaluate: the objective of every row is that of the plain loop") {
    Arena arena({kQuadratic, "optimizer { use gradient_descent\n learning_rate 0.05 }", "iterations 6"});
    Lab lab({.optimizer = "gradient_descent",
             .options = {{"learning_rate", "0.05"}},
             .problem = {.optimizee = "quadratic", .options = {{"n", "4"}}, .instances = 5}});
    const Lab::Run want = lab.run(6);
    const Curve curve = arena.run();
    CHECK(curve.contestant == "it");
    CHECK(curve.training_seconds == 7);
    CHECK(curve.metrics == std::vector<std::string>{"objective"});
    CHECK(curve.iteration == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6});
    for (std::size_t t = 0; t <= 6; ++t)
        CHECK(curve.distributions[0][t].median == distribution_of(want.f[t]).median);
    CHECK(curve.final_rows[0] == want.f[6]);
    CHECK(curve.gradients.back() == 6);
    CHECK(curve.values.back() == 1);  // at the end
    CHECK(curve.evaluations.back() == 7);
    CHECK(curve.seconds[0] == 0);
    CHECK(curve.seconds[6] > 0);
}

TEST_CASE("evaluate: neither threads nor the size of shards change a row that is independent of the others") {
    const auto rows = [](const std::string& more, int threads) {
        Arena arena({.problem = kQuadratic,
                     .contestant = "optimizer { use particle_swarm }",
                     .evaluate = "iterations 5 " + more,
                     .instances = 7});
        return arena.run(threads).final_rows[0];
    };
    const std::vector<double> want = rows("shard_rows 3", 1);
    CHECK(want.size() == 7);
    CHECK(rows("shard_rows 3", 2) == want);
    CHECK(rows("shard_rows 32", 1) == want);
}

TEST_CASE(
    "evaluate: a population starts where everybody starts, is scored by the best that it has paid for, for "
    "all "
    "particles") {
    Arena arena({kQuadratic, "optimizer { use particle_swarm\n particles 3 }", "iterations 4"});
    const std::vector<double> at_start = arena.lab().objective();
    arena.experiment().evaluate.iterations = 1;
    const Curve curve = arena.run();
    CHECK(curve.values == std::vector<double>{0, 3});
    CHECK(curve.gradients == std::vector<double>{0, 0});
    const Distribution start = distribution_of(at_start);
    CHECK(curve.distributions[0][0].mean == start.mean);
    CHECK(curve.distributions[0][1].mean < start.mean);
    CHECK(curve.distributions[0][0].finite == 5);

    Arena alone({kQuadratic, "optimizer { use gradient_descent }", "iterations 1"});
    CHECK(alone.run().distributions[0][0].mean == start.mean);
}

TEST_CASE("evaluate: points are recorded at the start, every so often, and at the end") {
    Arena arena({kQuadratic, "optimizer { use gradient_descent }", "iterations 10 metrics_every 4"});
    CHECK(arena.run().iteration == std::vector<std::int64_t>{0, 4, 8, 10});
}

TEST_CASE("evaluate: after the last layer another optimizer goes on from there") {
    // With its start 'ista' LISTA is ISTA, so together they are ISTA throughout.
    const std::string lista = "optimizer { use lista\n layers 4\n start ista }\n";
    Arena both({kSparse, lista + "continue_with { use ista }", "iterations 7"});
    Arena ista({kSparse, "optimizer { use ista }", "iterations 7"});
    const Curve got = both.run(), want = ista.run();
    CHECK(got.iteration == want.iteration);
    for (std::size_t metric = 0; metric < 2; ++metric)
        CHECK(relative_error(medians(got, metric), medians(want, metric)) < 1e-12);
    CHECK(got.gradients == want.gradients);

    Arena within({kSparse, lista, "iterations 3"});
    CHECK(within.run().iteration.back() == 3);
}

TEST_CASE("evaluate: more iterations than layers are refused, unless somebody goes on") {
    Arena arena({kSparse, "optimizer { use lista\n layers 4 }", "iterations 5"});
    CHECK(
        arena.refused() ==
        "2 contestants.it: 'lista' has 4 layers, one per step, and iterations is 5; set it to at most 4, or "
        "add a classic optimizer as 'continue_with'");
    Arena swarm({kSparse,
                 "optimizer { use lista\n layers 4 }\n continue_with { use particle_swarm }",
                 "iterations 5"});
    CHECK(swarm.refused() ==
          "2 contestants.it: continue_with: a population cannot take over, nor be taken over");
}

TEST_CASE("evaluate: an optimizer that is defined from 0 refuses another start, and names the option") {
    Arena arena({"optimizee { use sparse_recovery\n m 4\n n 6\n init_std 1 }\n",
                 "optimizer { use lista\n layers 4 }",
                 "iterations 4"});
    CHECK(arena.refused() ==
          "2 contestants.it: 'lista' is defined from x = 0 only, and the start is another; set "
          "optimizee.init_std to 0");
}

TEST_CASE("evaluate: rows that diverge are counted, not dropped") {
    Arena arena({kQuadratic, "optimizer { use gradient_descent\n learning_rate 1e100 }", "iterations 8"});
    const Curve curve = arena.run();
    CHECK(curve.iteration.back() == 8);
    CHECK(curve.distributions[0].back().finite == 0);
    CHECK(curve.distributions[0].back().median == std::numeric_limits<double>::infinity());
    CHECK(curve.final_rows[0].size() == 5);
    CHECK(curve.distributions[0].front().finite == 5);
}

TEST_CASE("evaluate: progress reaches its total, and an interruption ends the run") {
    Arena arena({kQuadratic, "optimizer { use gradient_descent }", "iterations 6 shard_rows 2"});
    Progress last;
    (void)arena.run(2, [&](const Progress& progress) { last = progress; });
    CHECK(last.what == "evaluating it");
    CHECK(last.total == 18);
    CHECK(last.done == 18);

    cancel_flag() = 1;
    const std::string text = arena.refused();
    cancel_flag() = 0;
    CHECK(text == "130 the evaluation of 'it' was interrupted");
}
