#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tests/framework/rollout/trip.hpp"

using namespace l2o::test;

TEST_CASE(
    "a point at which f and its gradient are asked for is one evaluation, together or one after the other") {
    const ProblemLab problem({.optimizee = "quadratic", .instances = 2});
    Ledger ledger(problem.optimizee(), 2, {});
    CHECK(ledger.charge(0, L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT));
    CHECK(ledger.charge(1, L2O_ORACLE_VALUE));
    CHECK(ledger.charge(1, L2O_ORACLE_GRADIENT, L2O_ORACLE_VALUE));
    for (const Evaluations& row : ledger.evaluations()) {
        CHECK(row.points == 1);
        CHECK(row.values == 1);
        CHECK(row.gradients == 1);
    }
    CHECK(ledger.charge_own(0, 3));
    CHECK(ledger.evaluations()[0].points == 4);
    CHECK(ledger.evaluations()[0].gradients == 4);
}

TEST_CASE("a row that cannot pay is charged nothing from then on, and others are") {
    const ProblemLab problem({.optimizee = "quadratic", .instances = 2});
    Ledger ledger(problem.optimizee(), 2, {.limit = 2});
    CHECK(ledger.charge(0, L2O_ORACLE_VALUE));
    CHECK(ledger.charge(0, L2O_ORACLE_VALUE));
    CHECK_FALSE(ledger.charge(0, L2O_ORACLE_VALUE));
    CHECK(ledger.is_spent(0));
    CHECK_FALSE(ledger.charge(0, L2O_ORACLE_GRADIENT, L2O_ORACLE_VALUE));
    CHECK(ledger.evaluations()[0].points == 2);
    CHECK_FALSE(ledger.is_spent(1));
    CHECK(ledger.charge(1, L2O_ORACLE_VALUE));
    // What is left for the end cannot be spent on the way.
    Ledger saves(problem.optimizee(), 1, {.limit = 2, .pays_for_end = true});
    CHECK(saves.charge_own(0, 1));
    CHECK(saves.affords_end(0));
    CHECK_FALSE(saves.charge_own(0, 1));
}

TEST_CASE("the best point is the least finite value offered, with its x") {
    const ProblemLab problem({.optimizee = "quadratic", .options = {{"n", "2"}}, .instances = 2});
    Ledger ledger(problem.optimizee(), 2, {.keeps_best = true});
    std::vector<Tensor> block;
    block.emplace_back(Dtype::kF64, Shape{3, 2});
    l2o::test::set_values(block[0], {1, 2, 3, 4, 5, 6});
    const TensorSet x(std::move(block));
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    for (const double f : {static_cast<double>(NAN), kInfinity, -kInfinity}) ledger.offer(1, f, x, 0);
    CHECK_FALSE(ledger.has_best(1));
    ledger.offer(1, 7, x, 1);
    ledger.offer(1, 8, x, 2);
    CHECK(ledger.best_f()[1] == 7);
    CHECK(values(ledger.best_x()[0]) == std::vector<double>{0, 0, 3, 4});
    CHECK_FALSE(ledger.has_best(0));
}

TEST_CASE("improvements are what was the best once, with what had been paid by then") {
    const ProblemLab problem({.optimizee = "quadratic", .options = {{"n", "2"}}, .instances = 2});
    Ledger ledger(problem.optimizee(), 2, {.keeps_best = true, .keeps_improvements = true});
    std::vector<Tensor> block;
    block.emplace_back(Dtype::kF64, Shape{1, 2});
    const TensorSet x(std::move(block));
    for (int again = 0; again < 2; ++again) {
        ledger.restart();
        std::int64_t t = 0;
        for (const double f : {5., static_cast<double>(NAN), 7., 3., 3., 1.}) {
            ledger.set_iteration(t++);
            CHECK(ledger.charge(1, L2O_ORACLE_VALUE));
            ledger.offer(1, f, x, 0);
        }
        REQUIRE(ledger.improvements().size() == 2);
        CHECK(ledger.improvements()[0].empty());
        std::vector<double> told;
        for (const Improvement& one : ledger.improvements()[1])
            told.insert(told.end(), {one.f, one.evaluations, static_cast<double>(one.iteration)});
        CHECK(told == std::vector<double>{5, 1, 0, 3, 4, 3, 1, 6, 5});
    }
    Ledger spares(problem.optimizee(), 2, {.keeps_best = true});
    spares.offer(1, 7, x, 0);
    CHECK(spares.improvements().empty());
}

