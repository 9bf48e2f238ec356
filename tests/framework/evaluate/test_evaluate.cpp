#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "framework/cancel.hpp"
#include "framework/evaluate/compare.hpp"
#include "framework/evaluate/evaluate.hpp"
#include "framework/experiment/contestants.hpp"
#include "framework/experiment/experiment.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::catalog;
using l2o::test::Lab;
using l2o::test::OptionText;
using l2o::test::ProblemLab;
using l2o::test::refusal;
using l2o::test::relative_error;
using l2o::test::set_values;
using l2o::test::values;

namespace {

const std::string kQuadratic = "optimizee { use quadratic\n n 4 }\n";
const std::string kSparse = "optimizee { use sparse_recovery\n m 4\n n 6 }\n";

/// The first contestant of an experiment, on the instances of a ProblemLab.
class Arena {
  public:
    struct Setup {
        std::string problem, contestant, evaluate;
        std::int64_t instances = 5;
        bool with_solutions = true;
    };
    explicit Arena(const Setup& setup)
        : experiment_(
              read_experiment(catalog(),
                              Config::parse("dtype float64\n" + setup.problem + "train { horizon 3 }\n" +
                                                "contestants { it { " + setup.contestant +
                                                " } }\nevaluate { " + setup.evaluate + " }\n",
                                            "run.info"))),
          contestant_(experiment_.contestants[0]),
          lab_({.optimizee = experiment_.optimizee.id(),
                .options = experiment_.optimizee.resolve().canonical(),
                .instances = setup.instances}),
          optimizer_(contestant_.optimizer.entry, contestant_.optimizer.resolve(), task()),
          params_(optimizer_.init_params({1, 2}, lab_.data())) {
        if (contestant_.continue_with) {
            continue_with_.emplace(
                contestant_.continue_with->entry, contestant_.continue_with->resolve(), task());
            continue_params_ = TensorSet(continue_with_->init_params({1, 2}, lab_.data()));
        }
        if (contestant_.safeguard) {
            classic_.emplace(
                contestant_.safeguard->classic.entry, contestant_.safeguard->classic.resolve(), task());
            classic_params_ = TensorSet(classic_->init_params({1, 2}, lab_.data()));
        }
        if (!setup.with_solutions) {
            for (std::size_t i = 0; i < lab_.optimizee().data().size(); ++i) {
                if (has(*lab_.optimizee().data()[i], L2O_SPEC_SOLUTION)) lab_.data().tensors[i] = Tensor();
            }
        }
    }

    ProblemLab& lab() { return lab_; }
    Experiment& experiment() { return experiment_; }
    Curve run(int threads = 1, const ProgressSink& progress = nullptr) {
        Ready ready{.name = contestant_.name,
                    .place = contestant_.place(),
                    .optimizer = &optimizer_,
                    .params = &params_,
                    .continue_with = continue_with_ ? &*continue_with_ : nullptr,
                    .continue_params = &continue_params_,
                    .training_seconds = 7};
        if (classic_)
            ready.safeguard.emplace(Safeguard{*classic_, classic_params_, contestant_.safeguard->rule});
        return evaluate(experiment_.evaluate,
                        keys_of(experiment_.seed),
                        lab_.optimizee(),
                        lab_.data(),
                        lab_.x(),
                        ready,
                        threads,
                        progress);
    }
    std::string refused() {
        return refusal([&] { (void)run(); });
    }

  private:
    Task task() { return task_of(lab_.optimizee(), experiment_.evaluate.iterations); }

    Experiment experiment_;
    const Contestant& contestant_;
    ProblemLab lab_;
    Optimizer optimizer_;
    std::optional<Optimizer> continue_with_, classic_;
    TensorSet params_, continue_params_, classic_params_;
};

std::vector<double> medians(const Curve& curve, std::size_t metric) {
    std::vector<double> out;
    for (const Distribution& d : curve.distributions[metric]) out.push_back(d.median);
    return out;
}

struct Pair {
    std::string problem, contestant;
    bool is_row_invariant;
};

/// Optimizers that ask and those that end rows, alone and safeguarded; safeguards that ask.
std::vector<Pair> pairs_that_ask() {
    const std::string rastrigin = "optimizee { use rastrigin\n n 3 }\n",
                      box = "optimizee { use rastrigin\n n 3\n box 4 }\n",
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
        {rastrigin, alone(armijo), true},
        {rastrigin, alone(nag), true},
        {box, alone(projected), true},
        {kQuadratic, alone(armijo), true},
        {kQuadratic, alone(projected), true},
        {kQuadratic, alone(nag), true},
        {saddle, alone(extragradient), true},
        {saddle, alone(half_way), true},
        {kSparse, alone(armijo), false},
        {kSparse, alone(projected), false},
        {kSparse, alone(nag), false},
        {saddle, alone("use learned_extragradient\n"), true},
        {rastrigin, alone("use learned_scouts\n"), true},
        {kSparse, alone("use learned_scouts\n"), false},
        {rastrigin, alone("use cma_es\n particles 6\n"), true},
        {box, alone("use random_search\n"), true},
        {box, alone("use nelder_mead\n"), true},
        {rastrigin, alone("use lbfgs\n"), true},
        {kQuadratic, alone("use lbfgs\n"), true},
        {rastrigin, alone(armijo) + "restarts 3", true},
        {rastrigin, alone("use settles\n learning_rate 1e-3\n good 12\n bad 70\n") + "restarts 4", true},
        {box, alone("use snes\n"), true},
        {rastrigin, alone("use settles\n learning_rate 1e-3\n good 12\n bad 70\n"), true},
    };
    // Classic ones keep no state, and those that search do.
    for (const char* test : {"residual", "objective"}) {
        for (const std::string& guarded : {armijo, projected, nag}) {
            pairs.push_back({rastrigin, by(guarded, slow, test), true});
            pairs.push_back({kQuadratic, by(guarded, slow, test), true});
            pairs.push_back({kSparse, by(guarded, "use ista\n", test), false});
        }
        pairs.push_back({box, by(projected, "use projected_gradient\n learning_rate 0.001\n", test), true});
        for (const std::string& classic : {half_way, extragradient})
            for (const std::string& guarded : {half_way, extragradient, far})
                pairs.push_back({saddle, by(guarded, classic, test), true});
    }
    return pairs;
}

}  // namespace

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

