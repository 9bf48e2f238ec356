#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "tests/plugins/matrix.hpp"
#include "tests/plugins/optimizers/linear_task.hpp"
#include "tests/plugins/optimizers/unrolled/by_hand.hpp"
#include "tests/plugins/optimizers/unrolled/problems.hpp"

namespace {

using namespace l2o::test;

double gate_by_hand(const std::string& gate, double q) {
    if (gate == "relu") return std::max(0.0, 1 - std::max(0.0, q));
    if (gate == "inv") return 0.2 / (0.001 + std::abs(q));
    if (gate == "exp") return std::exp(-q);
    if (gate == "sigm") return 1 / (1 + std::exp(-(-q)));
    return 0;
}

/// The equations, entry by entry: `layer` keeps what was not selected for the next one.
struct Plain {
    Lab& lab;
    std::string form, gate;
    bool gains;
    double support_per_layer = 1.2, support_max = 13;
    Eigen::MatrixXd unselected{};

    double value(int k, const char* name, Eigen::Index i = 0) const {
        const auto all = values(lab.param(layer_param(k, name)));
        return all[all.size() == 1 ? 0 : std::size_t(i)];
    }
    Eigen::MatrixXd layer(int k, const Eigen::MatrixXd& x) {
        const Eigen::MatrixXd a = wide(lab.problem().data("A")), b = wide(lab.problem().data("b"));
        const Eigen::MatrixXd w = wide(lab.param(layer_param(k, "W")));
        Eigen::MatrixXd u = x, next = x, now = x;
        const std::string here = gate != "combine" ? gate : k < 2 ? "relu" : "inv";
        for (Eigen::Index r = 0; r < x.rows(); ++r)
            for (Eigen::Index i = 0; i < x.cols(); ++i)
                u(r, i) *= 1 + value(k, "a") * gate_by_hand(here, value(k, "D", i) * std::abs(x(r, i)));
        const Eigen::MatrixXd z = u + (gains ? value(k, "gamma") : 1) * (b - u * a.transpose()) * w;
        for (Eigen::Index r = 0; r < x.rows(); ++r) {
            const double bar = bar_by_hand(z.row(r), std::min((k + 1) * support_per_layer, support_max));
            for (Eigen::Index i = 0; i < x.cols(); ++i) {
                const double theta = value(k, "theta", i), size = std::abs(z(r, i));
                const bool selected = size > theta && size > bar;
                const double x_tilde = selected ? z(r, i) : soft_by_hand(z(r, i), theta);
                double reach = theta;
                if (k > 0) reach = unselected(r, i) * (form == "original" ? value(k - 1, "theta", i) : theta);
                const double o = 1 - value(k, "ao") / (std::abs(x_tilde - x(r, i)) + 0.1) * reach;
                next(r, i) = o * x_tilde + (1 - o) * x(r, i);
                now(r, i) = selected ? 0 : 1;
            }
        }
        unselected = now;
        return next;
    }
};

}  // namespace

TEST_CASE("glista: every layer is the equations evaluated entry by entry, for every gate, form and type") {
    for (const char* form : {"reference", "original"})
        for (const char* gate : {"relu", "inv", "exp", "sigm", "none", "combine"})
            for (const auto dtype : {Dtype::kF64, Dtype::kF32}) {
                CAPTURE(form);
                CAPTURE(gate);
                CAPTURE(dtype == Dtype::kF32);
                auto problem = kSparse;
                problem.dtype = dtype;
                const bool gains = std::string(gate) == "relu";
                Lab lab({.optimizer = "glista",
                         .options = {{"form", form},
                                     {"gate", gate},
                                     {"gains", gains ? "true" : "false"},
                                     {"switch_layer", "2"},
                                     {"layers", "5"}},
                         .problem = problem});
                shake(lab, 0.1);
                Plain plain{lab, form, gate, gains};
                const double error =
                    layer_error(lab, 5, [&](int k, const Eigen::MatrixXd& x) { return plain.layer(k, x); });
                CHECK(error < (dtype == Dtype::kF64 ? 1e-11 : 1e-5));
            }
}

TEST_CASE("glista: at its analytic start, a = ao = 0, it is LISTA-CPSS at its own, whatever the gate") {
    const auto want =
        Lab({.optimizer = "lista_cpss", .options = {{"gamma_start", "0.4"}}, .problem = kSparse}).run(16).x;
    for (const char* gate : {"relu", "inv"})
        for (const char* form : {"reference", "original"}) {
            const OptionText options{{"gate", gate},
                                     {"form", form},
                                     {"gamma_start", "0.4"},
                                     {"gains", form == std::string("original") ? "true" : "false"}};
            const auto got = Lab({.optimizer = "glista", .options = options, .problem = kSparse}).run(16).x;
            for (std::size_t t = 0; t <= 16; ++t) CHECK(relative_error(got[t], want[t]) < 1e-12);
        }
}

