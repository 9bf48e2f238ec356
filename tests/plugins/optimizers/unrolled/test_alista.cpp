#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>

#include "tests/plugins/matrix.hpp"
#include "tests/plugins/optimizers/linear_task.hpp"
#include "tests/plugins/optimizers/unrolled/problems.hpp"

namespace {

using namespace l2o::test;

/// More than four unknowns per measurement: without the matrix S.
const ProblemLab::Setup kWide{
    .optimizee = "sparse_recovery", .options = {{"m", "16"}, {"n", "80"}}, .instances = 8};
const ProblemLab::Setup kSmallWide{
    .optimizee = "sparse_recovery", .options = {{"m", "3"}, {"n", "14"}}, .instances = 12};

bool has_s(Lab& lab) {
    return std::ranges::any_of(lab.optimizer().params(),
                               [](const l2o_spec* spec) { return std::string(spec->name) == "const.S"; });
}

/// Mean over the instances of the NMSE in dB, at the last of `steps` points.
double nmse_db(const OptionText& options, const ProblemLab::Setup& problem, std::int64_t steps) {
    Lab lab({.optimizer = "alista", .options = options, .problem = problem});
    set_values(lab.problem().x()[0], lab.run(steps).x.back());
    const auto nmse = lab.problem().metric("nmse_db");
    return std::accumulate(nmse.begin(), nmse.end(), 0.0) / double(nmse.size());
}

}  // namespace

TEST_CASE("alista: untrained, 16 layers recover the survey's signals to better than -70 dB per sample") {
    const ProblemLab::Setup survey{.optimizee = "sparse_recovery", .instances = 128};
    CHECK(nmse_db({}, survey, 16) < -70);
    CHECK(nmse_db({{"start", "reference"}, {"lambda_init", "0.4"}}, survey, 16) > -20);
    auto noisy = survey;
    noisy.options["snr_db"] = "20";
    CHECK(nmse_db({{"theta_ratio", "0.9"}}, noisy, 16) < -18);
}

TEST_CASE("alista: three layers equal the equations evaluated by hand, with the matrix S and without") {
    for (const ProblemLab::Setup& problem : {kSparse, kWide}) {
        const OptionText options{{"support_per_layer", "3"}, {"support_max", "5"}};
        Lab lab({.optimizer = "alista", .options = options, .problem = problem});
        CHECK(has_s(lab) == (problem.options.at("m") == "40"));
        set_values(lab.param("layer.00.gamma"), {0.9});
        set_values(lab.param("layer.01.gamma"), {1.2});
        set_values(lab.param("layer.02.gamma"), {0.7});
        const Eigen::MatrixXd a = matrix(lab.problem().data("A")), b = matrix(lab.problem().data("b"));
        const Eigen::MatrixXd w = matrix(lab.param("const.W"));

        Eigen::MatrixXd x = Eigen::MatrixXd::Zero(8, 80);
        const double gamma[] = {0.9, 1.2, 0.7}, theta[] = {0.6, 0.6 * 0.7, 0.6 * 0.7 * 0.7};
        const int kept[] = {2, 4, 4};  // 3 % and 5 % of 79, rounded to the nearest
        const auto got = lab.run(3).x;
        for (int k = 0; k < 3; ++k) {
            const Eigen::MatrixXd z = x + gamma[k] * (b - x * a.transpose()) * w;
            for (Eigen::Index r = 0; r < 8; ++r) {
                std::vector<double> magnitude(80);
                for (Eigen::Index i = 0; i < 80; ++i) magnitude[std::size_t(i)] = std::abs(z(r, i));
                std::ranges::sort(magnitude, std::greater<>{});
                for (Eigen::Index i = 0; i < 80; ++i) {
                    const double size = std::abs(z(r, i));
                    const bool is_kept = size > theta[k] && size > magnitude[std::size_t(kept[k])];
                    x(r, i) = is_kept ? z(r, i) : std::copysign(std::max(size - theta[k], 0.0), z(r, i));
                    CHECK(got[std::size_t(k) + 1][std::size_t(r * 80 + i)] ==
                          doctest::Approx(x(r, i)).epsilon(1e-12));
                }
            }
        }
    }
}

TEST_CASE("alista: an instance alone has the iterates that it has in a batch, to rounding") {
    for (const ProblemLab::Setup& setup : {kSparse, kWide}) {
        for (const Dtype dtype : {Dtype::kF32, Dtype::kF64}) {
            ProblemLab::Setup batch = setup, alone = setup;
            batch.dtype = alone.dtype = dtype;
            alone.instances = 1;
            const auto want = Lab({.optimizer = "alista", .problem = batch}).run(16).x;
            const auto got = Lab({.optimizer = "alista", .problem = alone}).run(16).x;
            for (std::size_t t = 0; t <= 16; ++t)
                CHECK(relative_error(got[t], {want[t].begin(), want[t].begin() + 80}) <
                      (dtype == Dtype::kF32 ? 1e-5 : 1e-13));
        }
    }
}