TEST_CASE("looking is free and decides nothing: the same bits and the same charges with and without") {
    for (const char* optimizer : {"adam", "nag", "particle_swarm"}) {
        CAPTURE(optimizer);
        Trip trip(on_rastrigin(optimizer, {}));
        const Course course = trip.course(12);
        std::vector<std::vector<double>> ends, charges;
        for (const bool looks : {false, true}) {
            for (const bool with_next : {false, true}) {
                Rollout rollout = trip.rollout(course);
                for (rollout.start(trip.x0()); !rollout.is_over(); rollout.step())
                    if (looks) (void)rollout.look(with_next);
                ends.push_back(values(rollout.answers()[0]));
                charges.emplace_back();
                for (const Evaluations& row : rollout.ledger().evaluations())
                    charges.back().insert(charges.back().end(), {row.points, row.values, row.gradients});
            }
        }
        for (std::size_t i = 1; i < ends.size(); ++i) {
            CHECK(ends[i] == ends[0]);
            CHECK(charges[i] == charges[0]);
        }
    }
}

TEST_CASE("the value at the end is charged once, and the budget holds for it") {
    Trip trip(on_rastrigin("adam", {{"learning_rate", "0.1"}}));
    Course course = trip.course(20);
    Rollout free = trip.rollout(course);
    for (free.start(trip.x0()); !free.is_over();) free.step();
    CHECK(free.iteration() == 20);
    CHECK(free.ledger().evaluations()[0].points == 21);
    CHECK(free.ledger().evaluations()[0].values == 1);
    CHECK((*free.look(false).due)[0] == 0);
    course.max_evaluations = 8;
    Rollout limited = trip.rollout(course);
    for (limited.start(trip.x0()); !limited.is_over();) limited.step();
    // Seven steps, and the gradient at their end, which brings its value; from there nobody can pay to go on.
    CHECK(limited.iteration() == 8);
    CHECK(limited.ledger().evaluations()[0].points == 8);
    const Rollout::View end = limited.look(false);
    CHECK((*end.due)[0] == 0);
    CHECK(end.f->value(0) >= limited.ledger().best_f()[0]);
}

TEST_CASE("a budget of what steps cost buys them, also of a method that asks where it is") {
    for (const auto& [optimizer, options] : {std::pair{"lbfgs", l2o::test::OptionText{}},
                                             {"nag", {}},
                                             {"extragradient", {}},
                                             {"gradient_descent", {{"step_rule", "armijo"}}}}) {
        const std::string id = optimizer;
        CAPTURE(id);
        Trip trip({.optimizer = optimizer,
                   .options = options,
                   .problem = {.optimizee = "quadratic", .options = {{"n", "4"}}, .instances = 1}});
        for (const std::int64_t steps : {1, 2, 3}) {
            CAPTURE(steps);
            const Course free_course = trip.course(steps);
            Rollout free = trip.rollout(free_course);
            for (free.start(trip.x0()); !free.is_over();) free.step();
            Course course = trip.course(20);
            course.max_evaluations = free.ledger().evaluations()[0].points;
            Rollout limited = trip.rollout(course);
            for (limited.start(trip.x0()); !limited.is_over();) limited.step();
            CHECK(limited.last_moved() == steps);
            CHECK(limited.ledger().evaluations()[0].points == course.max_evaluations);
            CHECK(values(limited.answers()[0]) == values(free.answers()[0]));
        }
    }
}

