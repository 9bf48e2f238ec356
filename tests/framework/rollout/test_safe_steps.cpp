#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "framework/plugin/keys.hpp"
#include "framework/rollout/safe_steps.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::catalog;
using l2o::test::Lab;
using l2o::test::OptionText;
using l2o::test::refusal;
using l2o::test::set_values;
using l2o::test::values;
using Test = SafeguardRule::Test;
using Bound = SafeguardRule::Bound;

namespace {

std::unique_ptr<const Optimizer> create(const std::string& id,
                                        const OptionText& options,
                                        const Optimizee& on) {
    const Catalog::Entry& entry = catalog().find(Kind::kOptimizer, id);
    const OptionContext context{.origin = "test", .path = "options", .kind = "optimizer", .id = id};
    return std::make_unique<const Optimizer>(
        entry,
        resolve_options(entry.component.options, settings_from(options, {.file = "test"}), context),
        task_of(on, 0));
}

/// An optimizer, alone and under a safeguard, from the start points of the problem.
class Bench {
  public:
    explicit Bench(const Lab::Setup& setup, const std::string& classic, const OptionText& options = {})
        : lab_(setup),
          classic_(create(classic, options, lab_.problem().optimizee())),
          params_(borrowed(lab_.params())),
          classic_params_(classic_->init_params({1, 2}, lab_.problem().data())) {}

    Lab& lab() { return lab_; }
    [[nodiscard]] const Optimizer& classic() const { return *classic_; }

    struct Run {
        std::vector<std::vector<double>> x;  ///< points 0..T
        std::vector<double> f;               ///< at the end, by row
        std::int64_t fallbacks = 0;
        std::vector<Evaluations> evaluations;  ///< by row
    };
    Run run(std::int64_t steps, const std::optional<SafeguardRule>& rule) {
        return run_from(*classic_, lab_.optimizer(), params_, steps, rule);
    }
    /// The classic optimizer alone.
    Run run_classic(std::int64_t steps) {
        return run_from(*classic_, *classic_, classic_params_, steps, std::nullopt);
    }
    /// |x - T(x)| of every row at the end of a run.
    std::vector<double> residuals(const Run& run) {
        const Scene scene = scene_of(*classic_, classic_params_);
        Stepper stepper(scene);
        Point at(stepper.layout(), stepper.parts()), image(stepper.layout(), stepper.parts());
        set_values(at.x[0], run.x.back());
        stepper.advance(at, image, 0);
        const auto a = values(at.x[0]), b = values(image.x[0]);
        std::vector<double> out(static_cast<std::size_t>(lab_.problem().data().instances), 0.0);
        for (std::size_t i = 0; i < a.size(); ++i)
            out[i / (a.size() / out.size())] += (a[i] - b[i]) * (a[i] - b[i]);
        for (double& residual : out) residual = std::sqrt(residual);
        return out;
    }

  private:
    static TensorSet borrowed(std::vector<Tensor>& tensors) {
        std::vector<Tensor> out;
        for (Tensor& tensor : tensors)
            out.push_back(Tensor::borrow(tensor.dtype(), tensor.shape(), tensor.data()));
        return TensorSet(std::move(out));
    }
    Scene scene_of(const Optimizer& optimizer, const TensorSet& params) {
        return {optimizer, lab_.problem().optimizee(), lab_.problem().data(), params, {77, 7}, 0};
    }
    Run run_from(const Optimizer& classic,
                 const Optimizer& optimizer,
                 const TensorSet& params,
                 std::int64_t steps,
                 const std::optional<SafeguardRule>& rule) {
        const Scene scene = scene_of(optimizer, params);
        Stepper stepper(scene);
        std::optional<SafeSteps> safe;
        if (rule) safe.emplace(stepper, scene, Safeguard{classic, classic_params_, *rule});
        PointParts parts = stepper.parts();
        parts.f = true;
        Point from(stepper.layout(), parts), to(stepper.layout(), parts);
        set_values(from.x[0], values(lab_.problem().x()[0]));
        stepper.init_state(from);
        Run run;
        run.x.push_back(values(from.x[0]));
        for (std::int64_t t = 0; t < steps; ++t) {
            if (safe) {
                safe->advance(from, to, t);
                for (std::int64_t row = 0; row < stepper.layout().batch; ++row)
                    run.fallbacks += safe->fell_back(row) ? 1 : 0;
            } else {
                stepper.advance(from, to, t);
            }
            std::swap(from, to);
            run.x.push_back(values(from.x[0]));
        }
        for (std::int64_t row = 0; row < stepper.layout().batch; ++row)
            run.evaluations.push_back(stepper.evaluations()[static_cast<std::size_t>(row)]);
        from.forget();
        stepper.evaluate(from, steps, true, false, kFree);
        run.f = values(from.f);
        return run;
    }