TEST_CASE("alista: without support selection it is LISTA at its analytic start") {
    OptionText options{{"theta_ratio", "0.75"}, {"gamma_start", "0.8"}};
    const auto want = Lab({.optimizer = "lista", .options = options, .problem = kSparse}).run(16).x;
    options["support_max"] = "0";
    const auto got = Lab({.optimizer = "alista", .options = options, .problem = kSparse}).run(16).x;
    for (std::size_t t = 0; t <= 16; ++t) CHECK(relative_error(got[t], want[t]) < 1e-11);
}

TEST_CASE("alista: step_vjp is the derivative of step in the first, in a later and in the last layer") {
    for (const ProblemLab::Setup& problem : {kSmall, kSmallWide}) {
        for (const char* percent : {"1.2", "20"}) {
            const OptionText options{
                {"layers", "5"}, {"support_per_layer", percent}, {"support_max", percent}};
            Lab lab({.optimizer = "alista", .options = options, .problem = problem});
            CHECK(has_s(lab) == (problem.options.at("m") == "6"));
            const auto b = values(lab.problem().data("b"));
            const int m = std::stoi(problem.options.at("m"));
            REQUIRE(std::search_n(b.begin(), b.end(), m, 0.0) != b.end());  // a row without a signal
            set_values(lab.param("layer.03.gamma"), {0.8});
            set_values(lab.param("layer.03.theta"), {0.05});
            for (const int layer : {0, 3, 4}) CHECK(lab.step_vjp_error(layer) < 1e-6);
        }
    }
}

TEST_CASE("alista: W is a buffer with w_j . a_j = 1; two numbers per layer are learned, whatever the sizes") {
    Lab lab({.optimizer = "alista", .problem = kSmall});
    const Eigen::MatrixXd product =
        matrix(lab.param("const.W")).transpose() * matrix(lab.problem().data("A"));
    for (Eigen::Index j = 0; j < 10; ++j) CHECK(product(j, j) == doctest::Approx(1).epsilon(1e-12));

    const auto& specs = lab.optimizer().params();
    REQUIRE(specs.size() == 3 + 32);
    for (std::size_t i = 0; i < 3; ++i) CHECK(has(*specs[i], L2O_SPEC_DERIVED));
    for (std::size_t k = 0; k < 16; ++k) {
        const std::string layer = (k < 10 ? "layer.0" : "layer.") + std::to_string(k);
        for (std::size_t i : {0, 1}) {
            const l2o_spec& spec = *specs[3 + 2 * k + i];
            CHECK(spec.name == layer + (i == 0 ? ".gamma" : ".theta"));
            CHECK(spec.ndim == 0);
            CHECK(spec.layer == int(k));
            CHECK(!has(spec, L2O_SPEC_DERIVED));
        }
    }
    CHECK((lab.optimizer().info().flags & L2O_OPTIMIZER_PARAMS_BY_PROBLEM) == 0);
}

TEST_CASE("alista: the start 'reference' has gamma = 1 and theta = lambda / L") {
    Lab lab({.optimizer = "alista", .options = {{"start", "reference"}}, .problem = kSmall});
    const double l = Lab({.optimizer = "ista", .problem = kSmall}).param("const.L").value(0);
    CHECK(lab.param("layer.07.gamma").value(0) == 1);
    CHECK(lab.param("layer.07.theta").value(0) == doctest::Approx(0.1 / l).epsilon(1e-14));
}

TEST_CASE("alista: more measurements than unknowns need a ridge for W, and the message says so") {
    const ProblemLab::Setup tall{
        .optimizee = "sparse_recovery", .options = {{"m", "12"}, {"n", "6"}}, .instances = 2};
    CHECK_THROWS_WITH(Lab({.optimizer = "alista", .problem = tall}),
                      doctest::Contains("A A^T is singular to working precision (A is 12 x 6)"));
    CHECK_NOTHROW(Lab({.optimizer = "alista", .options = {{"ridge", "1e-3"}}, .problem = tall}));
}

TEST_CASE("alista: has as many steps as layers, starts at 0, and says so") {
    Lab lab({.optimizer = "alista", .options = {{"layers", "3"}}, .problem = kSmall});
    CHECK(lab.optimizer().info().max_steps == 3);
    CHECK((lab.optimizer().info().flags & L2O_OPTIMIZER_STARTS_AT_ZERO) != 0);
    CHECK_THROWS_WITH(
        lab.run(4),
        doctest::Contains("step 4 was asked of a network of 3 layers; raise 'layers' or take fewer steps"));
}
