#include <doctest/doctest.h>

#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <string>

#include "tests/plugins/optimizers/unrolled/by_hand.hpp"
#include "tests/plugins/optimizers/unrolled/problems.hpp"

namespace {

using namespace l2o::test;

// Long doubles reach to 1e-4932: the densities are evaluated as the paper writes them.
long double gauss(long double x, long double variance) {
    return std::exp(-x * x / (2 * variance)) / std::sqrt(2 * std::numbers::pi_v<long double> * variance);
}

/// tau^2, with tr A^T A and tr A+^T A+ taken once.
struct Noise {
    double m, n, taa, tww;
    explicit Noise(const Eigen::MatrixXd& a) : m(double(a.rows())), n(double(a.cols())) {
        const Eigen::MatrixXd pinv = a.transpose() * (a * a.transpose()).inverse();
        taa = (a.transpose() * a).trace();
        tww = (pinv.transpose() * pinv).trace();
    }
    double tau2(const Eigen::RowVectorXd& residual, double gamma, double sigma2) const {
        const double v2 = std::min(std::max((residual.squaredNorm() - m * sigma2) / taa, 1e-9), 1e6);
        return v2 / n * (n + (gamma * gamma - 2 * gamma) * m) + gamma * gamma * tww * sigma2 / n;
    }
};

Eigen::MatrixXd layer_by_hand(Lab& lab, int k, const Eigen::MatrixXd& x, bool fixed, double sigma2) {
    const Eigen::MatrixXd a = wide(lab.problem().data("A")), b = wide(lab.problem().data("b"));
    const Eigen::MatrixXd w = wide(lab.param(fixed ? "const.W" : layer_param(k, "W")));
    const double gamma = lab.param(layer_param(k, "gamma")).value(0);
    const long double p = lab.param(layer_param(k, "p")).value(0);
    const long double alpha2 = lab.param(layer_param(k, "alpha2")).value(0);
    const Noise noise(a);
    Eigen::MatrixXd next = x;
    for (Eigen::Index r = 0; r < x.rows(); ++r) {
        const Eigen::RowVectorXd residual = b.row(r) - x.row(r) * a.transpose();
        const Eigen::RowVectorXd z = x.row(r) + gamma * residual * w;
        const long double tau2 = noise.tau2(residual, gamma, sigma2);
        for (Eigen::Index i = 0; i < x.cols(); ++i) {
            const long double y = z(i), there = p * gauss(y, alpha2 + tau2);
            next(r, i) = double(y * alpha2 / (alpha2 + tau2) * there / ((1 - p) * gauss(y, tau2) + there));
        }
    }
    return next;
}

}  // namespace

TEST_CASE("tista: every layer is the paper's equations, in both element types, with W learned and fixed") {
    for (const bool fixed : {false, true})
        for (const char* sigma2 : {"0", "0.002"})
            for (const auto dtype : {Dtype::kF64, Dtype::kF32}) {
                auto problem = kSparse;
                problem.dtype = dtype;
                Lab lab({.optimizer = "tista",
                         .options = {{"layers", "5"},
                                     {"sigma2", sigma2},
                                     {"fixed_weight", fixed ? "true" : "false"}},
                         .problem = problem});
                shake(lab, 0.02);
                const double error = layer_error(lab, 5, [&](int k, const Eigen::MatrixXd& x) {
                    return layer_by_hand(lab, k, x, fixed, std::stod(sigma2));
                });
                CHECK(error < (dtype == Dtype::kF64 ? 1e-11 : 1e-5));
            }
}

TEST_CASE(
    "tista: at the start 'pinv' tau^2 is the mean square error of z in the first layer, whatever gamma") {
    const ProblemLab::Setup survey{.optimizee = "sparse_recovery", .instances = 128};
    Lab lab({.optimizer = "tista", .options = {{"layers", "1"}}, .problem = survey});
    const Eigen::MatrixXd a = wide(lab.problem().data("A")), b = wide(lab.problem().data("b"));
    const Eigen::MatrixXd w = wide(lab.param("layer.00.W")), x = wide(lab.problem().data("x_star"));
    const Noise noise(a);
    for (const double gamma : {0.7, 1.0, 1.5}) {
        double tau2 = 0;
        for (Eigen::Index r = 0; r < b.rows(); ++r) tau2 += noise.tau2(b.row(r), gamma, 0);
        CHECK(tau2 == doctest::Approx((gamma * b * w - x).squaredNorm() / 512).epsilon(0.05));
    }
}