TEST_CASE("evaluate: a safeguard makes a diverging method descend; its steps are counted, and charged") {
    const std::string diverging = "optimizer { use gradient_descent\n learning_rate 10 }";
    const std::string safeguard =
        "safeguard { use gradient_descent\n learning_rate 0.001\n bound geometric\n theta 0.9 }";
    Arena arena({kQuadratic, diverging + safeguard, "iterations 6"});
    const Curve safe = arena.run(), alone = Arena({kQuadratic, diverging, "iterations 6"}).run();
    CHECK(alone.safeguard.empty());
    CHECK(std::isnan(alone.fallback_rate));
    CHECK(alone.distributions[0][6].median > 1e6 * alone.distributions[0][0].median);
    CHECK(safe.safeguard == "gradient_descent");
    CHECK(safe.fallback_rate == 1);
    const Curve classic =
        Arena({kQuadratic, "optimizer { use gradient_descent\n learning_rate 0.001 }", "iterations 6"}).run();
    CHECK(safe.final_rows == classic.final_rows);
    CHECK(safe.gradients == std::vector<double>{0, 3, 5, 7, 9, 11, 13});  // at x_0; at y_k and at x_k

    const Curve budget = Arena({kQuadratic, diverging + safeguard, "iterations 6\n max_evaluations 8"}).run();
    // Three steps and a gradient at their end, which is f there as well; not the one of another proposal.
    CHECK(budget.iteration.back() == 4);
    CHECK(budget.evaluations.back() == 8);
    CHECK(budget.final_rows[0] ==
          Arena({kQuadratic, diverging + safeguard, "iterations 3"}).run().final_rows[0]);
}

TEST_CASE("evaluate: behind the last layer the method that goes on needs no safeguard") {
    const std::string contestant =
        "optimizer { use lista\n layers 2 }\n continue_with { use ista }\n safeguard { use ista }";
    const Curve curve = Arena({kSparse, contestant, "iterations 5"}).run();
    // T at x_0 and at two proposals at least, beside the optimizer's own; then one in every step.
    CHECK(curve.gradients[2] >= 2 + 3);
    CHECK(curve.gradients[5] == curve.gradients[2] + 3);
    CHECK(curve.fallback_rate >= 0);
    CHECK(curve.fallback_rate <= 1);
}

TEST_CASE("evaluate: a safeguard that is none is refused at its place") {
    CHECK(
        Arena({kQuadratic, "optimizer { use gradient_descent }\n safeguard { use adam }", "iterations 3"})
            .refused() ==
        "2 contestants.it: safeguard: 'adam' keeps a state ('m'), and a safeguard needs a step that depends "
        "on "
        "x alone; expected one such as 'ista' or 'gradient_descent'");
}

TEST_CASE("evaluate: points are recorded at the start, every so often, and at the end") {
    Arena arena({kQuadratic, "optimizer { use gradient_descent }", "iterations 10 metrics_every 4"});
    CHECK(arena.run().iteration == std::vector<std::int64_t>{0, 4, 8, 10});
}

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
    Arena arena({.problem = "optimizee { use rastrigin\n n 3 }\n",
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

TEST_CASE("evaluate: a row uses its budget up, whatever the other rows of its shard need") {
    Arena arena({.problem = "optimizee { use rastrigin\n n 3 }\n",
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
    const std::string rastrigin = "optimizee { use rastrigin\n n 3 }\n";
    const Curve last = Arena({rastrigin, swings, "iterations 12"}).run();
    const Curve best = Arena({rastrigin, swings, "iterations 12 answer best"}).run();
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

const std::string kRastrigin = "optimizee { use rastrigin\n n 3 }\n";

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

TEST_CASE("evaluate: of a minibatch, or of players, the objective is judged where it is recorded") {
    Arena arena({"optimizee { use rotated_saddle }\n",
                 "optimizer { use gradient_descent_ascent\n learning_rate 0.01 }",
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

TEST_CASE("evaluate: an unknown metric is refused") {
    Arena arena({kSparse, "optimizer { use ista }", "iterations 4 metric nmse"});
    CHECK(arena.refused() ==
          "2 evaluate.metric: 'sparse_recovery' has no metric 'nmse'; known: nmse_db, nmse_pooled_db, "
          "objective");
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
