#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "framework/experiment/contestants.hpp"
#include "tests/framework/evaluate/arena.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::Arena;
using l2o::test::kSparse;
using l2o::test::Lab;
using l2o::test::medians;
using l2o::test::OptionText;
using l2o::test::relative_error;

TEST_CASE(
    "evaluate: an instance without a certified solution is left out of what needs it, and of that alone") {
    const Arena::Setup setup{
        "optimizee { use lasso\n m 4\n n 6 }\n", "optimizer { use ista }", "iterations 5", 4};
    const Curve whole = Arena(setup).run();
    Arena arena(setup);
    for (const char* name : {"f_star", "x_star"}) {
        Tensor& solution = arena.lab().data(name);
        std::vector<double> values = l2o::test::values(solution);
        const std::size_t width = values.size() / 4;
        std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(width), width, NAN);
        l2o::test::set_values(solution, values);
    }
    CHECK(unsolved_instances(arena.lab().data(), arena.lab().optimizee()) ==
          std::vector<bool>{false, true, false, false});
    const Curve curve = arena.run();
    REQUIRE(curve.metrics == whole.metrics);
    for (std::size_t metric = 0; metric < curve.metrics.size(); ++metric) {
        CAPTURE(curve.metrics[metric]);
        const bool needs = metric >= 2;  // after objective and duality_gap
        std::vector<double> counted = whole.final_rows[metric];
        if (needs) counted.erase(counted.begin() + 1);
        CHECK(std::isnan(curve.final_rows[metric][1]) == needs);
        const Distribution &got = curve.distributions[metric].back(), want = distribution_of(counted);
        CHECK(got.rows == (needs ? 3 : 4));
        CHECK(got.finite == got.rows);
        CHECK(got.median == want.median);
        CHECK(got.q90 == want.q90);
        if (curve.metrics[metric] != "relative_loss") CHECK(got.mean == want.mean);
        CHECK(std::isfinite(got.mean));
    }
}

TEST_CASE("evaluate: a metric that needs the solution is there exactly where the solution is") {
    const Arena::Setup setup{kSparse, "optimizer { use ista }", "iterations 3"};
    Arena with(setup);
    const Curve curve = with.run();
    CHECK(curve.metrics == std::vector<std::string>{"objective", "nmse_db", "nmse_pooled_db"});
    CHECK(medians(curve, 1)[0] == doctest::Approx(0).epsilon(1e-12));  // x = 0 is as far away as x* is long
    CHECK(curve.final_rows[1].size() == 5);
    Arena::Setup without = setup;
    without.with_solutions = false;
    CHECK(Arena(without).run().metrics == std::vector<std::string>{"objective"});
}

TEST_CASE("evaluate: a ratio is pooled over all shards at every point, and taken row by row besides") {
    const OptionText dense{{"m", "4"}, {"n", "6"}, {"density", "0.9"}};  // no signal is 0
    Arena arena({"optimizee { use sparse_recovery\n m 4\n n 6\n density 0.9 }\n",
                 "optimizer { use ista }",
                 "iterations 3 shard_rows 2 metric nmse_pooled_db"});
    const Curve curve = arena.run();
    Lab lab(
        {.optimizer = "ista", .problem = {.optimizee = "sparse_recovery", .options = dense, .instances = 5}});
    const Lab::Run run = lab.run(3);
    const std::vector<double> x_star = l2o::test::values(lab.problem().data("x_star"));
    for (std::size_t t = 0; t <= 3; ++t) {
        double error = 0, power = 0;
        std::vector<double> rows;
        for (std::size_t row = 0; row < 5; ++row) {
            double u = 0, w = 0;
            for (std::size_t i = 6 * row; i < 6 * (row + 1); ++i) {
                u += std::pow(run.x[t][i] - x_star[i], 2);
                w += std::pow(x_star[i], 2);
            }
            rows.push_back(10 * std::log10(u / w));
            error += u;
            power += w;
        }
        CAPTURE(t);
        CHECK(std::abs(curve.distributions[2][t].mean - 10 * std::log10(error / power)) < 1e-12);
        CHECK(std::abs(curve.distributions[2][t].median - distribution_of(rows).median) < 1e-12);
        CHECK(relative_error(curve.history.values[t], rows) < 1e-12);
        if (t == 3) CHECK(relative_error(curve.final_rows[2], rows) < 1e-12);
    }
}

TEST_CASE("evaluate: where a plugin gives up, u and w of a ratio are missing") {
    Arena arena({.problem = "optimizee { use sparse_recovery\n m 4\n n 6\n density 0.9 }\n",
                 .contestant = "optimizer { use learned_momentum\n gives_up_at 2 }",
                 .evaluate = "iterations 4 metric nmse_pooled_db"});
    const std::vector<Distribution> points = arena.run().distributions[2];
    CHECK(points[2].finite == 5);
    CHECK(std::isfinite(points[2].mean));
    CHECK(points[3].finite == 0);
    CHECK(points[3].mean == std::numeric_limits<double>::infinity());
}

TEST_CASE("evaluate: an unknown metric is refused") {
    Arena arena({kSparse, "optimizer { use ista }", "iterations 4 metric nmse"});
    CHECK(arena.refused() ==
          "2 evaluate.metric: 'sparse_recovery' has no metric 'nmse'; known: nmse_db, nmse_pooled_db, "
          "objective");
}

TEST_CASE("evaluate: a row that diverged has no metric, whatever number the plugin has for NAN") {
    const std::string problem = "optimizee { use near_zero }\n", iterations = "iterations 4";
    const auto near = [&](const std::string& rate) {
        return Arena({problem, "optimizer { use gradient_descent\n learning_rate " + rate + " }", iterations})
            .run()
            .distributions[1];
    };
    CHECK(near("1").back().median == 3);
    const std::vector<Distribution> lost = near("1e200");
    CHECK(lost.front().median == 0);
    CHECK(lost.back().finite == 0);
    CHECK(lost.back().median == -std::numeric_limits<double>::infinity());
}
