#include <doctest/doctest.h>

#include <Eigen/Cholesky>
#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <string>

#include "tests/plugins/optimizers/unrolled/by_hand.hpp"
#include "tests/plugins/optimizers/unrolled/problems.hpp"

namespace {

using namespace l2o::test;

/// torch.quantile(|z|, 1 - share).
double quantile_by_hand(const Eigen::RowVectorXd& z, double share) {
    std::vector<double> magnitude;
    for (const double z_i : z) magnitude.push_back(std::abs(z_i));
    std::ranges::sort(magnitude);
    const double position = (1 - share) * double(z.size() - 1);
    const auto below = std::size_t(position);
    const std::size_t above = std::min(below + 1, magnitude.size() - 1);
    return magnitude[below] + (position - double(below)) * (magnitude[above] - magnitude[below]);
}

/// The equations on any b = A x, entry by entry: `layer` keeps x for the momentum of the next one.
struct Plain {
    Eigen::MatrixXd a, b, w, pinv;
    double c_theta, c_beta, c_p;
    Eigen::MatrixXd x_before{};

    Eigen::MatrixXd layer(int k, const Eigen::MatrixXd& x) {
        if (k == 0) x_before = x;
        Eigen::MatrixXd next = x;
        for (Eigen::Index r = 0; r < x.rows(); ++r) {
            const Eigen::RowVectorXd residual = b.row(r) - x.row(r) * a.transpose();
            double left = 0, at_first = 0;
            int nonzeros = 0;
            for (Eigen::Index i = 0; i < x.cols(); ++i) {
                left += std::abs(residual.dot(pinv.row(i)));
                at_first += std::abs(b.row(r).dot(pinv.row(i)));
                nonzeros += x(r, i) != 0;
            }
            const double theta = c_theta * left, beta = c_beta * nonzeros;
            const double share = k == 0 || left == 0 ? 0 : c_p * std::log(at_first / left);
            const Eigen::RowVectorXd z = x.row(r) + residual * w + beta * (x.row(r) - x_before.row(r));
            const double bar = quantile_by_hand(z, std::clamp(share, 0.0, 1.0));
            for (Eigen::Index i = 0; i < x.cols(); ++i) {
                const bool selected = std::abs(z(i)) >= bar && std::abs(z(i)) >= theta;
                next(r, i) = selected ? z(i) : soft_by_hand(z(i), theta);
            }
        }
        x_before = x;
        return next;
    }
};

Plain plain_of(Lab& lab) {
    return {wide(lab.problem().data("A")),
            wide(lab.problem().data("b")),
            wide(lab.param("const.W")),
            wide(lab.param("const.pinv")),
            lab.param("c_theta").value(0),
            lab.param("c_beta").value(0),
            lab.param("c_p").value(0)};
}

double pooled_db(Lab& lab, std::int64_t steps) {
    const auto x = lab.run(steps).x.back(), x_star = values(lab.problem().data("x_star"));
    double error = 0, power = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        error += (x[i] - x_star[i]) * (x[i] - x_star[i]);
        power += x_star[i] * x_star[i];
    }
    return 10 * std::log10(error / power);
}

}  // namespace

TEST_CASE("hyperlista: untrained, 16 steps recover the survey's signals to better than -75 dB, pooled") {
    for (const char* weight : {"analytic", "symmetric"}) {
        Lab lab({.optimizer = "hyperlista",
                 .options = {{"weight", weight}},
                 .problem = {
                     .optimizee = "sparse_recovery", .instances = 512, .dtype = Dtype::kF32, .seed = 21}});
        CHECK(pooled_db(lab, 16) < -75);
    }
}

