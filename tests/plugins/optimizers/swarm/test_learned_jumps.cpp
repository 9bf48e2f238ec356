#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

constexpr double kAlways = 50, kNever = -50;

Lab jumps(const ProblemLab::Setup& problem,
          const std::vector<std::pair<const char*, double>>& learned,
          std::int64_t horizon = 100,
          OptionText options = {}) {
    Lab lab({.optimizer = "learned_jumps",
             .options = std::move(options),
             .problem = problem,
             .horizon = horizon});
    for (const auto& [name, value] : learned) set_values(lab.param(name), {value});
    return lab;
}
ProblemLab::Setup rastrigin(const char* n, std::int64_t instances = 4) {
    return {.optimizee = "rastrigin", .options = {{"n", n}}, .instances = instances};
}
/// Of every particle from point t to the next, coordinate by coordinate.
std::vector<double> moves(const Lab::Run& run, std::size_t t) {
    std::vector<double> out(run.x[t].size());
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = run.x[t + 1][i] - run.x[t][i];
    return out;
}
double moved(const std::vector<double>& moves) {
    return double(std::ranges::count_if(moves, [](double move) { return move != 0; })) / double(moves.size());
}

/// Mean over 64 functions of the best value of 4 particles on the way.
double best_on_ripples(std::int64_t steps,
                       const std::vector<std::pair<const char*, double>>& learned,
                       OptionText options) {
    const Lab::Run run = jumps(rastrigin("10", 64), learned, steps, std::move(options)).run(steps);
    double sum = 0;
    for (std::size_t b = 0; b < 64; ++b) {
        double least = run.f[0][b * 4];
        for (const auto& f : run.f) least = std::min(least, *std::min_element(&f[b * 4], &f[b * 4] + 4));
        sum += least / 64;
    }
    return sum;
}

}  // namespace

TEST_CASE("learned_jumps: without jumps it descends on a quadratic") {
    Lab lab = jumps({.optimizee = "quadratic", .options = {{"n", "5"}}, .instances = 4},
                    {{"jumps_first", kNever}, {"jumps_last", kNever}, {"log_temperature", kAlways}});
    const Lab::Run run = lab.run(600);
    for (std::size_t row = 0; row < 4; ++row) {
        double least = run.f[0][row * 4];
        for (const auto& f : run.f) least = std::min(least, f[row * 4]);
        CHECK(least < 0.1 * run.f[0][row * 4]);
    }
}

TEST_CASE(
    "learned_jumps: a jump moves one coordinate and each other one with probability e^r / n, by +- exp(mu + "
    "delta z)") {
    for (const auto& [others, expected] : {std::pair{1.0, 0.19}, {0.5, 0.145}, {0.0, 0.1}}) {
        Lab lab = jumps(rastrigin("10"),
                        {{"jumps_first", kAlways},
                         {"jumps_last", kAlways},
                         {"log_temperature", kAlways},
                         {"log_length", 0.4},
                         {"log_spread", std::log(0.25)},
                         {"log_others", others > 0 ? std::log(others) : kNever}});
        const Lab::Run run = lab.run(400);
        double count = 0, sum = 0, squares = 0, ups = 0, share = 0;
        for (std::size_t t = 0; t < 400; ++t) {
            const std::vector<double> all = moves(run, t);
            share += moved(all) / 400;
            for (const double move : all) {
                if (move == 0) continue;
                const double length = std::log(std::abs(move));
                ++count, sum += length, squares += length * length, ups += move > 0 ? 1 : 0;
            }
        }
        CHECK(share == doctest::Approx(expected).epsilon(0.03));
        CHECK(sum / count == doctest::Approx(0.4).epsilon(0.02));
        CHECK(std::sqrt(squares / count - sum / count * sum / count) == doctest::Approx(0.25).epsilon(0.05));
        CHECK(ups / count == doctest::Approx(0.5).epsilon(0.05));
    }
}