    Lab lab_;
    std::unique_ptr<const Optimizer> classic_;
    TensorSet params_, classic_params_;
};

/// An untrained network that diverges (start reference), with as many layers as it may have.
Lab::Setup diverging(Dtype dtype = Dtype::kF64) {
    return {.optimizer = "lista_cpss",
            .options = {{"start", "reference"}, {"layers", "100"}},
            .problem = {.optimizee = "lasso",
                        .options = {{"m", "20"}, {"n", "24"}, {"lambda", "0.1"}},
                        .instances = 6,
                        .dtype = dtype}};
}
const Lab::Setup kGood{.optimizer = "alista",
                       .problem = {.optimizee = "sparse_recovery",
                                   .options = {{"m", "64"}, {"n", "128"}, {"lambda", "0.001"}},
                                   .instances = 8}};

/// Two instances of ||W x - y||^2 in one variable: curvatures 1 and 9, minimisers 1 and -1.
Bench two_parabolas(const std::string& guarded, const OptionText& options, const std::string& classic_rate) {
    Bench bench({.optimizer = guarded,
                 .options = options,
                 .problem = {.optimizee = "quadratic", .options = {{"n", "1"}}, .instances = 2}},
                "gradient_descent",
                {{"learning_rate", classic_rate}});
    set_values(bench.lab().problem().data("W"), {1, 3});
    set_values(bench.lab().problem().data("y"), {1, -3});
    set_values(bench.lab().problem().x()[0], {0.25, 0.5});
    return bench;
}

std::string name(const SafeguardRule& rule) {
    return std::to_string(static_cast<int>(rule.test)) + "/" + std::to_string(static_cast<int>(rule.bound));
}
const std::vector<SafeguardRule> kRules{{.test = Test::kResidual, .bound = Bound::kEma},
                                        {.test = Test::kResidual, .bound = Bound::kGeometric},
                                        {.test = Test::kResidual, .bound = Bound::kRecentMax},
                                        {.test = Test::kObjective, .bound = Bound::kEma},
                                        {.test = Test::kObjective, .bound = Bound::kRecentMax}};

}  // namespace

TEST_CASE("safeguard: a network that diverges comes to the minimum all the same, under every rule") {
    for (const Dtype dtype : {Dtype::kF64, Dtype::kF32}) {
        Bench bench(diverging(dtype), "ista");
        const Bench::Run alone = bench.run(100, std::nullopt);
        for (const double f : alone.f) CHECK(!(f < 1e10));
        const Bench::Run start = bench.run_classic(0), best = bench.run_classic(20000);
        for (const SafeguardRule& rule : kRules) {
            CAPTURE(name(rule));
            const Bench::Run safe = bench.run(100, rule);
            CHECK(safe.fallbacks > 100);
            CHECK(safe.fallbacks <= 600);
            for (std::size_t row = 0; row < 6; ++row) {
                CHECK(safe.f[row] >= best.f[row] - 1e-5);
                CHECK(safe.f[row] - best.f[row] <= 1e-3 * (start.f[row] - best.f[row]) + 1e-5);
            }
        }
    }
}

TEST_CASE("safeguard: a good network keeps every bit of its iterates, and is never refused") {
    Bench bench(kGood, "ista");
    const Bench::Run alone = bench.run(16, std::nullopt);
    for (const Test test : {Test::kResidual, Test::kObjective}) {
        const Bench::Run safe = bench.run(16, SafeguardRule{.test = test});
        CHECK(safe.fallbacks == 0);
        CHECK(safe.x == alone.x);
        // T is a gradient; ALISTA takes one of its own.
        CHECK(safe.evaluations[0].gradients == 16 + 1 + 16);
        CHECK(safe.evaluations[0].values == (test == Test::kResidual ? 0 : 1 + 2 * 16));
    }
}

