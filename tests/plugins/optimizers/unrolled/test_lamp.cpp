#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <string>

#include "tests/plugins/matrix.hpp"
#include "tests/plugins/optimizers/linear_task.hpp"
#include "tests/plugins/optimizers/unrolled/problems.hpp"

using namespace l2o::test;

TEST_CASE(
    "lamp: at the start 'amp' it is approximate message passing, -12, -20, -28, -35 dB after 4, 8, 12, 16") {
    Lab lab({.optimizer = "lamp",
             .options = {{"start", "amp"}},
             .problem = {.optimizee = "sparse_recovery", .instances = 128}});
    const auto x = lab.run(16).x;
    const double published[] = {-12.1, -20.4, -27.8, -35.0};
    for (std::size_t i = 0; i < 4; ++i) {
        set_values(lab.problem().x()[0], x[4 * (i + 1)]);
        const auto nmse = lab.problem().metric("nmse_db");
        const double mean = std::accumulate(nmse.begin(), nmse.end(), 0.0) / double(nmse.size());
        CHECK(std::abs(mean - published[i]) < 1.0);
    }
}

TEST_CASE("lamp: at the start 'analytic' W is the analytic weight, and 16 layers reach -56 dB untrained") {
    Lab lab({.optimizer = "lamp", .problem = {.optimizee = "sparse_recovery", .instances = 128}});
    Lab alista({.optimizer = "alista", .problem = {.optimizee = "sparse_recovery", .instances = 128}});
    CHECK(matrix(lab.param("layer.05.W")) == matrix(alista.param("const.W")));
    set_values(lab.problem().x()[0], lab.run(16).x[16]);
    const auto nmse = lab.problem().metric("nmse_db");
    CHECK(std::accumulate(nmse.begin(), nmse.end(), 0.0) / double(nmse.size()) < -56);
}

TEST_CASE("lamp: three layers equal the equations evaluated by hand") {
    Lab lab({.optimizer = "lamp", .options = {{"start", "amp"}}, .problem = kSparse});
    set_values(lab.param("layer.01.lam"), {0.7});
    set_values(lab.param("layer.02.lam"), {-0.3});  // thresholds below 0 count as 0
    const Eigen::MatrixXd a = matrix(lab.problem().data("A")), b = matrix(lab.problem().data("b"));
    const auto got = lab.run(3).x;
    Eigen::MatrixXd x = Eigen::MatrixXd::Zero(8, 80), v = Eigen::MatrixXd::Zero(8, 40);
    const double lambda[] = {1.4, 0.7, -0.3};
    for (int k = 0; k < 3; ++k) {
        for (Eigen::Index r = 0; r < 8; ++r) {
            const double c = double((x.row(r).array() != 0).count()) / 40;
            v.row(r) = b.row(r) - x.row(r) * a.transpose() + c * v.row(r).eval();
            const double theta = std::max(lambda[k] * std::sqrt(v.row(r).squaredNorm() / 40), 0.0);
            const Eigen::RowVectorXd z = x.row(r) + v.row(r) * a;
            for (Eigen::Index i = 0; i < 80; ++i) {
                x(r, i) = std::copysign(std::max(std::abs(z(i)) - theta, 0.0), z(i));
                if (std::abs(z(i)) <= theta) x(r, i) = 0;
                CHECK(got[std::size_t(k) + 1][std::size_t(r * 80 + i)] ==
                      doctest::Approx(x(r, i)).epsilon(1e-9));
            }
        }
    }
}

TEST_CASE("lamp: step_vjp is the derivative of step, also in rows whose residual vanishes") {
    Lab lab({.optimizer = "lamp", .options = {{"layers", "5"}}, .problem = kSmall});
    CHECK(lab.step_vjp_error(0) < 1e-6);
    CHECK(lab.step_vjp_error(3) < 1e-6);
    for (const auto& x : lab.run(5).x)
        for (const double x_i : x) CHECK(std::isfinite(x_i));
}

TEST_CASE("lamp: at the start 'reference' W = A / L and lambda_k = lambda_init") {
    Lab lab({.optimizer = "lamp",
             .options = {{"start", "reference"}, {"lambda_init", "0.4"}},
             .problem = kSmall});
    const double l = Lab({.optimizer = "ista", .problem = kSmall}).param("const.L").value(0);
    CHECK((matrix(lab.param("layer.02.W")) - matrix(lab.problem().data("A")) / l).norm() < 1e-14);
    CHECK(lab.param("layer.02.lam").value(0) == 0.4);
}
