#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "tests/plugins/matrix.hpp"
#include "tests/plugins/optimizers/linear_task.hpp"

namespace {

using namespace l2o::test;

const ProblemLab::Setup kLasso{.optimizee = "lasso", .options = {{"m", "12"}, {"n", "30"}}, .instances = 6};

}  // namespace

TEST_CASE("step_lista: before training it is ISTA, to rounding") {
    const auto got = Lab({.optimizer = "step_lista", .problem = kLasso}).run(16).x;
    const auto want = Lab({.optimizer = "ista", .problem = kLasso}).run(16).x;
    for (std::size_t t = 0; t <= 16; ++t) CHECK(relative_error(got[t], want[t]) < 1e-12);
}

TEST_CASE("step_lista: a step and its threshold lambda gamma go together") {
    Lab lab({.optimizer = "step_lista", .options = {{"layers", "1"}}, .problem = kLasso});
    set_values(lab.param("layer.00.gamma"), {0.25});
    const Eigen::MatrixXd z = 0.25 * matrix(lab.problem().data("b")) * matrix(lab.problem().data("A"));
    const auto x = lab.run(1).x[1];
    for (Eigen::Index r = 0; r < z.rows(); ++r)
        for (Eigen::Index i = 0; i < z.cols(); ++i) {
            const double want = std::copysign(std::max(std::abs(z(r, i)) - 0.005 * 0.25, 0.0), z(r, i));
            CHECK(x[std::size_t(r * z.cols() + i)] == doctest::Approx(want).epsilon(1e-12));
        }
}

TEST_CASE("step_lista: step_vjp is the derivative of step in the first and in a later layer") {
    Lab lab({.optimizer = "step_lista", .options = {{"layers", "5"}}, .problem = kLasso});
    CHECK(lab.step_vjp_error(0) < 1e-6);
    CHECK(lab.step_vjp_error(3) < 1e-6);
}

TEST_CASE("step_lista: one number per layer is learned, and a problem without lambda is refused") {
    Lab lab({.optimizer = "step_lista", .problem = kLasso});
    REQUIRE(lab.optimizer().params().size() == 16);
    CHECK(lab.optimizer().params()[15]->name == std::string("layer.15.gamma"));
    CHECK(lab.optimizer().params()[15]->ndim == 0);
    CHECK(refusal("step_lista", {.has_lambda = false}).find("set lambda_init") != std::string::npos);
}