TEST_CASE("hyperlista: every step is the equations evaluated entry by entry, in both element types") {
    for (const char* weight : {"analytic", "symmetric"})
        for (const auto dtype : {Dtype::kF64, Dtype::kF32})
            for (const double c_p : {0.2, 3.0}) {
                auto problem = kSparse;
                problem.dtype = dtype;
                Lab lab({.optimizer = "hyperlista", .options = {{"weight", weight}}, .problem = problem});
                set_values(lab.param("c_theta"), {0.03});
                set_values(lab.param("c_beta"), {0.05});
                set_values(lab.param("c_p"), {c_p});
                Plain plain = plain_of(lab);
                const double error =
                    layer_error(lab, 6, [&](int k, const Eigen::MatrixXd& x) { return plain.layer(k, x); });
                CHECK(error < (dtype == Dtype::kF64 ? 1e-11 : 1e-5));
            }
}

TEST_CASE("hyperlista: weight 'symmetric' is the method on G A x = G b with its own matrix as weight") {
    Lab lab({.optimizer = "hyperlista", .options = {{"weight", "symmetric"}}, .problem = kSparse});
    Plain plain = plain_of(lab);
    const Eigen::MatrixXd metric = plain.w * plain.a.transpose() * (plain.a * plain.a.transpose()).inverse();
    const Eigen::MatrixXd g = metric.llt().matrixU();
    const Eigen::MatrixXd a = g * plain.a;
    for (Eigen::Index j = 0; j < a.cols(); ++j) CHECK(a.col(j).norm() == doctest::Approx(1).epsilon(1e-10));
    plain.pinv = a.transpose() * (a * a.transpose()).inverse();
    plain.b = plain.b * g.transpose();
    plain.w = plain.a = a;
    CHECK(layer_error(lab, 8, [&](int k, const Eigen::MatrixXd& x) { return plain.layer(k, x); }) < 1e-9);
}

TEST_CASE("hyperlista: step_vjp is the derivative of step; c_p has none") {
    for (const char* c_p : {"0.2", "3"}) {
        const OptionText options{{"c_p", c_p}, {"c_theta_times_n", "1"}};
        auto all_have_signals = kSmall;
        all_have_signals.options["density"] = "0.5";
        Lab lab({.optimizer = "hyperlista", .options = options, .problem = all_have_signals});
        CHECK(lab.step_vjp_error(1) < 1e-6);
        CHECK(lab.step_vjp_error(3) < 1e-6);
    }
}

// From step 1 on such a row sits where theta = c_theta |A+ r|_1 has its kink, and there is no derivative.
TEST_CASE(
    "hyperlista: a row without a signal stays 0, and is no exception to the derivative of the first step") {
    Lab lab({.optimizer = "hyperlista", .problem = kSmall});
    const auto b = values(lab.problem().data("b"));
    const auto none = std::search_n(b.begin(), b.end(), 6, 0.0);
    REQUIRE(none != b.end());
    const auto row = std::size_t(none - b.begin()) / 6;
    CHECK(lab.step_vjp_error(0) < 1e-6);
    for (const auto& x : lab.run(8).x)
        for (std::size_t i = 0; i < x.size(); ++i) {
            CHECK(std::isfinite(x[i]));
            if (i / 10 == row) CHECK(x[i] == 0);
        }
}

TEST_CASE("hyperlista: W and A+ are buffers, three numbers are learned, and any number of steps is taken") {
    Lab lab({.optimizer = "hyperlista", .problem = kSmall});
    std::string learned;
    for (const auto* spec : lab.optimizer().params())
        if (!has(*spec, L2O_SPEC_DERIVED)) learned += std::string(spec->name) + " ";
    CHECK(learned == "c_theta c_beta c_p ");
    CHECK(lab.param("c_theta").value(0) == doctest::Approx(0.72).epsilon(1e-14));
    CHECK(lab.param("c_beta").value(0) == doctest::Approx(0.18).epsilon(1e-14));
    CHECK(lab.param("c_p").value(0) == 0.2);
    CHECK(lab.optimizer().info().max_steps == 0);
    const Eigen::MatrixXd a = wide(lab.problem().data("A")), pinv = wide(lab.param("const.pinv"));
    CHECK((a * pinv * a - a).norm() < 1e-13);
}
