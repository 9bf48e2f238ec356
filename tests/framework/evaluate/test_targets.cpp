#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "framework/evaluate/compare.hpp"
#include "tests/framework/evaluate/arena.hpp"

using namespace l2o::framework;
using l2o::test::Arena;
using l2o::test::kRastrigin;

namespace {

/// When the rows reach targets on the objective, an easy one, two further ones and the relative one: without
/// seconds.
std::vector<std::vector<double>> all_reached(Arena& arena, int threads = 1) {
    std::vector<std::vector<double>> all;
    const Curve run = arena.run(threads);
    Judging judging = judging_of(arena.experiment().evaluate, arena.lab().optimizee(), run.metrics, {});
    for (const std::optional<double> target : std::initializer_list<std::optional<double>>{1e9, 20, 8, {}}) {
        std::vector<Curve> curves{run};
        judging.target = target;
        find_reached(curves, judging);
        std::vector<double>& told = all.emplace_back();
        for (const Reached& reached : curves[0].reached) {
            const bool is_reached = reached.iteration >= 0;
            told.insert(told.end(),
                        {static_cast<double>(reached.iteration), is_reached ? reached.evaluations : -1});
        }
    }
    return all;
}

}  // namespace

TEST_CASE(
    "evaluate: a target on the objective is reached alike, whatever is recorded and by how many threads") {
    for (const std::string optimizer : {"momentum\n learning_rate 0.005",
                                        "adam\n learning_rate 0.3",
                                        "nag\n initial_step 10",
                                        "gradient_descent\n step_rule armijo\n initial_step 10",
                                        "averaged_descent\n learning_rate 0.002",
                                        "settles\n learning_rate 0.001\n good 12\n bad 70",
                                        "particle_swarm\n particles 4"}) {
        CAPTURE(optimizer);
        const auto arena = [&](const std::string& evaluate) {
            return Arena({.problem = kRastrigin,
                          .contestant = "optimizer { use " + optimizer + " }",
                          .evaluate = "iterations 37 " + evaluate,
                          .instances = 16});
        };
        for (const std::string limit : {"", " max_evaluations 31", " answer best"}) {
            CAPTURE(limit);
            Arena every = arena("metrics_every 1 shard_rows 16" + limit);
            const std::vector<std::vector<double>> want = all_reached(every);
            CHECK(want[1] != std::vector<double>(32, -1));  // some arrive
            for (const std::string other : {"metrics_every 10 shard_rows 16",
                                            "metrics_every 1000 shard_rows 3",
                                            "metrics_every 7 shard_rows 1"}) {
                CAPTURE(other);
                Arena seldom = arena(other + limit);
                CHECK(all_reached(seldom, 3) == want);
            }
        }
    }
}

TEST_CASE("evaluate: a gradient that is paid for brings its value, to a target") {
    Arena arena({.problem = kRastrigin,
                 .contestant = "optimizer { use momentum\n learning_rate 0.005 }",
                 .evaluate = "iterations 30 shard_rows 2",
                 .instances = 9});
    const Curve run = arena.run();
    const History& recorded = run.history;
    Judging judging = judging_of(arena.experiment().evaluate, arena.lab().optimizee(), run.metrics, {});
    CHECK(judging.is_paid_for);
    for (const double target : {1e9, 30., 20., 8., 1e-9}) {
        judging.target = target;
        std::vector<Curve> curves{run};
        find_reached(curves, judging);
        for (std::size_t row = 0; row < 9; ++row) {
            std::size_t t = 0;
            while (t < recorded.values.size() && recorded.values[t][row] > target) ++t;
            const Reached& reached = curves[0].reached[row];
            if (t == recorded.values.size()) {
                CHECK(reached.iteration == -1);
                continue;
            }
            // x_t has cost t gradients, and one there or, at the end, a value.
            CHECK(reached.iteration == static_cast<std::int64_t>(t));
            CHECK(reached.evaluations == static_cast<double>(t) + 1);
            CHECK(reached.seconds == recorded.seconds[std::min<std::size_t>(t + 1, 30)][row / 2]);
        }
    }
}

TEST_CASE("evaluate: a method that evaluates nothing never reaches a target on the objective") {
    const std::string lasso = "optimizee { use lasso\n m 4\n n 6 }\n";
    Arena arena({lasso, "optimizer { use ista }", "iterations 6 metric objective"});
    const Curve run = arena.run();
    CHECK(run.evaluations.back() == 7);
    CHECK(run.values.back() == 1);
    for (const std::vector<double>& reached : all_reached(arena))
        CHECK(reached == std::vector<double>(10, -1));
    for (std::size_t row = 0; row < 5; ++row) {
        CHECK(run.final_rows[0][row] < 1e9);
        CHECK(std::isnan(run.final_best[row]));
        CHECK(run.staircases[row].empty());
    }
    // By another metric it races as ever, where it is recorded.
    Arena by_metric({lasso, "optimizer { use ista }", "iterations 6"});
    CHECK(by_metric.run().staircases.empty());
    CHECK(all_reached(by_metric)[0] == std::vector<double>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("evaluate: of a minibatch the objective is judged where it is recorded") {
    Arena arena({"optimizee { use noisy_quartic }\n",
                 "optimizer { use gradient_descent\n learning_rate 0.001 }",
                 "iterations 9 metrics_every 4 metric objective"});
    std::vector<Curve> curves{arena.run()};
    Judging judging = judging_of(arena.experiment().evaluate, arena.lab().optimizee(), curves[0].metrics, {});
    CHECK(judging.metric == "objective");
    CHECK_FALSE(judging.is_paid_for);
    CHECK(curves[0].staircases.empty());
    judging.target = 1e9;
    find_reached(curves, judging);
    for (const Reached& reached : curves[0].reached) {
        CHECK(reached.iteration == 0);
        CHECK(reached.evaluations == 1);  // to know
    }
}

TEST_CASE("evaluate: stairs go down, and end at the best that was paid for, where a plugin gives up too") {
    for (const char* optimizer : {"particle_swarm\n particles 5", "learned_momentum\n gives_up_at 6"}) {
        CAPTURE(optimizer);
        Arena arena({.problem = kRastrigin,
                     .contestant = std::string("optimizer { use ") + optimizer + " }",
                     .evaluate = "iterations 20 shard_rows 4 metrics_every 9",
                     .instances = 6});
        const Curve run = arena.run();
        REQUIRE(run.staircases.size() == 6);
        for (std::size_t row = 0; row < 6; ++row) {
            const Staircase& stairs = run.staircases[row];
            REQUIRE_FALSE(stairs.empty());
            CHECK(stairs.front().reached.evaluations == 1);
            CHECK(stairs.back().f == run.final_best[row]);
            CHECK(stairs.back().reached.evaluations <= run.history.evaluations.back()[row]);
            CHECK(stairs.back().reached.seconds <= run.history.seconds.back()[row / 4]);
            for (std::size_t i = 1; i < stairs.size(); ++i) {
                CHECK(stairs[i].f < stairs[i - 1].f);
                CHECK(stairs[i].reached.evaluations > stairs[i - 1].reached.evaluations);
                CHECK(stairs[i].reached.iteration >= stairs[i - 1].reached.iteration);
                CHECK(stairs[i].reached.seconds >= stairs[i - 1].reached.seconds);
            }
        }
    }
}
