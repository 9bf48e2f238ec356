#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <l2o/numerics/philox.hpp>
#include <optional>
#include <string>
#include <vector>

#include "framework/plugin/keys.hpp"
#include "framework/rollout/rollout.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::catalog;
using l2o::test::Dtype;
using l2o::test::OptionText;
using l2o::test::ProblemLab;
using l2o::test::set_values;
using l2o::test::values;

namespace {

struct Player {
    std::string id;
    OptionText options{};
};

/// Games, and who plays them: alone, or ahead of the law of Halpern's iteration.
class Bench {
  public:
    Bench(const ProblemLab::Setup& game, const Player& player, const OptionText& halpern)
        : lab_(game),
          optimizer_(create(player)),
          classic_(create({"halpern", halpern})),
          params_(optimizer_->init_params({1, 2}, lab_.data())),
          classic_params_(classic_->init_params({1, 2}, lab_.data())) {}

    TensorSet& params() { return params_; }
    ProblemLab& lab() { return lab_; }

    struct Run {
        std::vector<std::vector<double>> residual, gradients;  ///< [iteration][row]
        std::vector<std::vector<std::vector<double>>> x;       ///< [iteration][block]
        std::int64_t steps = 0, classic_steps = 0;
        std::vector<std::int64_t> classic;  ///< steps of all rows until then, by iteration
    };
    Run run(std::int64_t iterations,
            double max_evaluations,
            const std::optional<SafeguardRule>& rule,
            bool pays_for_end = false) {
        Leg leg{*optimizer_, params_};
        if (rule) leg.safeguard.emplace(Safeguard{*classic_, classic_params_, *rule});
        return run(leg, iterations, max_evaluations, pays_for_end);
    }
    Run run_classic(std::int64_t iterations, double max_evaluations) {
        return run({*classic_, classic_params_}, iterations, max_evaluations);
    }
    /// Of every row, among the points of a run that had cost at most so much when the next step was taken.
    [[nodiscard]] static std::vector<double> least(const Run& run, double gradients) {
        std::vector<double> out(run.residual[0].size(), INFINITY);
        for (std::size_t t = 0; t < run.residual.size(); ++t)
            for (std::size_t row = 0; row < out.size(); ++row)
                if (run.gradients[t][row] + 2 <= gradients)
                    out[row] = std::min(out[row], run.residual[t][row]);
        return out;
    }

  private:
    std::unique_ptr<const Optimizer> create(const Player& player) {
        const Catalog::Entry& entry = catalog().find(Kind::kOptimizer, player.id);
        return std::make_unique<const Optimizer>(
            entry,
            resolve_options(entry.component.options,
                            settings_from(player.options, {.file = "test"}),
                            {.origin = "test", .path = "options", .kind = "optimizer", .id = player.id}),
            task_of(lab_.optimizee(), 0));
    }
    Run run(const Leg& leg, std::int64_t iterations, double max_evaluations, bool pays_for_end = false) {
        const Course course{.first = leg,
                            .iterations = iterations,
                            .max_evaluations = max_evaluations,
                            .pays_for_end = pays_for_end};
        Rollout rollout(lab_.optimizee(), lab_.data(), course, {77, 7}, {78, 7}, 0);
        std::vector<std::vector<double>> start;
        for (const Tensor& block : lab_.x()) start.push_back(values(block));
        Run run;
        const auto note = [&] {
            run.x.emplace_back();
            for (std::size_t k = 0; k < start.size(); ++k) {
                run.x.back().push_back(values(rollout.answers()[k]));
                set_values(lab_.x()[k], run.x.back()[k]);
            }
            run.residual.push_back(lab_.metric("residual"));
            run.gradients.emplace_back();
            for (const Evaluations& row : rollout.ledger().evaluations())
                run.gradients.back().push_back(row.points);
            run.classic.push_back(rollout.fallbacks());
        };
        rollout.start(lab_.x());
        for (note(); !rollout.is_over(); note()) rollout.step();
        run.steps = rollout.guarded_steps();
        run.classic_steps = rollout.fallbacks();
        for (std::size_t k = 0; k < start.size(); ++k) set_values(lab_.x()[k], start[k]);
        return run;
    }

