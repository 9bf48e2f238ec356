#include <doctest/doctest.h>

#include <string>

#include "tests/plugins/matrix.hpp"
#include "tests/plugins/optimizers/linear_task.hpp"
#include "tests/plugins/optimizers/unrolled/problems.hpp"

using namespace l2o::test;

TEST_CASE("lfista: at the start 'fista' it is FISTA, to rounding") {
    const auto got =
        Lab({.optimizer = "lfista", .options = {{"start", "fista"}}, .problem = kSparse}).run(16).x;
    const auto want = Lab({.optimizer = "fista", .problem = kSparse}).run(16).x;
    for (std::size_t t = 0; t <= 16; ++t) CHECK(relative_error(got[t], want[t]) < 1e-11);
}

TEST_CASE("lfista: at the start 'reference' the momentum comes one layer early") {
    Lab early({.optimizer = "lfista", .options = {{"start", "reference"}}, .problem = kSmall});
    Lab fista({.optimizer = "lfista", .options = {{"start", "fista"}}, .problem = kSmall});
    // FISTA has momentum 0 from layer 1 on, then (t_2 - 1) / t_3 = 0.2817...
    const Eigen::MatrixXd s = matrix(fista.param("layer.01.Wg"));
    CHECK((matrix(fista.param("layer.01.Wm"))).norm() == 0);
    CHECK((matrix(early.param("layer.01.Wg")) - 1.28173 * s).norm() < 1e-4 * s.norm());
    CHECK((matrix(early.param("layer.01.Wg")) - matrix(fista.param("layer.02.Wg"))).norm() <
          1e-13 * s.norm());
    CHECK((matrix(early.param("layer.01.Wm")) + 0.28173 * s).norm() < 1e-4 * s.norm());
}

TEST_CASE("lfista: at its analytic start it is LISTA at its own") {
    for (const char* gamma : {"1", "0.4"}) {
        const OptionText options{{"gamma_start", gamma}};
        const auto got = Lab({.optimizer = "lfista", .options = options, .problem = kSparse}).run(16).x;
        const auto want = Lab({.optimizer = "lista", .options = options, .problem = kSparse}).run(16).x;
        for (std::size_t t = 0; t <= 16; ++t) CHECK(relative_error(got[t], want[t]) < 1e-12);
    }
}

TEST_CASE("lfista: step_vjp is the derivative of step in the first, second and a later layer") {
    Lab lab({.optimizer = "lfista", .options = {{"layers", "5"}, {"start", "fista"}}, .problem = kSmall});
    for (const std::int64_t t : {0, 1, 3}) {
        CAPTURE(t);
        CHECK(lab.step_vjp_error(t) < 1e-6);
    }
}

TEST_CASE("lfista: one We for all layers; Wg, Wm from layer 1 on; theta in every layer") {
    Lab lab({.optimizer = "lfista", .options = {{"layers", "3"}}, .problem = kSmall});
    std::string names;
    for (const auto* spec : lab.optimizer().params()) names += std::string(spec->name) + " ";
    CHECK(names ==
          "shared.We layer.00.theta layer.01.Wg layer.01.Wm layer.01.theta layer.02.Wg layer.02.Wm "
          "layer.02.theta ");
}
