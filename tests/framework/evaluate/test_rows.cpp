#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "framework/experiment/contestants.hpp"
#include "tests/framework/evaluate/arena.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::Arena;
using l2o::test::catalog;
using l2o::test::kQuadratic;
using l2o::test::kRastrigin;
using l2o::test::kSparse;
using l2o::test::OptionText;
using l2o::test::ProblemLab;

namespace {

struct Pair {
    std::string problem, contestant;
    bool is_row_invariant;
};

/// Optimizers that ask and those that end rows, alone and safeguarded; safeguards that ask.
std::vector<Pair> pairs_that_ask() {
    const std::string box = "optimizee { use rastrigin\n n 3\n box 4 }\n",
                      saddle = "optimizee { use rotated_saddle }\n",
                      armijo = "use gradient_descent\n step_rule armijo\n initial_step 10\n",
                      projected = "use projected_gradient\n step_rule armijo\n initial_step 10\n",
                      nag = "use nag\n initial_step 10\n",
                      slow = "use gradient_descent\n learning_rate 0.001\n",
                      far = "use gradient_descent_ascent\n learning_rate 1\n",
                      half_way = "use gradient_descent_ascent\n order alternating\n",
                      extragradient = "use extragradient\n";
    const auto alone = [](const std::string& optimizer) { return "optimizer { " + optimizer + " }"; };
    const auto by = [&](const std::string& optimizer, const std::string& classic, const char* test) {
        return alone(optimizer) + "safeguard { " + classic + " test " + test + "\n theta 0.9 }";
    };
    std::vector<Pair> pairs{
        {kRastrigin, alone(armijo), true},
        {kRastrigin, alone(nag), true},
        {box, alone(projected), true},
        {kQuadratic, alone(armijo), true},
        {kQuadratic, alone(projected), true},
        {kQuadratic, alone(nag), true},
        {saddle, alone(extragradient), true},
        {saddle, alone(half_way), true},
        {saddle, alone("use halpern\n"), true},
        {saddle, alone("use consensus\n"), true},
        {saddle, alone("use k_beam\n"), true},
        {saddle, alone("use negative_momentum\n"), true},
        {saddle, alone("use adam_descent_ascent\n order alternating\n"), true},
        {saddle, alone("use l2o_minmax\n"), true},
        {kSparse, alone(armijo), false},
        {kSparse, alone(projected), false},
        {kSparse, alone(nag), false},
        {saddle, alone("use learned_extragradient\n"), true},
        {kRastrigin, alone("use learned_scouts\n"), true},
        {kSparse, alone("use learned_scouts\n"), false},
        {kRastrigin, alone("use cma_es\n particles 6\n"), true},
        {box, alone("use random_search\n"), true},
        {box, alone("use nelder_mead\n"), true},
        {kRastrigin, alone("use lbfgs\n"), true},
        {kQuadratic, alone("use lbfgs\n"), true},
        {kRastrigin, alone(armijo) + "restarts 3", true},
        {kRastrigin, alone("use settles\n learning_rate 1e-3\n good 12\n bad 70\n") + "restarts 4", true},
        {box, alone("use snes\n"), true},
        {kRastrigin, alone("use les\n particles 6\n"), true},
        {kRastrigin, alone("use settles\n learning_rate 1e-3\n good 12\n bad 70\n"), true},
    };
    // Classic ones keep no state, and those that search do.
    for (const char* test : {"residual", "objective"}) {
        for (const std::string& guarded : {armijo, projected, nag}) {
            pairs.push_back({kRastrigin, by(guarded, slow, test), true});
            pairs.push_back({kQuadratic, by(guarded, slow, test), true});
            pairs.push_back({kSparse, by(guarded, "use ista\n", test), false});
        }
        pairs.push_back({box, by(projected, "use projected_gradient\n learning_rate 0.001\n", test), true});
    }
    for (const std::string& classic : {half_way, extragradient})
        for (const std::string& guarded : {half_way, extragradient, far})
            pairs.push_back({saddle, by(guarded, classic, "residual"), true});
    for (const std::string& guarded : {half_way, extragradient, far})
        for (const char* classic : {"use halpern\n", "use adam_descent_ascent\n"})
            pairs.push_back({saddle,
                             alone(guarded) + "safeguard { " + classic +
                                 " test ahead\n trial 3\n pause 5\n stall 4\n retry 2 }",
                             true});
    return pairs;
}

}  // namespace