TEST_CASE("a point that was asked for where a row ends is not paid for again") {
    Trip trip({.optimizer = "lbfgs",
               .problem = {.optimizee = "quadratic", .options = {{"n", "4"}}, .instances = 1}});
    Course course = trip.course(20);
    course.max_evaluations = 1;
    Rollout rollout = trip.rollout(course);
    for (rollout.start(trip.x0()); !rollout.is_over();) rollout.step();
    CHECK(rollout.ledger().evaluations()[0].points == 1);
    CHECK(rollout.ledger().evaluations()[0].values == 1);
    CHECK(rollout.ledger().evaluations()[0].gradients == 1);  // x_0, with its gradient
    CHECK(values(rollout.answers()[0]) == values(trip.x0()[0]));
}

TEST_CASE("a method that evaluates nothing has no best point, not even its end, of which it pays the value") {
    Trip trip({.optimizer = "ista", .problem = {.optimizee = "lasso", .instances = 2}});
    Course course = trip.course(5);
    Rollout rollout = trip.rollout(course);
    rollout.start(trip.x0());
    CHECK((*rollout.look(false).due)[0] == 1);
    for (int t = 0; t < 4; ++t) rollout.step();
    CHECK_FALSE(rollout.ledger().has_best(0));
    CHECK(rollout.ledger().evaluations()[0].points == 4);
    rollout.step();
    CHECK(rollout.is_over());
    CHECK(rollout.ledger().evaluations()[0].points == 6);
    CHECK(rollout.ledger().evaluations()[0].gradients == 5);
    CHECK(rollout.ledger().evaluations()[0].values == 1);
    CHECK_FALSE(rollout.ledger().has_best(0));
    CHECK(std::isfinite(rollout.look(false).f->value(0)));
    course.max_evaluations = 3;  // two steps and a value
    Rollout limited = trip.rollout(course);
    for (limited.start(trip.x0()); !limited.is_over();) limited.step();
    CHECK(limited.iteration() == 2);
    CHECK(limited.ledger().evaluations()[0].points == 3);
    CHECK(limited.ledger().evaluations()[0].gradients == 2);
}

TEST_CASE("the answer of a population is the best point that it has paid for") {
    Trip trip(on_rastrigin("particle_swarm", {{"particles", "5"}}));
    const Course course = trip.course(30);
    Rollout rollout = trip.rollout(course);
    rollout.start(trip.x0());
    // Nothing is paid for yet: where everybody starts.
    CHECK(values((*rollout.look(false).x)[0]) == values(trip.x0()[0]));
    std::vector<double> last(3, std::numeric_limits<double>::infinity());
    while (!rollout.is_over()) {
        rollout.step();
        const Rollout::View view = rollout.look(false);
        for (std::int64_t row = 0; row < 3; ++row) {
            const double f = view.f->value(row);
            CHECK(f <= last[static_cast<std::size_t>(row)]);
            last[static_cast<std::size_t>(row)] = f;
        }
        for (std::size_t k = 0; k < trip.lab().problem().x().size(); ++k)
            l2o::test::set_values(trip.lab().problem().x()[k], values((*view.x)[k]));
        CHECK(l2o::test::relative_error(trip.lab().problem().objective(), last) <= 1e-14);
    }
    CHECK(rollout.ledger().evaluations()[0].points == 30 * 5);
}

TEST_CASE("a swarm whose budget is one evaluation of each particle answers with the best of those") {
    Trip trip(on_rastrigin("particle_swarm", {{"particles", "6"}}));
    Course course = trip.course(9);
    course.max_evaluations = 6;
    Rollout limited = trip.rollout(course);
    for (limited.start(trip.x0()); !limited.is_over();) limited.step();
    CHECK(limited.ledger().evaluations()[0].points == 6);
    course.max_evaluations = 0;
    course.iterations = 1;
    Rollout once = trip.rollout(course);
    for (once.start(trip.x0()); !once.is_over();) once.step();
    CHECK(once.ledger().evaluations()[0].points == 6);
    CHECK(values(*limited.look(false).f) == values(*once.look(false).f));
}