TEST_CASE("safeguard: a step of the same method passes, and its gradient is not taken twice") {
    Bench bench = two_parabolas("gradient_descent", {{"learning_rate", "0.05"}}, "0.05");
    const Bench::Run alone = bench.run(10, std::nullopt);
    CHECK(alone.evaluations[0].gradients == 10);
    const Bench::Run by_residual = bench.run(10, SafeguardRule{});
    CHECK(by_residual.fallbacks == 0);
    CHECK(by_residual.x == alone.x);
    CHECK(by_residual.evaluations[0].gradients == 11);  // at x_0 .. x_10, each once
    CHECK(by_residual.evaluations[0].values == 0);
    const Bench::Run by_objective = bench.run(10, SafeguardRule{.test = Test::kObjective});
    CHECK(by_objective.fallbacks == 0);
    CHECK(by_objective.x == alone.x);
    CHECK(by_objective.evaluations[0].gradients == 11);
    CHECK(by_objective.evaluations[0].values == 1 + 2 * 10);
}

TEST_CASE(
    "safeguard: rows are judged one by one; the refused one takes the classic step, the other its own") {
    // With rate 0.3 the first distance to the minimum shrinks by 0.4, the second grows by 4.4.
    Bench bench = two_parabolas("gradient_descent", {{"learning_rate", "0.3"}}, "0.05");
    const Bench::Run alone = bench.run(1, std::nullopt), classic = bench.run_classic(1);
    for (const Test test : {Test::kResidual, Test::kObjective}) {
        const Bench::Run safe = bench.run(1, SafeguardRule{.test = test});
        CHECK(safe.fallbacks == 1);
        CHECK(safe.x[1] == std::vector<double>{alone.x[1][0], classic.x[1][1]});
        // At x_0, at the proposals, and with test residual at the x_1 that is not the proposal.
        CHECK(safe.evaluations[0].gradients == 2);
        CHECK(safe.evaluations[1].gradients == (test == Test::kResidual ? 3 : 2));
    }
}

TEST_CASE("safeguard: a proposal that is not finite is charged nothing, and its row alone is refused") {
    Bench bench = two_parabolas("gradient_descent", {{"learning_rate", "1e308"}}, "0.05");
    set_values(bench.lab().problem().x()[0], {1, 0.5});  // the first is in its minimum
    const Bench::Run classic = bench.run_classic(1);
    for (const Test test : {Test::kResidual, Test::kObjective}) {
        const Bench::Run safe = bench.run(1, SafeguardRule{.test = test});
        CHECK(safe.fallbacks == 1);
        CHECK(safe.x[1] == std::vector<double>{1, classic.x[1][1]});
        for (const Evaluations& evaluations : safe.evaluations) CHECK(evaluations.gradients == 2);
    }
}

TEST_CASE("safeguard: mu falls as its rule says") {
    // The first distance to the minimum shrinks by 0.4 in every step, so the residuals are r_k = 0.4^k r_0;
    // the other row is in its minimum.
    const auto refused = [](Bound bound, double theta, std::int64_t recent, std::int64_t steps) {
        Bench bench = two_parabolas("gradient_descent", {{"learning_rate", "0.3"}}, "0.05");
        set_values(bench.lab().problem().x()[0], {0.25, -1});
        const SafeguardRule rule{.bound = bound, .alpha = 0.9, .theta = theta, .recent = recent};
        return bench.run(steps, rule).fallbacks;
    };
    // r_{k+1} = 0.4 r_k <= 0.9 mu_k, as mu_k >= r_k.
    for (const double theta : {0.1, 0.5, 0.9}) CHECK(refused(Bound::kEma, theta, 1, 30) == 0);
    for (const std::int64_t recent : {1, 3}) CHECK(refused(Bound::kRecentMax, 0.5, recent, 30) == 0);
    CHECK(refused(Bound::kGeometric, 0.5, 1, 30) == 0);
    // mu_k = 0.2^k r_0: 0.4 <= 0.9 and 0.16 <= 0.18, but 0.064 > 0.036.
    CHECK(refused(Bound::kGeometric, 0.2, 1, 2) == 0);
    CHECK(refused(Bound::kGeometric, 0.2, 1, 3) == 1);
}

