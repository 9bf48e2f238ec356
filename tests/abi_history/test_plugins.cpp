// Plugins of another age of the ABI (the first folder of L2O_PLUGIN_PATH) in the host of today.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "framework/error.hpp"
#include "framework/plugin/library.hpp"
#include "framework/plugin/loss.hpp"
#include "tests/support/lab.hpp"

namespace {

using namespace l2o::framework;
using l2o::test::Lab, l2o::test::ProblemLab, l2o::test::relative_error, l2o::test::values;

constexpr double kCurvature = 2, kRate = 0.25;  // of plugin.c

}  // namespace

TEST_CASE("abi history: an optimizee answers as its formula says, and what it does not know is zero") {
    ProblemLab lab({.optimizee = "bowl"});
    const Optimizee& bowl = lab.optimizee();
    CHECK(bowl.info().cost_value == 0);
    CHECK(bowl.info().cost_prox == 0);
    CHECK(bowl.info().answers == 15);
    REQUIRE(bowl.blocks().size() == 1);
    CHECK(bowl.blocks()[0]->lower == -9);
    CHECK(bowl.blocks()[0]->upper == 9);
    REQUIRE(bowl.data().size() == 2);
    CHECK(bowl.data()[0]->lower == 0);
    CHECK(bowl.data()[0]->upper == 0);
    const std::vector<double> x = values(lab.x()[0]), b = values(lab.data("b"));
    const std::vector<double> u = lab.prox(0.5)[0], f = lab.objective(), distance = lab.metric("distance");
    for (std::size_t i = 0; i < x.size(); ++i)
        CHECK(u[i] == doctest::Approx((x[i] + kCurvature * 0.5 * b[i]) / (1 + kCurvature * 0.5)));
    for (std::size_t i = 0; i < f.size(); ++i)
        CHECK(f[i] == doctest::Approx(kCurvature / 2 * distance[i] * distance[i]));
    CHECK(lab.gradient_error() < 1e-8);
    CHECK(lab.hvp_error() < 1e-8);
}

TEST_CASE("abi history: an optimizer steps, has a derivative, and what it does not know is zero") {
    Lab lab({.optimizer = "slope", .problem = {.optimizee = "bowl"}});
    CHECK(lab.optimizer().info().max_steps == 0);
    CHECK(lab.optimizer().info().points_per_step == 0);
    REQUIRE(lab.optimizer().vjp() != nullptr);
    CHECK((lab.optimizer().vjp()->init_state_vjp == nullptr));
    CHECK(lab.step_vjp_error() < 1e-8);
    const std::vector<double> b = values(lab.problem().data("b"));
    const Lab::Run run = lab.run(5);
    std::vector<double> want = run.x[0];
    for (std::size_t i = 0; i < want.size(); ++i)
        want[i] = b[i] + std::pow(1 - kRate * kCurvature, 5) * (want[i] - b[i]);
    CHECK(relative_error(run.x[5], want) < 1e-14);
}

TEST_CASE("abi history: an optimizer asks, goes to the point that it asked for, and ends its rows") {
    Lab lab({.optimizer = "trial", .problem = {.optimizee = "bowl"}});
    const Lab::Run run = lab.run(60);
    // s = 3 and 1.5 are refused, s = 0.75 goes to b + (1 - 0.75 * 2) (x - b), a quarter of f.
    for (std::size_t row = 0; row < 4; ++row) {
        CHECK(run.f[1][row] == run.f[0][row]);
        CHECK(run.f[2][row] == run.f[0][row]);
        CHECK(run.f[3][row] == doctest::Approx(run.f[0][row] / 4));
        CHECK(run.f[60][row] < 1e-20);
    }
    CHECK(run.x[60] == run.x[59]);
    CHECK(run.value_evaluations < 60);
}

TEST_CASE("abi history: a loss scores and has a derivative") {
    const ProblemLab problem({.optimizee = "bowl"});
    const Catalog::Entry& entry = l2o::test::catalog().find(Kind::kLoss, "last");
    const Loss loss(entry, resolve_options(entry.component.options, {}, {}), task_of(problem.optimizee(), 0));
    CHECK(loss.reads_f());
    CHECK_FALSE(loss.is_additive());
    Tensor f(Dtype::kF64, {3, 2}), score(Dtype::kF64, {2}), acc(Dtype::kF64, {3, 2});
    l2o::test::set_values(f, {1, 2, 3, 4, 5, 6});
    const l2o_trajectory trajectory{.batch = 2,
                                    .particles = 0,
                                    .t0 = 0,
                                    .len = 3,
                                    .horizon = 2,
                                    .f = f.abi(),
                                    .x = nullptr,
                                    .g = nullptr,
                                    .data = nullptr};
    const l2o_trajectory_acc accumulators{.f = acc.abi(), .x = nullptr, .g = nullptr};
    CallContext call;
    call.check(loss.api().eval(loss.raw(), call.plain(), &trajectory, score.abi()), "eval");
    CHECK(values(score) == std::vector<double>{5, 6});
    call.check(loss.api().vjp(loss.raw(), call.plain(), &trajectory, score.abi(), &accumulators), "vjp");
    CHECK(values(acc) == std::vector<double>{0, 0, 0, 0, 5, 6});
}

TEST_CASE("abi history: a table that ends before what it cannot do without is refused") {
    const auto refusal = [](const std::string& name) {
        const std::string path = L2O_ABI_HISTORY "/cut/" + name + ".so";
        try {
            static_cast<void>(load_library(path));
        } catch (const Error& error) {
            CHECK(error.code() == ExitCode::kPlugin);
            return std::string(error.what()).substr(("plugin '" + path + "': ").size());
        }
        return std::string();
    };
    CHECK(refusal("component") == "component 'bowl' has no table of functions");
    CHECK(refusal("optimizee_api") == "component 'bowl' leaves a mandatory function NULL");
    CHECK(refusal("optimizer_api") == "component 'slope' leaves a mandatory function NULL");
    CHECK(refusal("loss_api") == "component 'last' leaves a mandatory function NULL");
}

TEST_CASE("abi history: bounds that lie behind where a spec ends are not read, and are 0") {
    const Catalog cut(std::vector<std::filesystem::path>{L2O_ABI_HISTORY "/cut"});
    const Catalog::Entry& entry = cut.find(Kind::kOptimizee, "bowl");
    const Optimizee bowl(entry, resolve_options(entry.component.options, {}, {}), Dtype::kF64);
    CHECK(has(*bowl.blocks()[0], L2O_SPEC_BOUNDED));
    CHECK(bowl.blocks()[0]->lower == 0);
    CHECK(bowl.blocks()[0]->upper == 0);
}