TEST_CASE("learned_jumps: the share of jumps changes over the run") {
    Lab lab =
        jumps(rastrigin("10"), {{"jumps_first", 2020}, {"jumps_last", -1980}, {"log_temperature", kAlways}});
    const Lab::Run run = lab.run(100);
    for (std::size_t t = 0; t < 100; ++t)
        CHECK((t <= 50 ? moved(moves(run, t)) < 0.5 : moved(moves(run, t)) > 0.9));
}

TEST_CASE("learned_jumps: at temperature 0 a particle proposes only from the best point that it has seen") {
    Lab lab = jumps(rastrigin("10"),
                    {{"jumps_first", kAlways}, {"jumps_last", kAlways}, {"log_temperature", kNever}});
    const Lab::Run run = lab.run(100);
    const std::size_t particles = run.f[0].size();
    for (std::size_t p = 0; p < particles; ++p) {
        std::size_t best = 0;
        for (std::size_t t = 0; t < 100; ++t) {
            if (run.f[t][p] < run.f[best][p]) best = t;
            std::size_t same = 0;
            for (std::size_t i = p * 10; i < p * 10 + 10; ++i)
                same += run.x[t + 1][i] == run.x[best][i] ? 1 : 0;
            CHECK(same >= 4);
            CHECK(same < 10);
        }
    }
}

TEST_CASE("learned_jumps: the jumps of an adapting one become as short as those that succeed") {
    const auto shrinks = [](const char* adapt) {
        Lab lab = jumps({.optimizee = "quadratic", .options = {{"n", "1"}}, .instances = 4},
                        {{"jumps_first", kAlways}, {"jumps_last", kAlways}, {"log_temperature", kNever}},
                        500,
                        {{"adapt", adapt}});
        if (*adapt == 't') set_values(lab.param("log_adapt"), {0});
        const Lab::Run run = lab.run(500);
        std::vector<double> best = run.f[0], rest = run.x[0];
        double early = 0, late = 0;  // mean of ln |jump|
        for (std::size_t t = 0; t < 500; ++t) {
            for (std::size_t p = 0; p < rest.size(); ++p) {
                if (run.f[t][p] < best[p]) best[p] = run.f[t][p], rest[p] = run.x[t][p];
                const double length = std::log(std::abs(run.x[t + 1][p] - rest[p])) / double(rest.size());
                if (t < 50) early += length / 50;
                if (t >= 450) late += length / 50;
            }
        }
        return early - late;
    };
    CHECK(std::abs(shrinks("false")) < 0.2);
    CHECK(shrinks("true") > 3);
}

TEST_CASE(
    "learned_jumps: at the bottom of a bowl the model knows that a jump is worse, and it is not paid for") {
    const auto paid = [](const char* tries) {
        Lab lab = jumps({.optimizee = "quadratic", .options = {{"n", "4"}}, .instances = 16},
                        {{"jumps_first", kAlways},
                         {"jumps_last", kAlways},
                         {"log_temperature", kNever},
                         {"log_length", -1},
                         {"log_step", kNever}},
                        400,
                        {{"tries", tries}});
        const Lab::Run run = lab.run(400);
        double jumped = 0, count = 0;
        for (std::size_t p = 0; p < run.f[0].size(); ++p) {
            std::size_t best = 0;
            for (std::size_t t = 0; t < 400; ++t) {
                if (run.f[t][p] < run.f[best][p]) best = t;
                const auto of = [&](std::size_t at) { return run.x[at].begin() + std::ptrdiff_t(p * 4); };
                if (t >= 200) ++count, jumped += std::equal(of(best), of(best) + 4, of(t + 1)) ? 0 : 1;
            }
        }
        return jumped / count;
    };
    CHECK(paid("1") == 1);
    CHECK(paid("64") < 0.3);
}

TEST_CASE(
    "learned_jumps: of jumps that a model chose more is gained on ripples, though no length is theirs") {
    const auto best = [](const char* tries) {
        return best_on_ripples(300, {{"log_length", 0}, {"log_spread", -1.5}}, {{"tries", tries}});
    };
    CHECK(best("16") < best("1") - 0.5);
}

