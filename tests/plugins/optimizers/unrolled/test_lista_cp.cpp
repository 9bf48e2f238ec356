#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "tests/plugins/matrix.hpp"
#include "tests/plugins/optimizers/linear_task.hpp"
#include "tests/plugins/optimizers/unrolled/problems.hpp"

using namespace l2o::test;

TEST_CASE("lista_cp: at the start 'ista' it is ISTA, to rounding") {
    const auto got =
        Lab({.optimizer = "lista_cp", .options = {{"start", "ista"}}, .problem = kSparse}).run(16).x;
    const auto want = Lab({.optimizer = "ista", .problem = kSparse}).run(16).x;
    for (std::size_t t = 0; t <= 16; ++t) CHECK(relative_error(got[t], want[t]) < 1e-12);
}

TEST_CASE("lista_cp: at its analytic start it is LISTA at its own, S = I - W^T A") {
    for (const char* gamma : {"1", "0.4"}) {
        const OptionText options{{"gamma_start", gamma}};
        const auto want = Lab({.optimizer = "lista", .options = options, .problem = kSparse}).run(16).x;
        for (const char* gains : {"false", "true"}) {
            OptionText own = options;
            own["gains"] = gains;
            const auto got = Lab({.optimizer = "lista_cp", .options = own, .problem = kSparse}).run(16).x;
            for (std::size_t t = 0; t <= 16; ++t) CHECK(relative_error(got[t], want[t]) < 1e-11);
        }
    }
}

TEST_CASE("lista_cp: at the start 'reference' W is A itself, and the untrained network diverges") {
    Lab lab({.optimizer = "lista_cp", .options = {{"start", "reference"}}, .problem = kSparse});
    CHECK(matrix(lab.param("layer.05.W")) == matrix(lab.problem().data("A")));
    const auto x = lab.run(16).x;
    double first = 0, last = 0;
    for (std::size_t i = 0; i < x[1].size(); ++i) {
        first = std::max(first, std::abs(x[1][i]));
        last = std::max(last, std::abs(x[16][i]));
    }
    CHECK(last > 1e3 * first);
}

TEST_CASE("lista_cp: step_vjp is the derivative of step in the first and in a later layer, tied and not") {
    for (const char* tied : {"false", "true"}) {
        CAPTURE(tied);
        Lab lab({.optimizer = "lista_cp", .options = {{"layers", "5"}, {"tied", tied}}, .problem = kSmall});
        set_values(lab.param("layer.03.theta"), {0.05});
        CHECK(lab.step_vjp_error(0) < 1e-6);
        CHECK(lab.step_vjp_error(3) < 1e-6);
    }
}

TEST_CASE("lista_cp: has one W and theta per layer, tied one W for all and gamma and theta per layer") {
    Lab own({.optimizer = "lista_cp", .options = {{"layers", "3"}}, .problem = kSmall});
    REQUIRE(own.optimizer().params().size() == 6);
    CHECK(own.optimizer().params()[4]->name == std::string("layer.02.W"));
    CHECK(own.optimizer().params()[4]->layer == 2);
    CHECK(own.optimizer().params()[5]->name == std::string("layer.02.theta"));
    Lab tied({.optimizer = "lista_cp", .options = {{"layers", "3"}, {"tied", "true"}}, .problem = kSmall});
    REQUIRE(tied.optimizer().params().size() == 7);
    CHECK(tied.optimizer().params()[0]->name == std::string("shared.W"));
    CHECK(tied.optimizer().params()[5]->name == std::string("layer.02.gamma"));
}

TEST_CASE("lista_cp: tied, gamma multiplies the correction") {
    Lab lab({.optimizer = "lista_cp", .options = {{"layers", "1"}, {"tied", "true"}}, .problem = kSmall});
    set_values(lab.param("layer.00.gamma"), {0.5});
    set_values(lab.param("layer.00.theta"), {0});
    const Eigen::MatrixXd want = 0.5 * matrix(lab.problem().data("b")) * matrix(lab.param("shared.W"));
    const auto x = lab.run(1).x[1];
    for (Eigen::Index r = 0; r < want.rows(); ++r)
        for (Eigen::Index i = 0; i < want.cols(); ++i)
            CHECK(x[std::size_t(r * want.cols() + i)] == doctest::Approx(want(r, i)).epsilon(1e-12));
}

TEST_CASE("lista_cp: a problem without lambda needs lambda_init for the starts that use it") {
    const LinearTask task{.has_lambda = false};
    CHECK(refusal("lista_cp", task) == "");
    CHECK(refusal("lista_cp", task, {{"start", "ista"}}).find("set lambda_init") != std::string::npos);
    CHECK(refusal("lista_cp", task, {{"start", "ista"}, {"lambda_init", "0.4"}}) == "");
}
