#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "tests/plugins/optimizers/linear_task.hpp"
#include "tests/plugins/optimizers/unrolled/by_hand.hpp"
#include "tests/plugins/optimizers/unrolled/problems.hpp"

namespace {

using namespace l2o::test;

Eigen::MatrixXd layer_by_hand(Lab& lab, int k, const Eigen::MatrixXd& x, bool is_eta) {
    const Eigen::MatrixXd a = wide(lab.problem().data("A")), b = wide(lab.problem().data("b"));
    const Eigen::MatrixXd w1 = wide(lab.param("shared.W1")), w2 = wide(lab.param("shared.W2"));
    const double gamma = lab.param(layer_param(k, "gamma")).value(0);
    const double theta =
        is_eta ? lab.param(layer_param(k, "eta")).value(0) * lab.problem().data("lambda").value(0)
               : lab.param(layer_param(k, "theta")).value(0);
    Eigen::MatrixXd next = x;
    for (Eigen::Index r = 0; r < x.rows(); ++r) {
        const Eigen::VectorXd x_r = x.row(r), b_r = b.row(r);
        const Eigen::VectorXd z =
            x_r - gamma * (w2 * a).transpose() * (w2 * a * x_r) + gamma * (w1 * a).transpose() * b_r;
        for (Eigen::Index i = 0; i < x.cols(); ++i) next(r, i) = soft_by_hand(z(i), theta);
    }
    return next;
}

}  // namespace

TEST_CASE("ada_lista: every layer is the paper's equation, in both element types, with theta and with eta") {
    for (const bool is_eta : {false, true})
        for (const auto dtype : {Dtype::kF64, Dtype::kF32}) {
            auto problem = kSparse;
            problem.dtype = dtype;
            Lab lab({.optimizer = "ada_lista",
                     .options = {{"layers", "5"}, {"threshold", is_eta ? "eta" : "theta"}},
                     .problem = problem});
            shake(lab, 0.05);
            const double error = layer_error(
                lab, 5, [&](int k, const Eigen::MatrixXd& x) { return layer_by_hand(lab, k, x, is_eta); });
            CHECK(error < (dtype == Dtype::kF64 ? 1e-11 : 1e-5));
        }
}

TEST_CASE("ada_lista: at the start 'ista' it is ISTA, to rounding, with theta and with eta") {
    const auto want = Lab({.optimizer = "ista", .problem = kSparse}).run(16).x;
    for (const char* threshold : {"theta", "eta"}) {
        const OptionText options{{"start", "ista"}, {"threshold", threshold}};
        const auto got = Lab({.optimizer = "ada_lista", .options = options, .problem = kSparse}).run(16).x;
        for (std::size_t t = 0; t <= 16; ++t) CHECK(relative_error(got[t], want[t]) < 1e-12);
    }
}

TEST_CASE("ada_lista: at its analytic start it is LISTA-CP with the symmetric weight of A") {
    const Lab::Setup setup{.optimizer = "ada_lista", .problem = kSparse};
    Lab ada(setup);
    const Eigen::MatrixXd a = wide(ada.problem().data("A"));
    const Eigen::MatrixXd w = wide(ada.param("shared.W1")) * a;
    for (Eigen::Index j = 0; j < 80; ++j) CHECK(w.col(j).dot(a.col(j)) == doctest::Approx(1).epsilon(1e-10));
    Lab cp({.optimizer = "lista_cp", .problem = kSparse});
    std::vector<double> by_row;
    for (Eigen::Index i = 0; i < w.rows(); ++i)
        for (Eigen::Index j = 0; j < w.cols(); ++j) by_row.push_back(w(i, j));
    for (int k = 0; k < 16; ++k) set_values(cp.param(layer_param(k, "W")), by_row);
    const auto got = ada.run(16).x, want = cp.run(16).x;
    for (std::size_t t = 0; t <= 16; ++t) CHECK(relative_error(got[t], want[t]) < 1e-11);
}

TEST_CASE("ada_lista: step_vjp is the derivative of step, also in rows without a signal") {
    for (const char* threshold : {"theta", "eta"}) {
        Lab lab({.optimizer = "ada_lista",
                 .options = {{"layers", "5"}, {"start", "ista"}, {"threshold", threshold}},
                 .problem = kSmall});
        const auto b = values(lab.problem().data("b"));
        REQUIRE(std::search_n(b.begin(), b.end(), 6, 0.0) != b.end());
        shake(lab, 0.05);
        CHECK(lab.step_vjp_error(0) < 1e-6);
        CHECK(lab.step_vjp_error(3) < 1e-6);
    }
}

TEST_CASE("ada_lista: at the start 'reference' W = I, gamma = 1 and theta = lambda, eta = 1") {
    Lab lab({.optimizer = "ada_lista", .options = {{"start", "reference"}}, .problem = kSmall});
    CHECK(wide(lab.param("shared.W1")) == Eigen::MatrixXd::Identity(6, 6));
    CHECK(wide(lab.param("shared.W2")) == Eigen::MatrixXd::Identity(6, 6));
    CHECK(lab.param("layer.04.gamma").value(0) == 1);
    CHECK(lab.param("layer.04.theta").value(0) == 0.1);
    const OptionText eta{{"start", "reference"}, {"threshold", "eta"}};
    Lab paper({.optimizer = "ada_lista", .options = eta, .problem = kSmall});
    CHECK(paper.param("layer.04.eta").value(0) == 1);
}

TEST_CASE("ada_lista: a lambda is needed for thresholds in units of it, and a matrix that instances share") {
    const LinearTask task{.has_lambda = false};
    CHECK(refusal("ada_lista", task) == "");
    CHECK(refusal("ada_lista", task, {{"threshold", "eta"}}).find("set lambda_init") != std::string::npos);
    CHECK(refusal("ada_lista", task, {{"start", "ista"}}).find("set lambda_init") != std::string::npos);
    LinearTask own;
    own.a.batched = true;
    CHECK(refusal("ada_lista", own).find("expected one A [m, n] shared by all instances") !=
          std::string::npos);
}