    ProblemLab lab_;
    std::unique_ptr<const Optimizer> optimizer_, classic_;
    TensorSet params_, classic_params_;
};

ProblemLab::Setup bilinear(Dtype dtype = Dtype::kF64) {
    return {.optimizee = "matrix_game", .options = {{"d", "5"}}, .instances = 12, .dtype = dtype};
}
const OptionText kTuned{{"learning_rate", "0.25"}};
const SafeguardRule kAhead{.test = SafeguardRule::Test::kAhead};

}  // namespace

TEST_CASE("safeguard ahead: what runs away costs a tenth of the way that Halpern's iteration goes alone") {
    for (const Dtype dtype : {Dtype::kF64, Dtype::kF32}) {
        for (const char* rate : {"0.3", "30", "1e30", "1e200"}) {
            CAPTURE(std::string(rate));
            Bench bench(bilinear(dtype), {"gradient_descent_ascent", {{"learning_rate", rate}}}, kTuned);
            const Bench::Run alone = bench.run(1000, 2000, std::nullopt),
                             safe = bench.run(1000, 2000, kAhead), halpern = bench.run_classic(1000, 2000);
            const std::vector<double> least = Bench::least(halpern, 1800);
            for (std::size_t row = 0; row < least.size(); ++row) {
                CHECK(!(alone.residual.back()[row] < 10 * alone.residual[0][row]));
                CHECK(safe.residual.back()[row] <= least[row]);
            }
        }
    }
}

TEST_CASE("safeguard ahead: so does a learned step with wild weights") {
    Bench bench(bilinear(), {"learned_secant"}, kTuned);
    for (std::uint64_t draw = 0; draw < 4; ++draw) {
        l2o::numerics::Stream random(l2o::numerics::derive_key({5, 6}, draw, 0), 0);
        for (Tensor& tensor : bench.params().tensors()) {
            std::vector<double> wild = values(tensor);
            for (double& weight : wild) weight = random.normal();
            set_values(tensor, wild);
        }
        const Bench::Run safe = bench.run(1000, 2000, kAhead), halpern = bench.run_classic(1000, 2000);
        const std::vector<double> least = Bench::least(halpern, 1800);
        for (std::size_t row = 0; row < least.size(); ++row)
            CHECK(safe.residual.back()[row] <= 1.1 * least[row]);
        CHECK(safe.classic_steps > safe.steps / 4);
    }
}

TEST_CASE("safeguard ahead: Halpern's iteration guards games of every scale by steps that it finds itself") {
    for (const double scale : {1e-3, 1.0, 1e3}) {
        CAPTURE(scale);
        Bench bench(bilinear(), {"gradient_descent_ascent", {{"learning_rate", "0.3"}}}, {});
        std::vector<double> matrix = values(bench.lab().data("A"));
        for (double& entry : matrix) entry *= scale;
        set_values(bench.lab().data("A"), matrix);
        const Bench::Run safe = bench.run(1000, 2000, kAhead);
        for (std::size_t row = 0; row < safe.residual[0].size(); ++row)
            CHECK(safe.residual.back()[row] <= 0.02 * safe.residual[0][row]);
    }
}

TEST_CASE("safeguard ahead: a good method keeps every bit, for one gradient more, and is never replaced") {
    Bench bench({.optimizee = "rotated_saddle", .instances = 6},
                {"gradient_descent_ascent", {{"learning_rate", "0.2"}}},
                {});
    const Bench::Run alone = bench.run(200, 0, std::nullopt), safe = bench.run(200, 0, kAhead);
    CHECK(safe.classic_steps == 0);
    CHECK(safe.steps == 200 * 6);
    for (const double residual : alone.residual.back()) CHECK(residual < 1e-12);
    CHECK(safe.x == alone.x);
    for (std::size_t row = 0; row < 6; ++row) {
        CHECK(alone.gradients.back()[row] == 2 * 200);
        CHECK(safe.gradients.back()[row] == 2 * 201);
    }
}