TEST_CASE("evaluate: what a row does and is charged does not depend on the other rows of its shard") {
    constexpr std::size_t kRows = 70;
    std::size_t compared = 0, at_ties = 0;
    for (const Pair& pair : pairs_that_ask()) {
        for (const char* budget : {"", " max_evaluations 40"}) {
            CAPTURE(pair.problem);
            CAPTURE(pair.contestant);
            CAPTURE(std::string(budget));
            const auto history = [&](int shard_rows) {
                Arena arena({.problem = pair.problem,
                             .contestant = pair.contestant,
                             .evaluate = "iterations 25 shard_rows " + std::to_string(shard_rows) + budget,
                             .instances = kRows});
                return arena.run().history;
            };
            const History by_itself = history(1);
            for (const int shard_rows : {8, 64}) {
                const History together = history(shard_rows);
                const std::size_t points = std::min(together.values.size(), by_itself.values.size());
                if (pair.is_row_invariant) REQUIRE(together.values.size() == by_itself.values.size());
                std::size_t departed = 0;  // rows whose search once judged a trial otherwise
                for (std::size_t row = 0; row < kRows; ++row) {
                    for (std::size_t t = 0; t < points; ++t) {
                        const double f = together.values[t][row], want = by_itself.values[t][row];
                        if (together.evaluations[t][row] != by_itself.evaluations[t][row] &&
                            !pair.is_row_invariant) {
                            ++departed;
                            break;
                        }
                        CHECK(together.evaluations[t][row] == by_itself.evaluations[t][row]);
                        CHECK(std::isnan(f) == std::isnan(want));
                        if (std::isnan(f)) continue;
                        if (pair.is_row_invariant) {
                            CHECK(f == want);
                        } else {
                            CHECK(std::abs(f - want) <= 1e-12 * std::abs(want));
                        }
                    }
                }
                if (departed > 0) MESSAGE(departed << " of " << kRows << " rows departed at a tie");
                compared += kRows;
                at_ties += departed;
                CHECK(departed <= kRows / 20);
            }
        }
    }
    MESSAGE(at_ties << " of " << compared << " rows departed at a tie");
}

TEST_CASE("evaluate: every optimizer that asks, or does under an option, is among those that are compared") {
    std::string compared;
    for (const Pair& pair : pairs_that_ask()) compared += pair.contestant;
    const ProblemLab minimise({.optimizee = "lasso", .options = {{"m", "4"}, {"n", "6"}}, .instances = 1}),
        minimax({.optimizee = "rotated_saddle", .instances = 1});
    const auto asks = [&](const Catalog::Entry& entry, const OptionText& options) {
        for (const ProblemLab* lab : {&minimise, &minimax}) {
            try {
                const auto resolved =
                    resolve_options(entry.component.options, settings_from(options, {.file = "test"}), {});
                if (Optimizer(entry, resolved.clone(), task_of(lab->optimizee(), 10)).info().max_questions >
                    0)
                    return true;
            } catch (const Error&) {
                continue;  // not on this problem, or not without an option that has no default
            }
        }
        return false;
    };
    std::size_t asking = 0;
    for (const Catalog::Entry& entry : catalog().entries()) {
        if (entry.component.kind != Kind::kOptimizer) continue;
        const std::string use = "use " + entry.component.id + "\n";
        std::vector<std::string> written;
        if (asks(entry, {})) written = {use};
        for (const OptionSchema& option : entry.component.options) {
            std::vector<std::string> choices = option.choices;
            if (option.type == L2O_OPTION_BOOL) choices = {"true", "false"};
            for (const std::string& choice : choices)
                if (written != std::vector{use} && asks(entry, {{option.key, choice}}))
                    written.push_back(use + " " + option.key + " " + choice);
        }
        asking += written.size();
        for (const std::string& one : written)
            CHECK_MESSAGE(compared.find(one) != std::string::npos, "not compared: " << one);
    }
    CHECK(asking >= 7);
}

TEST_CASE(
    "evaluate: a row that the optimizer says is done stays and is charged no more; one that failed has "
    "diverged") {
    Arena arena({.problem = kRastrigin,
                 .contestant = "optimizer { use settles\n learning_rate 1e-3\n good 12\n bad 70 }",
                 .evaluate = "iterations 25 shard_rows 8",
                 .instances = 64});
    const History history = arena.run().history;
    int converged = 0, failed = 0, going_on = 0;
    for (std::size_t row = 0; row < 64; ++row) {
        bool is_over = false, is_failed = false;
        for (std::size_t t = 0; t + 1 < history.values.size(); ++t) {
            const double f = history.values[t][row], next = history.values[t + 1][row];
            const double cost = history.evaluations[t + 1][row] - history.evaluations[t][row];
            if (is_over) {
                CHECK(cost == 0);
                CHECK((is_failed ? std::isnan(next) : next == f));
                continue;
            }
            CHECK(cost == 1);  // a point, with f and g
            is_failed = f >= 70;
            is_over = is_failed || f <= 12;
            CHECK((std::isnan(next) == is_failed));
        }
        ++(is_failed ? failed : is_over ? converged : going_on);
    }
    CHECK(converged > 0);
    CHECK(failed > 0);
    CHECK(going_on > 0);
}
