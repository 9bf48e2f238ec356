#include <doctest/doctest.h>

#include <Eigen/SVD>
#include <algorithm>
#include <cmath>

#include "framework/error.hpp"
#include "tests/plugins/matrix.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

const OptionText kSmall{{"m", "6"}, {"n", "3"}};
constexpr double kRho = 0.1;  // the default

struct System {
    Eigen::MatrixXd a;
    Eigen::VectorXd b, x_star;
};
System system_of(ProblemLab& lab, Eigen::Index m, Eigen::Index n, Eigen::Index i) {
    const std::vector<double> a = values(lab.data("A"));
    return {Eigen::Map<const l2o::numerics::RowMatrix<double>>(a.data() + i * m * n, m, n),
            matrix(lab.data("b")).row(i).transpose(),
            matrix(lab.data("x_star")).row(i).transpose()};
}
double phi(const System& s, const Eigen::VectorXd& x) {
    const double loss = (s.a * x - s.b).norm() + kRho * std::sqrt(1 + x.squaredNorm());
    return loss * loss / 2;
}
/// W = r (x; -1)' of the rank-one perturbation that is worst for x.
std::vector<double> worst_w(const System& s, const Eigen::VectorXd& x) {
    Eigen::VectorXd y(x.size() + 1);
    y << x, -1;
    const l2o::numerics::RowMatrix<double> w = (s.a * x - s.b) * y.transpose();
    return {w.data(), w.data() + w.size()};
}

}  // namespace

TEST_CASE("robust_least_squares: gradient and Hessian-vector product agree with central differences") {
    CHECK(ProblemLab({.optimizee = "robust_least_squares", .options = kSmall}).gradient_error() <= 1e-8);
    CHECK(ProblemLab({.optimizee = "robust_least_squares", .options = kSmall}).hvp_error() <= 1e-7);
}

TEST_CASE("robust_least_squares: the gradient of phi at x_star is at most 1e-10, on 100 instances") {
    ProblemLab lab({.optimizee = "robust_least_squares", .instances = 100});
    double worst = 0;
    for (Eigen::Index i = 0; i < 100; ++i) {
        const System s = system_of(lab, 30, 10, i);
        const Eigen::VectorXd r = s.a * s.x_star - s.b;
        const double root = std::sqrt(1 + s.x_star.squaredNorm());
        worst = std::max(
            worst,
            ((r.norm() + kRho * root) * (s.a.transpose() * r / r.norm() + kRho * s.x_star / root)).norm());
    }
    MESSAGE("largest gradient of phi: " << worst);
    CHECK(worst <= 1e-10);
}

TEST_CASE("robust_least_squares: max over W of f is phi, at the perturbation of rank one") {
    ProblemLab lab({.optimizee = "robust_least_squares", .options = kSmall, .instances = 1});
    const System s = system_of(lab, 6, 3, 0);
    const Eigen::VectorXd x = matrix(lab.x()[0]).row(0).transpose();
    CHECK(lab.objective()[0] < phi(s, x));  // at the start, a random W
    set_values(lab.x()[1], worst_w(s, x));
    CHECK(lab.objective()[0] == doctest::Approx(phi(s, x)).epsilon(1e-14));
    const std::vector<double> in_w = lab.gradient()[1];
    for (const double g : in_w) CHECK(std::abs(g) <= 1e-14);
}

TEST_CASE(
    "robust_least_squares: at the solution the game is stationary, and every distance and the gap are 0") {
    ProblemLab lab({.optimizee = "robust_least_squares", .instances = 1});
    const System s = system_of(lab, 30, 10, 0);
    set_values(lab.x()[0], {s.x_star.data(), s.x_star.data() + s.x_star.size()});
    std::vector<double> w = worst_w(s, s.x_star);
    for (double& entry : w) entry *= 7;  // its length does not matter
    set_values(lab.x()[1], w);
    CHECK(lab.metric("residual")[0] <= 1e-13);
    CHECK(lab.metric("distance")[0] <= 1e-13);
    CHECK(std::abs(lab.metric("gap")[0]) <= 1e-14);
    set_values(lab.x()[0], std::vector<double>(10, 0));
    CHECK(lab.metric("gap")[0] ==
          doctest::Approx(phi(s, Eigen::VectorXd::Zero(10)) / phi(s, s.x_star) - 1).epsilon(1e-13));
    CHECK(lab.metric("d_u")[0] == doctest::Approx(s.x_star.lpNorm<1>()).epsilon(1e-14));
}

TEST_CASE("robust_least_squares: the gradient in W is orthogonal to W, whose length f does not see") {
    ProblemLab lab({.optimizee = "robust_least_squares", .options = kSmall, .instances = 1});
    std::vector<double> w = values(lab.x()[1]);
    const std::vector<double> g = lab.gradient()[1];
    double along = 0;
    for (std::size_t i = 0; i < w.size(); ++i) along += w[i] * g[i];
    CHECK(std::abs(along) <= 1e-15);
    const double before = lab.objective()[0];
    for (double& entry : w) entry *= 3;
    set_values(lab.x()[1], w);
    CHECK(lab.objective()[0] == doctest::Approx(before).epsilon(1e-14));
}

TEST_CASE(
    "robust_least_squares: W_0 has the length start_norm, of which f does not depend, and its direction") {
    const auto at = [](const char* start_norm) {
        return ProblemLab({.optimizee = "robust_least_squares", .options = {{"start_norm", start_norm}}});
    };
    ProblemLab one = at("1"), three = at("3");
    const auto w = matrix(one.x()[1]), thrice = matrix(three.x()[1]);
    for (Eigen::Index i = 0; i < 4; ++i) {
        CHECK(w.row(i).norm() == doctest::Approx(1).epsilon(1e-14));
        CHECK((thrice.row(i) - 3 * w.row(i)).norm() <= 1e-14);
    }
    CHECK(std::abs(w.row(0).dot(w.row(1))) < 0.28);  // 5 / sqrt(330)
    CHECK(values(one.x()[0]) == values(three.x()[0]));
    CHECK(relative_error(one.objective(), three.objective()) <= 1e-14);
}

TEST_CASE("robust_least_squares: the singular values of A fall geometrically to 1 / condition_number") {
    ProblemLab lab({.optimizee = "robust_least_squares", .options = kSmall, .instances = 1});
    const System s = system_of(lab, 6, 3, 0);
    const Eigen::VectorXd singular = Eigen::JacobiSVD<Eigen::MatrixXd>(s.a).singularValues();
    CHECK(singular[0] == doctest::Approx(1).epsilon(1e-13));
    CHECK(singular[1] == doctest::Approx(1 / std::sqrt(50.0)).epsilon(1e-13));
    CHECK(singular[2] == doctest::Approx(1.0 / 50).epsilon(1e-13));
}

TEST_CASE("robust_least_squares: fewer rows than columns are refused") {
    CHECK_THROWS_WITH_AS(ProblemLab({.optimizee = "robust_least_squares", .options = {{"m", "3"}}}),
                         doctest::Contains("m is 3; expected at least n, 10"),
                         l2o::framework::Error);
}
