#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/plugins/optimizers/linear_task.hpp"
#include "tests/plugins/optimizers/unrolled/problems.hpp"

namespace {

using namespace l2o::test;

double mean_nmse_db(Lab& lab, const std::vector<double>& x) {
    set_values(lab.problem().x()[0], x);
    const auto nmse = lab.problem().metric("nmse_db");
    return std::accumulate(nmse.begin(), nmse.end(), 0.0) / double(nmse.size());
}

}  // namespace

TEST_CASE("lista: at its start 'ista' all 16 layers are the steps of ISTA, to 1e-12") {
    const auto want = Lab({.optimizer = "ista", .problem = kSparse}).run(16).x;
    const auto got =
        Lab({.optimizer = "lista", .options = {{"start", "ista"}}, .problem = kSparse}).run(16).x;
    for (std::size_t t = 0; t <= 16; ++t)
        for (std::size_t i = 0; i < want[t].size(); ++i) CHECK(std::abs(got[t][i] - want[t][i]) <= 1e-12);
}

TEST_CASE("lista: lambda_init replaces the lambda of the problem in the thresholds of that start") {
    Lab ista({.optimizer = "ista", .problem = kSparse});
    Lab lista(
        {.optimizer = "lista", .options = {{"start", "ista"}, {"lambda_init", "0.4"}}, .problem = kSparse});
    const double want = 0.4 / ista.param("const.L").value(0);
    for (const char* theta : {"layer.00.theta", "layer.15.theta"})
        CHECK(lista.param(theta).value(0) == doctest::Approx(want).epsilon(1e-14));
    set_values(ista.problem().data("lambda"), {0.4});
    CHECK(relative_error(lista.run(16).x[16], ista.run(16).x[16]) < 1e-12);
}

TEST_CASE("lista: untrained, 16 layers recover the survey's signals to -28 dB, where ISTA is at -5 dB") {
    const ProblemLab::Setup survey{.optimizee = "sparse_recovery", .instances = 64, .dtype = Dtype::kF32};
    Lab analytic({.optimizer = "lista", .problem = survey});
    CHECK(mean_nmse_db(analytic, analytic.run(16).x[16]) < -28);
    Lab ista({.optimizer = "lista", .options = {{"start", "ista"}}, .problem = survey});
    CHECK(mean_nmse_db(ista, ista.run(16).x[16]) > -8);
}

TEST_CASE("lista: step_vjp is the derivative of step in the first and in a later layer") {
    for (const char* start : {"analytic", "ista"}) {
        Lab lab({.optimizer = "lista", .options = {{"start", start}, {"layers", "5"}}, .problem = kSmall});
        const auto b = values(lab.problem().data("b"));
        REQUIRE(std::search_n(b.begin(), b.end(), 6, 0.0) != b.end());  // a row without a signal
        CHECK(lab.step_vjp_error(0) < 1e-6);
        CHECK(lab.step_vjp_error(3) < 1e-6);
    }
}

TEST_CASE("lista: a negative threshold moves the pre-activation away from 0, with its derivative") {
    Lab lab({.optimizer = "lista", .options = {{"layers", "2"}}, .problem = kSmall});
    set_values(lab.param("layer.00.theta"), {0});
    const auto z = lab.run(1).x[1];
    set_values(lab.param("layer.00.theta"), {-0.25});
    const auto x = lab.run(1).x[1];
    for (std::size_t i = 0; i < z.size(); ++i)
        CHECK(x[i] == doctest::Approx(z[i] == 0 ? 0 : z[i] + std::copysign(0.25, z[i])).epsilon(1e-14));
    CHECK(lab.step_vjp_error(0) < 1e-6);
}

TEST_CASE("lista: parameters have the names, shapes and layers of the published checkpoints") {
    Lab lab({.optimizer = "lista", .options = {{"layers", "11"}}, .problem = kSmall});
    const auto& specs = lab.optimizer().params();
    REQUIRE(specs.size() == 1 + 10 + 11);  // there is no S in layer 00: x_0 = 0
    const auto is = [&](std::size_t i, const char* name, const l2o::Shape& shape, int layer) {
        return specs[i]->name == std::string(name) && l2o::shape_of(*specs[i]) == shape &&
               specs[i]->layer == layer && !has(*specs[i], L2O_SPEC_DERIVED);
    };
    CHECK(is(0, "shared.B", {10, 6}, 0));
    CHECK(is(1, "layer.00.theta", {}, 0));
    CHECK(is(2, "layer.01.S", {10, 10}, 1));
    CHECK(is(3, "layer.01.theta", {}, 1));
    CHECK(is(20, "layer.10.S", {10, 10}, 10));
    CHECK(is(21, "layer.10.theta", {}, 10));
    CHECK((lab.optimizer().info().flags & L2O_OPTIMIZER_PARAMS_BY_PROBLEM) != 0);
}

TEST_CASE("lista: has as many steps as layers, starts at 0, and says so") {
    Lab lab({.optimizer = "lista", .options = {{"layers", "5"}}, .problem = kSmall});
    CHECK(lab.optimizer().info().max_steps == 5);
    CHECK((lab.optimizer().info().flags & L2O_OPTIMIZER_STARTS_AT_ZERO) != 0);
    CHECK_THROWS_WITH(
        lab.run(6),
        doctest::Contains("step 6 was asked of a network of 5 layers; raise 'layers' or take fewer steps"));
}

TEST_CASE("lista: the start 'ista' needs a lambda, from the problem or from lambda_init") {
    const LinearTask task{.has_lambda = false};
    CHECK(refusal("lista", task) == "");
    CHECK(refusal("lista", task, {{"start", "ista"}, {"lambda_init", "0.1"}}) == "");
    CHECK(refusal("lista", task, {{"start", "ista"}}) ==
          "optimizer 'lista' on 'task': the problem has no lambda for the thresholds lambda / L to start "
          "from; set "
          "lambda_init");
}
