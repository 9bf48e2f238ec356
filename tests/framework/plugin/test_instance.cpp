// Instances of plugins and the tasks they are bound to.
#include <doctest/doctest.h>

#include <cfenv>
#include <string>

#include "framework/cancel.hpp"
#include "framework/error.hpp"
#include "framework/float_control.hpp"
#include "framework/plugin/loss.hpp"
#include "framework/rollout/team.hpp"
#include "tests/support/lab.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;

template <class Action>
std::string refusal(Action&& action) {
    try {
        action();
    } catch (const Error& error) {
        CHECK(error.code() == ExitCode::kPlugin);
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("a scratch that is no amount of memory is refused") {
    CHECK(CallContext::scratch_bytes(64, 8, 3, "x") == 88);
    CHECK_THROWS_WITH(
        static_cast<void>(CallContext::scratch_bytes(0, std::uint64_t{1} << 62, 4, "optimizer 'x'")),
        "optimizer 'x' asks for 0 bytes of scratch and 4611686018427387904 for each of 4 rows; "
        "expected at most 70368744177664 in all");
    CHECK_THROWS_AS(static_cast<void>(CallContext::scratch_bytes(~std::uint64_t{0}, 0, 0, "x")), Error);
}

TEST_CASE("an optimizer that needs data which the problem lacks is refused in one sentence") {
    CHECK(
        refusal([] { const Lab lab({.optimizer = "lista", .problem = {.optimizee = "rotated_saddle"}}); }) ==
        "optimizer 'lista' needs the problem data 'A', which 'rotated_saddle' does not offer (it offers a, "
        "b)");
}

TEST_CASE("an optimizer is never offered a solution, a loss is") {
    const ProblemLab problem({.optimizee = "sparse_recovery", .options = {{"m", "4"}, {"n", "6"}}});
    const ComponentDescription optimizer{.kind = Kind::kOptimizer,
                                         .id = "cheat",
                                         .title = "",
                                         .doc = "",
                                         .tags = {},
                                         .needs = {{"x_star"}},
                                         .options = {}};
    Catalog::Entry entry = catalog().find(Kind::kOptimizer, "gradient_descent");
    entry.component.needs = optimizer.needs;
    CHECK(refusal([&] {
              const Optimizer cheat(
                  entry, resolve_options(entry.component.options, {}, {}), task_of(problem.optimizee(), 0));
          }) ==
          "optimizer 'gradient_descent' needs the problem data 'x_star', which 'sparse_recovery' does not "
          "offer "
          "(it offers A, b, lambda)");
    const Catalog::Entry& loss = catalog().find(Kind::kLoss, "mse_to_solution");
    const Loss mse(loss, resolve_options(loss.component.options, {}, {}), task_of(problem.optimizee(), 0));
    CHECK(mse.needs_solution());
    CHECK(mse.reads_x());
    CHECK_FALSE(mse.reads_f());
}

TEST_CASE("a loss that needs data which the problem lacks is refused in one sentence") {
    const ProblemLab problem({.optimizee = "rotated_saddle"});
    const Catalog::Entry& entry = catalog().find(Kind::kLoss, "mse_to_solution");
    CHECK(refusal([&] {
              const Loss loss(
                  entry, resolve_options(entry.component.options, {}, {}), task_of(problem.optimizee(), 0));
          }) ==
          "loss 'mse_to_solution' needs the problem data 'x_star', which 'rotated_saddle' does not offer (it "
          "offers a, b)");
}

TEST_CASE("a method's own refusal reaches the user with both names") {
    const std::string text = refusal(
        [] { const Lab lab({.optimizer = "gradient_descent", .problem = {.optimizee = "rotated_saddle"}}); });
    CHECK(text.starts_with("optimizer 'gradient_descent' on 'rotated_saddle': block 'v' is to be maximised"));
}

TEST_CASE("an optimizer that reads what the problem does not answer is refused in one sentence") {
    const ProblemLab::Setup values_only{.optimizee = "near_zero", .options = {{"gradients", "false"}}};
    CHECK(refusal([&] { const Lab lab({.optimizer = "gradient_descent", .problem = values_only}); }) ==
          "optimizer 'gradient_descent' on 'near_zero': it needs gradients, and 'near_zero' offers "
          "values; expected an optimizer or a problem that fits the other");
    CHECK(refusal([&] { const Lab lab({.optimizer = "nag", .problem = values_only}); }) ==
          "optimizer 'nag' on 'near_zero': this method asks for values or gradients at points of its "
          "own, and the problem does not answer such questions");
}

TEST_CASE("an optimizer that reads values alone is content with a problem that answers nothing else") {
    Lab lab({.optimizer = "particle_swarm",
             .problem = {.optimizee = "near_zero", .options = {{"gradients", "false"}}, .instances = 2}});
    CHECK(lab.optimizer().reads_f());
    CHECK_FALSE(lab.optimizer().reads_g());
    CHECK(lab.problem().objective() == std::vector<double>{1.5, 1.5});
}

TEST_CASE("a loss that reads gradients is refused on a problem that has none") {
    const ProblemLab problem({.optimizee = "near_zero", .options = {{"gradients", "false"}}});
    const Catalog::Entry& entry = catalog().find(Kind::kLoss, "jacobian_regularized");
    CHECK(refusal([&] {
              const Loss loss(
                  entry, resolve_options(entry.component.options, {}, {}), task_of(problem.optimizee(), 0));
          }) ==
          "loss 'jacobian_regularized' on 'near_zero': it reads gradients, and 'near_zero' has none; "
          "expected another loss");
}

TEST_CASE("start values of parameters repeat for a key and differ between keys") {
    Lab lab({.optimizer = "l2o_dm", .problem = {.optimizee = "quadratic"}});
    const auto init = [&](const Key& key) {
        std::vector<double> all;
        for (const Tensor& tensor : lab.optimizer().init_params(key, lab.problem().data())) {
            const auto part = values(tensor);
            all.insert(all.end(), part.begin(), part.end());
        }
        return all;
    };
    CHECK(init({1, 2}) == init({1, 2}));
    CHECK(init({1, 2}) != init({1, 3}));
    CHECK(init({1, 2}).size() == 5141);
}

TEST_CASE("start values that come from the data see the data") {
    Lab lab({.optimizer = "lista",
             .options = {{"start", "ista"}, {"layers", "3"}},
             .problem = {.optimizee = "sparse_recovery", .options = {{"m", "4"}, {"n", "6"}}}});
    const auto before = values(lab.param("shared.B"));
    Tensor& a = lab.problem().data("A");
    auto twice = values(a);
    for (double& value : twice) value *= 2;
    set_values(a, twice);
    // B = A^T / L, and L is quadratic in A.
    const auto params = lab.optimizer().init_params({1, 3}, lab.problem().data());
    auto half = before;
    for (double& value : half) value /= 2;
    CHECK(relative_error(values(params[0]), half) <= 1e-12);
}

TEST_CASE("instances [0, 8) and then [8, 16) of a split are [0, 16), and splits differ") {
    const ProblemLab problem({.optimizee = "quadratic", .options = {{"n", "3"}}});
    const Optimizee& quadratic = problem.optimizee();
    const auto draw = [&](Split split, std::uint64_t first, std::int64_t count) {
        return values(quadratic.sample({5, 6}, split, first, count, false).tensors.at(0));
    };
    auto parts = draw(Split::kTrain, 0, 8);
    const auto second = draw(Split::kTrain, 8, 8);
    parts.insert(parts.end(), second.begin(), second.end());
    CHECK(parts == draw(Split::kTrain, 0, 16));
    CHECK(draw(Split::kTest, 0, 8) != draw(Split::kTrain, 0, 8));
}

TEST_CASE("solutions are computed only when they are asked for") {
    const ProblemLab problem({.optimizee = "quadratic"});
    const Optimizee& quadratic = problem.optimizee();
    const std::size_t x_star = quadratic.data_index("x_star").value();
    CHECK_FALSE(quadratic.sample({5, 6}, Split::kTrain, 0, 2, false).tensors[x_star]);
    CHECK(quadratic.sample({5, 6}, Split::kTrain, 0, 2, true).tensors[x_star]);
}

TEST_CASE("every piece of parallel work computes to nearest and with denormal numbers, whatever others set") {
    const FloatControl own = FloatControl::now();
    REQUIRE(std::fesetround(FE_TOWARDZERO) == 0);
    std::vector<FloatControl> seen(4);
    Team(2).each(4, [&](std::int64_t i) {
        seen[static_cast<std::size_t>(i)] = FloatControl::now();
        _mm_setcsr(_mm_getcsr() | 0x8040U);
    });
    const int after = std::fegetround();
    const FloatControl control = FloatControl::now();
    own.set();
    CHECK(after == FE_TOWARDZERO);
    CHECK((control.sse & 0x8040U) == 0);
    for (const FloatControl& one : seen) CHECK(one == kStandardFloat);
}

TEST_CASE("parallel work: after a failure nothing is begun, and the first of the failures is told") {
    constexpr std::int64_t kAll = 1 << 20;
    for (const int threads : {1, 2}) {
        std::atomic<std::int64_t> begun{0};
        const auto failing = [&] {
            Team(threads).each(kAll, [&](std::int64_t i) {
                ++begun;
                throw std::runtime_error(std::to_string(i));
            });
        };
        CHECK_THROWS_WITH(failing(), "0");
        CHECK(begun <= threads);
        begun = 0;
        Team(threads).each(kAll, [&](std::int64_t) { ++begun; });
        CHECK(begun == kAll);
    }
}

TEST_CASE("drawing instances and starts in parts gives what drawing all of them gives, to the bit") {
    constexpr std::int64_t kAll = 2500, kBegin = 1500;
    const Key key{1, 2};
    for (const char* id : {"sparse_recovery", "quadratic"}) {
        CAPTURE(id);
        const ProblemLab problem({.optimizee = id});
        const Optimizee& optimizee = problem.optimizee();
        const ProblemData all = optimizee.sample(key, Split::kTest, 0, kAll, true),
                          begin = optimizee.sample(key, Split::kTest, 0, kBegin, true),
                          end = optimizee.sample(key, Split::kTest, kBegin, kAll - kBegin, true);
        const auto are_parts = [](const Tensor& whole, const Tensor& first, const Tensor& second) {
            std::vector<double> parts = values(first);
            const std::vector<double> more = values(second);
            parts.insert(parts.end(), more.begin(), more.end());
            return values(whole) == parts;
        };
        for (std::size_t i = 0; i < all.tensors.size(); ++i) {
            const std::string name = optimizee.data()[i]->name;
            CAPTURE(name);
            if (has(*optimizee.data()[i], L2O_SPEC_BATCHED)) {
                CHECK(are_parts(all.tensors[i], begin.tensors[i], end.tensors[i]));
            } else {
                CHECK(values(all.tensors[i]) == values(begin.tensors[i]));
            }
        }
        CHECK(are_parts(optimizee.init_point(key, 7, all)[0],
                        optimizee.init_point(key, 7, begin)[0],
                        optimizee.init_point(key, 7 + kBegin, end)[0]));
    }
}

TEST_CASE("drawing many instances, or their starts, can be interrupted") {
    const ProblemLab problem({.optimizee = "quadratic"});
    const Optimizee& optimizee = problem.optimizee();
    const ProblemData many = optimizee.sample({1, 2}, Split::kTest, 0, 2500, false);
    const auto interrupted = [](auto&& work) {
        cancel_flag() = 1;
        std::string text;
        try {
            work();
        } catch (const Error& error) {
            CHECK(error.code() == ExitCode::kInterrupted);
            text = error.what();
        }
        cancel_flag() = 0;
        return text;
    };
    const std::string expected = "drawing instances of 'quadratic' was interrupted";
    CHECK(interrupted([&] { (void)optimizee.sample({1, 2}, Split::kTest, 0, 2500, false); }) == expected);
    CHECK(interrupted([&] { (void)optimizee.init_point({1, 2}, 0, many); }) == expected);
    CHECK(interrupted([&] { (void)optimizee.sample({1, 2}, Split::kTest, 0, 100, false); }).empty());
}