TEST_CASE("safeguard: of recent residuals the largest counts") {
    // Distances grow by 1.4 in every step of the optimizer, and shrink by 0.1 in one of the classic.
    const auto refused = [](std::int64_t recent) {
        Bench bench = two_parabolas("gradient_descent", {{"learning_rate", "1.2"}}, "0.45");
        set_values(bench.lab().problem().x()[0], {0.25, -1});
        const SafeguardRule rule{.bound = Bound::kRecentMax, .alpha = 0.99, .recent = recent};
        return bench.run(4, rule).fallbacks;
    };
    // recent 1: mu is the last residual that lowered it, of which 1.4 times as much is refused every time.
    // recent 3: after 0.1 and 0.01, where classic steps led, 0.014 and 0.0196 are below the largest.
    CHECK(refused(1) == 4);
    CHECK(refused(3) == 2);
}

TEST_CASE("safeguard: an optimizer that gives up is refused on all rows, and asked again") {
    Bench bench({.optimizer = "learned_momentum",
                 .options = {{"gives_up_at", "2"}},
                 .problem = {.optimizee = "quadratic", .options = {{"n", "3"}}, .instances = 4}},
                "gradient_descent",
                {{"learning_rate", "0.001"}});
    CHECK_THROWS_AS((void)bench.run(5, std::nullopt), Diverged);
    const Bench::Run safe = bench.run(5, SafeguardRule{.alpha = 0.999999});
    CHECK(safe.fallbacks >= 4);
    CHECK(safe.fallbacks < 4 * 5);
    for (const double f : safe.f) CHECK(std::isfinite(f));
}

TEST_CASE("safeguard: what cannot be a safeguard, or not be safeguarded, is refused in a sentence") {
    const auto refused = [](const std::string& guarded,
                            const std::string& classic,
                            const std::string& optimizee = "quadratic",
                            Test test = Test::kResidual) {
        Lab lab(
            {.optimizer = guarded,
             .problem = {.optimizee = optimizee,
                         .options = optimizee == "lasso" ? OptionText{{"m", "4"}, {"n", "6"}} : OptionText{},
                         .instances = 2}});
        const auto other = create(classic, {}, lab.problem().optimizee());
        return refusal([&] {
            check_safeguard(
                lab.optimizer(), *other, test, lab.problem().optimizee(), "contestants.it.safeguard");
        });
    };
    CHECK(refused("adam", "gradient_descent") == "no error");
    CHECK(refused("alista", "ista", "lasso") == "no error");
    CHECK(refused("alista", "fista", "lasso") ==
          "2 contestants.it.safeguard: 'fista' keeps a state ('y'), and a safeguard needs a step that "
          "depends on "
          "x alone; expected one such as 'ista' or 'gradient_descent'");
    CHECK(refused("ista", "alista", "lasso") ==
          "2 contestants.it.safeguard: 'alista' is learned; expected a classic optimizer, such as 'ista' or "
          "'gradient_descent'");
    CHECK(refused("particle_swarm", "gradient_descent") ==
          "2 contestants.it.safeguard: 'particle_swarm' is a population, which a safeguard cannot handle");
    CHECK(refused("adam", "gradient_descent", "noisy_quartic") ==
          "2 contestants.it.safeguard: 'noisy_quartic' draws its objective anew at every step, so that steps "
          "cannot be compared; remove the safeguard");

    CHECK(refused("extragradient", "halpern", "rotated_saddle", Test::kAhead) == "no error");
    CHECK(refused("extragradient", "adam_descent_ascent", "rotated_saddle", Test::kAhead) == "no error");
    CHECK(refused("extragradient", "learned_extragradient", "rotated_saddle", Test::kAhead) ==
          "2 contestants.it.safeguard: 'learned_extragradient' is learned; expected a classic optimizer, "
          "such as 'halpern'");
    CHECK(refused("adam", "gradient_descent", "quadratic", Test::kAhead) ==
          "2 contestants.it.safeguard: test is ahead, and 'quadratic' is no game: no player moves f up; "
          "expected test residual or objective");
    CHECK(refused("lista", "ista", "lasso", Test::kAhead) ==
          "2 contestants.it.safeguard: test is ahead, and 'lista' has layers, one per step, where a track "
          "goes on for ever; expected test residual or objective");
}