TEST_CASE("no row spends more than its limit, and f of its answer is that of its x and was paid for") {
    const std::vector<std::pair<const char*, l2o::test::OptionText>> optimizers{
        {"adam", {{"learning_rate", "0.1"}}},
        {"nag", {{"max_halvings", "1"}, {"initial_step", "10"}}},
        {"nag", {{"initial_step", "1"}}},
        {"gradient_descent", {{"step_rule", "armijo"}, {"initial_step", "10"}}},
        {"averaged_descent", {{"learning_rate", "0.002"}}},
        {"particle_swarm", {{"particles", "3"}}},
        {"settles", {{"learning_rate", "0.001"}, {"good", "12"}, {"bad", "70"}}}};
    for (const auto& [optimizer, options] : optimizers) {
        const std::string name = optimizer;
        CAPTURE(name);
        Trip trip(on_rastrigin(name, options));
        const std::vector<double> x0 = values(trip.x0()[0]);
        for (const Answer answer : {Answer::kLast, Answer::kBest}) {
            for (int limit = 1; limit < 24; ++limit) {
                CAPTURE(limit);
                l2o::test::set_values(trip.lab().problem().x()[0], x0);
                Course course = trip.course(40);
                course.answer = answer;
                course.max_evaluations = limit;
                Rollout rollout = trip.rollout(course);
                for (rollout.start(trip.x0()); !rollout.is_over();) rollout.step();
                const Rollout::View end = rollout.look(false);
                const std::vector<double> f = values(*end.f), x = values((*end.x)[0]);
                l2o::test::set_values(trip.lab().problem().x()[0], x);
                const std::vector<double> want = trip.lab().problem().objective();
                for (std::size_t row = 0; row < f.size(); ++row) {
                    CHECK(rollout.ledger().evaluations()[row].points <= limit);
                    if (rollout.has_failed(static_cast<std::int64_t>(row))) continue;
                    CHECK((*end.due)[row] == 0);
                    CHECK(f[row] == doctest::Approx(want[row]).epsilon(1e-13));
                    CHECK(rollout.ledger().best_f()[row] <= f[row]);
                }
            }
        }
    }
}

TEST_CASE("the answer of a population on a stochastic objective outlives the step that it cannot pay for") {
    Trip trip({.optimizer = "particle_swarm",
               .options = {{"particles", "4"}},
               .problem = {.optimizee = "noisy_quartic", .instances = 3}});
    Course five = trip.course(5), limited = trip.course(20);
    limited.max_evaluations = 20;
    Rollout a = trip.rollout(five), b = trip.rollout(limited);
    for (a.start(trip.x0()); !a.is_over();) a.step();
    for (b.start(trip.x0()); !b.is_over();) b.step();
    CHECK(values(a.answers()[0]) == values(b.answers()[0]));
    for (const Evaluations& row : b.ledger().evaluations()) CHECK(row.points == 20);
}

TEST_CASE("of the safeguarded steps that were taken at most all are classic ones") {
    Trip trip(on_rastrigin("gradient_descent", {{"learning_rate", "0.5"}}));
    const Lab classic(on_rastrigin("gradient_descent", {{"learning_rate", "0.001"}}));
    const TensorSet none;
    for (const auto test : {SafeguardRule::Test::kResidual, SafeguardRule::Test::kObjective}) {
        Course course = trip.course(30);
        course.first.safeguard.emplace(Safeguard{classic.optimizer(), none, {.test = test}});
        for (const double limit : {0., 3., 10., 21.}) {
            course.max_evaluations = limit;
            Rollout rollout = trip.rollout(course);
            for (rollout.start(trip.x0()); !rollout.is_over();) rollout.step();
            CHECK(rollout.fallbacks() <= rollout.guarded_steps());
            if (limit == 0) CHECK(rollout.guarded_steps() == 30 * 3);
            for (const Evaluations& row : rollout.ledger().evaluations())
                if (limit > 0) CHECK(row.points <= limit);
        }
    }
}