TEST_CASE("tista: untrained, 16 layers are at -39 dB from W = A+^T; from W = A they diverge") {
    const auto nmse_db = [](const char* start) {
        Lab lab({.optimizer = "tista",
                 .options = {{"start", start}},
                 .problem = {.optimizee = "sparse_recovery", .instances = 128}});
        set_values(lab.problem().x()[0], lab.run(16).x.back());
        const auto nmse = lab.problem().metric("nmse_db");
        return std::accumulate(nmse.begin(), nmse.end(), 0.0) / double(nmse.size());
    };
    CHECK(nmse_db("pinv") < -36);
    CHECK(nmse_db("reference") > 5);
}

TEST_CASE("tista: step_vjp is the derivative of step, also in rows without a signal and for clipped v^2") {
    for (const char* sigma2 : {"0", "0.01"})
        for (const char* fixed : {"false", "true"}) {
            CAPTURE(sigma2);
            Lab lab({.optimizer = "tista",
                     .options = {{"layers", "4"}, {"sigma2", sigma2}, {"fixed_weight", fixed}},
                     .problem = kSmall});
            const auto b = values(lab.problem().data("b"));
            REQUIRE(std::search_n(b.begin(), b.end(), 6, 0.0) != b.end());
            shake(lab, 0.05);
            CHECK(lab.step_vjp_error(0) < 1e-6);
            CHECK(lab.step_vjp_error(1) < 1e-6);
        }
}

TEST_CASE("tista: entries far beyond the noise, whose densities underflow, pass with the factor alpha2 / s") {
    Lab lab({.optimizer = "tista", .options = {{"layers", "1"}}, .problem = kSmall});
    const Eigen::MatrixXd a = wide(lab.problem().data("A")), b = wide(lab.problem().data("b"));
    std::vector<double> w = values(lab.param("layer.00.W"));
    for (double& w_i : w) w_i *= 1e4;
    set_values(lab.param("layer.00.W"), w);
    const auto x = lab.run(1).x[1];
    const Eigen::MatrixXd z = b * wide(lab.param("layer.00.W"));
    const Noise noise(a);
    int far = 0;
    for (Eigen::Index r = 0; r < z.rows(); ++r)
        for (Eigen::Index i = 0; i < z.cols(); ++i) {
            const double tau2 = noise.tau2(b.row(r), 1, 0), got = x[std::size_t(r * 10 + i)];
            CHECK(std::isfinite(got));
            if (z(r, i) * z(r, i) < 2000 * tau2) continue;
            ++far;
            CHECK(got == doctest::Approx(z(r, i) / (1 + tau2)).epsilon(1e-12));
        }
    CHECK(far > 20);
    CHECK(lab.step_vjp_error(0) < 1e-6);
}

TEST_CASE(
    "tista: p outside (0, 1) and alpha2 below 0 count as the nearest value inside, without a derivative") {
    Lab lab({.optimizer = "tista", .options = {{"layers", "2"}}, .problem = kSmall});
    set_values(lab.param("layer.01.p"), {-0.3});
    set_values(lab.param("layer.01.alpha2"), {-2});
    const auto clipped = lab.run(2).x[2];
    for (const double x_i : clipped) CHECK(std::isfinite(x_i));
    CHECK(lab.step_vjp_error(1) < 1e-6);
    set_values(lab.param("layer.01.p"), {1e-6});
    set_values(lab.param("layer.01.alpha2"), {1e-6});
    CHECK(lab.run(2).x[2] == clipped);
}

TEST_CASE("tista: the parameters of a layer; fixed_weight leaves W a buffer") {
    Lab own({.optimizer = "tista", .options = {{"layers", "1"}, {"p", "0.2"}}, .problem = kSmall});
    std::string names;
    for (const auto* spec : own.optimizer().params()) names += std::string(spec->name) + " ";
    CHECK(names == "const.taa const.tww layer.00.W layer.00.gamma layer.00.p layer.00.alpha2 ");
    CHECK(own.param("layer.00.p").value(0) == 0.2);
    CHECK((own.optimizer().info().flags & L2O_OPTIMIZER_PARAMS_BY_PROBLEM) != 0);
    Lab fixed({.optimizer = "tista", .options = {{"fixed_weight", "true"}}, .problem = kSmall});
    CHECK(fixed.optimizer().params()[2]->name == std::string("const.W"));
    CHECK(has(*fixed.optimizer().params()[2], L2O_SPEC_DERIVED));
    CHECK((fixed.optimizer().info().flags & L2O_OPTIMIZER_PARAMS_BY_PROBLEM) == 0);
}