TEST_CASE("safeguard ahead: the optimizer rests, and is tried again, when its rule says") {
    // A rotation by which |F| grows slowly, and a law that nobody keeps.
    Bench bench({.optimizee = "matrix_game", .instances = 1},
                {"gradient_descent_ascent", {{"learning_rate", "0.1"}}},
                kTuned);
    SafeguardRule rule = kAhead;
    rule.lead = rule.retry = 1e-9;
    rule.trial = 3;
    rule.pause = 5;
    const auto who_steps = [](const Bench::Run& run) {
        std::string who;
        for (std::size_t t = 1; t < run.classic.size(); ++t)
            who += run.classic[t] > run.classic[t - 1] ? 'h' : 'o';
        return who;
    };
    const Bench::Run run = bench.run(27, 0, rule);
    // Gradients: x_0, three, five of which it takes six, three, ten, three, twenty.
    CHECK(who_steps(run) == "ooohhhooohhhhhooohhhhhhhhhh");
    CHECK(run.gradients.back()[0] == 2 * (1 + 9 + 2 * 18));

    // Begun anew after 10, it has until 2 10 / n < 1.
    rule.retry = 2;
    CHECK(who_steps(bench.run(20, 0, rule)) == "ooohhhooooooooooohhh");

    rule.lead = 1e9;
    CHECK(bench.run(50, 0, rule).classic_steps == 0);
    // A first attempt may stay above the law until it is tested.
    rule.lead = 1e-9;
    rule.trial = 20;
    CHECK(bench.run(20, 0, rule).classic_steps == 0);
    CHECK(bench.run(21, 0, rule).classic_steps == 1);
}

TEST_CASE("safeguard ahead: a track that finds nothing better, or blows up, begins anew at its best point") {
    // So much momentum that it comes close once, and leaves for ever.
    Bench bench({.optimizee = "rotated_saddle", .instances = 6},
                {"negative_momentum", {{"momentum", "0.95"}}},
                kTuned);
    SafeguardRule rule = kAhead;
    rule.lead = 1e9;
    rule.stall = 1'000'000;
    rule.blow_up = 1e300;
    const Bench::Run never = bench.run(200, 0, rule);
    rule.blow_up = 10;
    const Bench::Run after_blow_up = bench.run(200, 0, rule);
    rule.blow_up = 1e300;
    rule.stall = 4;
    const Bench::Run after_stall = bench.run(200, 0, rule);
    CHECK(never.classic_steps + after_blow_up.classic_steps + after_stall.classic_steps == 0);
    for (std::size_t row = 0; row < 6; ++row) {
        CHECK(never.residual.back()[row] > 1e-3);
        CHECK(after_blow_up.residual.back()[row] < 0.3 * never.residual.back()[row]);
        CHECK(after_stall.residual.back()[row] < 1e-8);
    }
}

TEST_CASE("safeguard ahead: what both tracks cost adds up to the budget, and no row has more") {
    for (const double budget : {2.0, 3.0, 40.0, 201.0, 700.0, 1402.0}) {
        CAPTURE(budget);
        Bench bench(bilinear(), {"gradient_descent_ascent", {{"learning_rate", "0.3"}}}, kTuned);
        const Bench::Run run = bench.run(1000, budget, kAhead);
        for (const double gradients : run.gradients.back()) CHECK(gradients == 2 * std::floor(budget / 2));
    }
    Bench bench(bilinear(), {"gradient_descent_ascent", {{"learning_rate", "0.3"}}}, kTuned);
    for (const double budget : {1.0, 2.0, 3.0, 4.0, 5.0}) {
        CAPTURE(budget);
        const Bench::Run small = bench.run(100, budget, kAhead, true);
        for (const double paid : small.gradients.back()) CHECK(paid <= budget);
    }
    const Bench::Run run = bench.run(100, 0, kAhead);
    double sum = 0;
    for (const double gradients : run.gradients.back()) sum += gradients;
    // At the starts, at the ends of all steps, and half-way through those of Halpern's.
    CHECK(run.classic_steps > 0);
    CHECK(sum == 2 * (12 + run.steps + run.classic_steps));
}
