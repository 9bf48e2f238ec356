#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "tests/plugins/matrix.hpp"
#include "tests/plugins/optimizers/linear_task.hpp"
#include "tests/plugins/optimizers/unrolled/problems.hpp"

using namespace l2o::test;

TEST_CASE("lista_cpss: untrained, 16 layers recover the survey's signals to better than -70 dB per sample") {
    Lab lab({.optimizer = "lista_cpss", .problem = {.optimizee = "sparse_recovery", .instances = 128}});
    set_values(lab.problem().x()[0], lab.run(16).x.back());
    const auto nmse = lab.problem().metric("nmse_db");
    CHECK(std::accumulate(nmse.begin(), nmse.end(), 0.0) / double(nmse.size()) < -70);
}

TEST_CASE("lista_cpss: at its analytic start it is ALISTA at its own") {
    const auto got = Lab({.optimizer = "lista_cpss", .problem = kSparse}).run(16).x;
    const auto want = Lab({.optimizer = "alista", .problem = kSparse}).run(16).x;
    for (std::size_t t = 0; t <= 16; ++t) CHECK(relative_error(got[t], want[t]) < 1e-12);
}

TEST_CASE("lista_cpss: without support selection it is LISTA-CP") {
    const OptionText none{{"support_max", "0"}, {"theta_ratio", "0.75"}};
    const auto got = Lab({.optimizer = "lista_cpss", .options = none, .problem = kSparse}).run(16).x;
    const auto want = Lab({.optimizer = "lista_cp", .problem = kSparse}).run(16).x;
    for (std::size_t t = 0; t <= 16; ++t) CHECK(relative_error(got[t], want[t]) < 1e-12);
}

TEST_CASE("lista_cpss: step_vjp is the derivative of step, also in rows without a signal") {
    for (const char* percent : {"1.2", "20"}) {
        const OptionText options{{"layers", "5"}, {"support_per_layer", percent}, {"support_max", percent}};
        Lab lab({.optimizer = "lista_cpss", .options = options, .problem = kSmall});
        const auto b = values(lab.problem().data("b"));
        REQUIRE(std::search_n(b.begin(), b.end(), 6, 0.0) != b.end());
        set_values(lab.param("layer.03.theta"), {0.05});
        CHECK(lab.step_vjp_error(0) < 1e-6);
        CHECK(lab.step_vjp_error(3) < 1e-6);
    }
}