TEST_CASE("learned_jumps: with a model an adapting one stays with the period of the ripples") {
    const auto best = [](double rate) {
        return best_on_ripples(800,
                               {{"log_temperature", 0.15},
                                {"log_length", 0},
                                {"log_spread", -3},
                                {"log_others", -1.2},
                                {"log_step", -0.5},
                                {"log_cap", -2},
                                {"log_adapt", rate},
                                {"log_adapt_spread", rate}},
                               {{"adapt", "true"}, {"tries", "16"}});
    };
    CHECK(best(-1) < best(kNever) + 0.1);
}

TEST_CASE("learned_jumps: the lengths of an adapting one gather where they succeed") {
    Lab lab = jumps({.optimizee = "rastrigin",
                     .options = {{"n", "1"}, {"family", "classic"}, {"bowl", "0.01"}, {"init_std", "100"}},
                     .instances = 16},
                    {{"jumps_first", 1},
                     {"jumps_last", 1},
                     {"log_temperature", kNever},
                     {"log_length", 0.1},
                     {"log_spread", -1.6},
                     {"log_cap", std::log(0.1)},
                     {"log_adapt", -2},
                     {"log_adapt_spread", -1}},
                    300,
                    {{"adapt", "true"}});
    const Lab::Run run = lab.run(300);
    const auto spread = [&](std::size_t first) {
        double count = 0, squares = 0;
        for (std::size_t p = 0; p < run.f[0].size(); ++p) {
            std::size_t best = 0;
            for (std::size_t t = 0; t < first + 20; ++t) {
                if (run.f[t][p] < run.f[best][p]) best = t;
                const double length = std::log(std::abs(run.x[t + 1][p] - run.x[best][p]));
                const bool is_step = length < std::log(0.11);
                if (t >= first && !is_step) ++count, squares += length * length;
            }
        }
        return std::sqrt(squares / count);  // about ln 1
    };
    CHECK(spread(0) > 0.15);
    CHECK(spread(280) < 0.015);
}

TEST_CASE("learned_jumps: it learns 9 numbers, adapting 11") {
    const auto numbers = [](const char* adapt) {
        return jumps(rastrigin("3"), {}, 10, {{"adapt", adapt}}).params().size();
    };
    CHECK(numbers("false") == 9);
    CHECK(numbers("true") == 11);
}

TEST_CASE("learned_jumps: f and g are charged once a step and particle") {
    const Lab::Run run = jumps(rastrigin("3"), {}, 100, {{"particles", "4"}}).run(50);
    CHECK(run.gradient_evaluations == 200);
    CHECK(run.value_evaluations == 200);
}

TEST_CASE("learned_jumps: every point lies in the box") {
    ProblemLab::Setup problem = rastrigin("3");
    problem.options["box"] = "0.5";
    for (const std::vector<double>& x : jumps(problem, {}, 100).run(100).x)
        CHECK(std::ranges::all_of(x, [](double value) { return std::abs(value) <= 0.5; }));
}

TEST_CASE("learned_jumps: a run of unknown length is refused, steps help") {
    CHECK_THROWS_WITH_AS(
        (void)jumps(rastrigin("3"), {}, 0),
        doctest::Contains(
            "the number of steps, which this method follows, is not known here; expected the option 'steps'"),
        l2o::framework::Error);
    CHECK_NOTHROW((void)jumps(rastrigin("3"), {}, 0, {{"steps", "100"}}));
}

TEST_CASE("learned_jumps: a budget tells how long a run is, too") {
    const ProblemLab problem(rastrigin("3"));
    const auto& entry = catalog().find(l2o::framework::Kind::kOptimizer, "learned_jumps");
    const auto create = [&](std::int64_t budget) {
        return l2o::framework::Optimizer(entry,
                                         l2o::framework::resolve_options(entry.component.options, {}, {}),
                                         l2o::framework::task_of(problem.optimizee(), 0, budget));
    };
    CHECK_NOTHROW((void)create(400));
    CHECK_THROWS_AS((void)create(0), l2o::framework::Error);
}