TEST_CASE("glista: untrained, 16 layers recover the survey's signals to better than -70 dB per sample") {
    Lab lab({.optimizer = "glista", .problem = {.optimizee = "sparse_recovery", .instances = 128}});
    set_values(lab.problem().x()[0], lab.run(16).x.back());
    const auto nmse = lab.problem().metric("nmse_db");
    CHECK(std::accumulate(nmse.begin(), nmse.end(), 0.0) / double(nmse.size()) < -70);
}

// Where x~ = x_k the overshoot bends within 0.1, which a difference of 1e-6 sees at 1e-5.
TEST_CASE("glista: step_vjp is the derivative of step in the first and in a later layer, for every gate") {
    for (const char* form : {"reference", "original"})
        for (const char* gate : {"relu", "exp", "sigm", "none"}) {
            CAPTURE(form);
            CAPTURE(gate);
            Lab lab({.optimizer = "glista",
                     .options = {{"layers", "5"},
                                 {"form", form},
                                 {"gate", gate},
                                 {"gain_start", "0.7"},
                                 {"overshoot_start", "0.4"},
                                 {"gains", "true"},
                                 {"support_max", "20"},
                                 {"support_per_layer", "10"}},
                     .problem = kSmall});
            const auto b = values(lab.problem().data("b"));
            REQUIRE(std::search_n(b.begin(), b.end(), 6, 0.0) != b.end());  // a row without a signal
            shake(lab, 0.05);
            CHECK(lab.step_vjp_error(0, 3e-8) < 1e-6);
            CHECK(lab.step_vjp_error(1, 3e-8) < 1e-6);
            CHECK(lab.step_vjp_error(3, 3e-8) < 1e-6);
        }
}

// At x = 0 the gate inv bends within 0.001: a negative threshold keeps every entry away from there.
TEST_CASE("glista: step_vjp is the derivative of step with the gate inv, from switch_layer on with combine") {
    for (const char* gate : {"inv", "combine"}) {
        Lab lab({.optimizer = "glista",
                 .options = {{"layers", "4"},
                             {"gate", gate},
                             {"switch_layer", "2"},
                             {"gain_start", "0.2"},
                             {"overshoot_start", "0.4"}},
                 .problem = {
                     .optimizee = "sparse_recovery", .options = {{"m", "20"}, {"n", "40"}}, .instances = 3}});
        for (int k = 0; k < 4; ++k) set_values(lab.param(layer_param(k, "theta")), {-0.2});
        CHECK(lab.step_vjp_error(1) < 1e-6);
        CHECK(lab.step_vjp_error(2) < 1e-6);
    }
}

TEST_CASE("glista: at the start 'reference' W = A / L, theta = lambda / L, a = ao = 5 and D = 1") {
    Lab lab({.optimizer = "glista",
             .options = {{"start", "reference"}, {"lambda_init", "0.4"}},
             .problem = kSmall});
    const double l = Lab({.optimizer = "ista", .problem = kSmall}).param("const.L").value(0);
    CHECK((matrix(lab.param("layer.02.W")) - matrix(lab.problem().data("A")) / l).norm() < 1e-14);
    CHECK(lab.param("layer.02.theta").value(0) == doctest::Approx(0.4 / l).epsilon(1e-14));
    CHECK(lab.param("layer.02.a").value(0) == 5);
    CHECK(lab.param("layer.02.ao").value(0) == 5);
    CHECK(values(lab.param("layer.02.D")) == std::vector<double>(10, 1.0));
}

TEST_CASE("glista: the parameters of a layer, with gains and with a threshold per entry") {
    const auto names = [](const OptionText& options) {
        OptionText all{{"layers", "2"}};
        all.insert(options.begin(), options.end());
        Lab lab({.optimizer = "glista", .options = all, .problem = kSmall});
        std::string text;
        for (const auto* spec : lab.optimizer().params())
            if (spec->layer == 1)
                text += std::string(spec->name).substr(9) + (spec->ndim == 1 ? "[n] " : " ");
        CHECK((lab.optimizer().info().flags & L2O_OPTIMIZER_PARAMS_BY_PROBLEM) != 0);
        return text;
    };
    CHECK(names({}) == "W theta a ao D[n] ");
    CHECK(names({{"gains", "true"}}) == "W gamma theta a ao D[n] ");
    CHECK(names({{"form", "original"}}) == "W theta[n] a ao D[n] ");
}

TEST_CASE("glista: a problem without lambda needs lambda_init for the start 'reference'") {
    const LinearTask task{.has_lambda = false};
    CHECK(refusal("glista", task) == "");
    CHECK(refusal("glista", task, {{"start", "reference"}}).find("set lambda_init") != std::string::npos);
}