TEST_CASE("safeguard: its settings are told from those of the classic optimizer, and checked") {
    const Catalog::Entry& entry = catalog().find(Kind::kOptimizer, "ista");
    const auto read = [&](const OptionText& settings) {
        return safeguard_choice(
            entry,
            settings_from(settings, {.file = "run.info", .line = 7}),
            {.origin = "run.info:6", .path = "contestants.it.safeguard", .kind = "optimizer", .id = "ista"});
    };
    const SafeguardChoice choice = read({{"test", "objective"},
                                         {"bound", "recent_max"},
                                         {"alpha", "0.5"},
                                         {"recent", "3"},
                                         {"step_size", "frobenius"}});
    CHECK(choice.rule.test == Test::kObjective);
    CHECK(choice.rule.bound == Bound::kRecentMax);
    CHECK(choice.rule.alpha == 0.5);
    CHECK(choice.rule.theta == 0.25);
    CHECK(choice.rule.recent == 3);
    CHECK(choice.classic.resolve().canonical().at("step_size") == "frobenius");

    const auto refused = [&](const OptionText& settings) { return refusal([&] { (void)read(settings); }); };
    CHECK(
        refused({{"tests", "objective"}}) ==
        "2 run.info:7: contestants.it.safeguard: neither the safeguard nor 'ista' has an option 'tests'; did "
        "you mean 'test'? known: alpha, blow_up, bound, lead, pause, recent, retry, stall, step_size, test, "
        "theta, trial");
    CHECK(refused({{"alpha", "1"}}) ==
          "2 run.info:7: contestants.it.safeguard.alpha is '1'; expected a number in (0, 1)");
    CHECK(refused({{"test", "value"}}) ==
          "2 run.info:7: contestants.it.safeguard.test is 'value'; expected one of: residual, objective, "
          "ahead");
    CHECK(refused({{"test", "objective"}, {"pause", "7"}}) ==
          "2 run.info:7: contestants.it.safeguard.pause is set, and test is 'objective', which does not read "
          "it; remove it, or set test to ahead");
    CHECK(refused({{"test", "ahead"}, {"theta", "0.5"}}) ==
          "2 run.info:7: contestants.it.safeguard.theta is set, and test is 'ahead', which does not read it; "
          "remove it, or set test to residual or objective");
    const SafeguardRule ahead = read({{"test", "ahead"},
                                      {"lead", "3"},
                                      {"retry", "0.25"},
                                      {"trial", "5"},
                                      {"pause", "6"},
                                      {"stall", "7"},
                                      {"blow_up", "8"}})
                                    .rule;
    CHECK(ahead.test == Test::kAhead);
    CHECK(ahead.lead == 3);
    CHECK(ahead.retry == 0.25);
    CHECK(ahead.trial == 5);
    CHECK(ahead.pause == 6);
    CHECK(ahead.stall == 7);
    CHECK(ahead.blow_up == 8);
    const SafeguardRule as_given = read({{"test", "ahead"}}).rule, as_built{};
    CHECK(as_given.lead == as_built.lead);
    CHECK(as_given.retry == as_built.retry);
    CHECK(as_given.trial == as_built.trial);
    CHECK(as_given.pause == as_built.pause);
    CHECK(as_given.stall == as_built.stall);
    CHECK(as_given.blow_up == as_built.blow_up);
    CHECK(refused({{"step_size", "1"}})
              .starts_with("2 run.info:7: contestants.it.safeguard.step_size is '1'; expected one of: "
                           "spectral, frobenius"));
    CHECK(refused({{"test", "objective"}, {"bound", "geometric"}}) ==
          "2 run.info:6: contestants.it.safeguard.bound is 'geometric', which is for residuals: an objective "
          "need not go to 0; with test objective expected one of: ema, recent_max");
}