TEST_CASE("the best of the points paid for is the answer where that is asked for") {
    Trip trip(on_rastrigin("gradient_descent", {{"learning_rate", "0.05"}}));
    const Course to_last = trip.course(25);
    Course to_best = trip.course(25);
    to_best.answer = Answer::kBest;
    Rollout best = trip.rollout(to_best), last = trip.rollout(to_last);
    std::vector<double> least(3, std::numeric_limits<double>::infinity());
    best.start(trip.x0());
    last.start(trip.x0());
    while (!best.is_over()) {
        const Rollout::View here = last.look(false);  // paid for by the step from here
        for (std::int64_t row = 0; row < 3; ++row)
            least[static_cast<std::size_t>(row)] =
                std::min(least[static_cast<std::size_t>(row)], here.f->value(row));
        best.step();
        last.step();
        CHECK(values(*best.look(false).f) == least);
    }
    CHECK(best.ledger().evaluations()[0].points == 25);
    CHECK(last.ledger().evaluations()[0].points == 26);
}

TEST_CASE("a course that cannot be run is refused in a sentence") {
    Trip noisy({.optimizer = "adam", .problem = {.optimizee = "noisy_quartic", .instances = 2}});
    Course course = noisy.course(5);
    course.answer = Answer::kBest;
    CHECK(refusal([&] { check_course(course, noisy.optimizee(), "here"); }) ==
          "here: answer is best, and the points of 'noisy_quartic' cannot be compared: its f is that of a "
          "minibatch, or of players; set it to last");
    Course unlayered = noisy.course(5);
    unlayered.then.emplace(unlayered.first);
    CHECK(refusal([&] { check_course(unlayered, noisy.optimizee(), "here"); }) ==
          "here: continue_with: 'adam' has no layers, so that nobody would ever take over from it; leave "
          "continue_with out");
    Trip layers({.optimizer = "lista_cpss",
                 .options = {{"layers", "3"}},
                 .problem = {.optimizee = "sparse_recovery", .instances = 2}});
    Course longer = layers.course(4);
    CHECK(refusal([&] { check_course(longer, layers.optimizee(), "here"); }) ==
          "here: 'lista_cpss' has 3 layers, one per step, and iterations is 4; set it to at most 3, or add a "
          "classic optimizer as 'continue_with'");
    longer.then.emplace(longer.first);
    CHECK(refusal([&] {
              check_course(longer, layers.optimizee(), "here");
          }).starts_with("here: continue_with: 'lista_cpss' is defined from x = 0 only"));
    CHECK(refusal([&] { check_start(layers.lab().optimizer(), noisy.x0(), "here", "do this"); }) ==
          "here: 'lista_cpss' is defined from x = 0 only, and the start is another; do this");
}

TEST_CASE("a swarm that draws nothing and would stay in one point is refused") {
    const auto on = [](const std::string& init_std, const std::string& particles) {
        Trip trip({.optimizer = "l2o_swarm",
                   .options = {{"particles", particles}},
                   .problem = {.optimizee = "lasso", .options = {{"init_std", init_std}}, .instances = 2}});
        const Course course = trip.course(5);
        Rollout rollout = trip.rollout(course);
        return refusal([&] {
            for (rollout.start(trip.x0()); !rollout.is_over();) rollout.step();
        });
    };
    CHECK(
        on("0", "3") ==
        "the 3 particles of 'l2o_swarm' start in one point of 'lasso' and stay together; expected a problem "
        "whose starts differ, an optimizer that spreads its particles, or one particle");
    CHECK(on("0", "1") == "not refused");
    CHECK(on("0.1", "3") == "not refused");
}
