#include <doctest/doctest.h>

#include <cmath>

#include "tests/plugins/matrix.hpp"
#include "tests/plugins/optimizers/linear_task.hpp"

namespace {

using namespace l2o::test;

/// ||A||_2^2: the high powers of A A^T keep its largest eigenvalue alone.
double squared_norm(const Eigen::MatrixXd& a) {
    const Eigen::MatrixXd gram = a.lazyProduct(a.transpose());
    Eigen::MatrixXd power = gram / gram.trace();
    for (int doubling = 0; doubling < 40; ++doubling) {
        const Eigen::MatrixXd square = power.lazyProduct(power);
        power = square / square.trace();
    }
    return gram.cwiseProduct(power).sum();
}

const ProblemLab::Setup kLasso{.optimizee = "lasso", .options = {{"m", "12"}, {"n", "30"}}, .instances = 6};

}  // namespace

TEST_CASE("ista: the step from 0 is the soft threshold of A^T b / L at lambda / L, L = 1.001 ||A||_2^2") {
    Lab lab({.optimizer = "ista", .problem = kLasso});
    const Eigen::MatrixXd a = matrix(lab.problem().data("A")), b = matrix(lab.problem().data("b"));
    const double l = 1.001 * squared_norm(a);
    CHECK(lab.param("const.L").value(0) == doctest::Approx(l).epsilon(1e-12));

    const Eigen::MatrixXd z = b * a / l;
    const std::vector<double> x = lab.run(1).x[1];
    for (Eigen::Index r = 0; r < z.rows(); ++r)
        for (Eigen::Index i = 0; i < z.cols(); ++i) {
            const double want = std::copysign(std::max(std::abs(z(r, i)) - 0.005 / l, 0.0), z(r, i));
            CHECK(x[std::size_t(r * z.cols() + i)] == doctest::Approx(want).epsilon(1e-12));
        }
}

TEST_CASE("ista: f never rises, from 0 or from elsewhere") {
    for (const char* init_std : {"0", "1"}) {
        auto problem = kLasso;
        problem.options["init_std"] = init_std;
        const auto f = Lab({.optimizer = "ista", .problem = problem}).run(300).f;
        for (std::size_t t = 1; t < f.size(); ++t)
            for (std::size_t r = 0; r < f[t].size(); ++r) CHECK(f[t][r] <= f[t - 1][r] * (1 + 1e-14));
    }
}

TEST_CASE("ista: the certified minimiser is a fixed point, to the certificate") {
    Lab lab({.optimizer = "ista", .problem = kLasso});
    set_values(lab.problem().x()[0], values(lab.problem().data("x_star")));
    const auto run = lab.run(10);
    CHECK(relative_error(run.x[10], run.x[0]) < 1e-6);
}

TEST_CASE("ista: is charged one gradient and no value per step, though it asks for neither") {
    Lab lab({.optimizer = "ista", .problem = kLasso});
    const auto run = lab.run(7);
    CHECK(run.gradient_evaluations == 7);
    CHECK(run.value_evaluations == 0);
}

TEST_CASE("ista: step_size frobenius takes L = ||A||_F^2, which is n for columns of norm 1") {
    Lab lab({.optimizer = "ista", .options = {{"step_size", "frobenius"}}, .problem = kLasso});
    CHECK(lab.param("const.L").value(0) == doctest::Approx(30).epsilon(1e-12));
}

TEST_CASE("ista: in float32 it follows the float64 run to float32 accuracy") {
    auto problem = kLasso;
    const auto want = Lab({.optimizer = "ista", .problem = problem}).run(50).x[50];
    problem.dtype = Dtype::kF32;
    CHECK(relative_error(Lab({.optimizer = "ista", .problem = problem}).run(50).x[50], want) < 1e-5);
}

TEST_CASE("ista: entries of A whose squares float32 does not hold are solved like those of an A of norm 1") {
    for (const Dtype dtype : {Dtype::kF32, Dtype::kF64})
        for (const char* rule : {"spectral", "frobenius"})
            for (const double exponent : {-83.0, 66.0}) {
                CAPTURE(exponent);
                CAPTURE(rule);
                auto problem = kLasso;
                problem.dtype = dtype;
                const double scale = std::exp2(exponent);
                const auto run_of = [&](double unit) {
                    // f(x) of A is f(x / unit) of unit A with unit lambda; powers of two round nothing.
                    Lab lab({.optimizer = "ista", .options = {{"step_size", rule}}, .problem = problem});
                    set_values(lab.problem().data("lambda"), {0x1p-7 * unit});
                    std::vector<double> a = values(lab.problem().data("A"));
                    for (double& entry : a) entry *= unit;
                    set_values(lab.problem().data("A"), a);
                    lab.params() = lab.optimizer().init_params({1, 2}, lab.problem().data());
                    std::vector<double> x = lab.run(20).x[20];
                    for (double& entry : x) entry *= unit;
                    return x;
                };
                const std::vector<double> want = run_of(1), got = run_of(scale);
                CHECK(relative_error(got, want) < (dtype == Dtype::kF32 ? 1e-5 : 1e-12));
            }
}

TEST_CASE("ista: of a zero matrix x = 0 is the solution, from any start") {
    for (const Dtype dtype : {Dtype::kF32, Dtype::kF64})
        for (const char* optimizer : {"ista", "fista"}) {
            auto problem = kLasso;
            problem.dtype = dtype;
            problem.options["init_std"] = "1";
            Lab lab({.optimizer = optimizer, .problem = problem});
            Tensor& a = lab.problem().data("A");
            set_values(a, std::vector<double>(static_cast<std::size_t>(a.size()), 0.0));
            lab.params() = lab.optimizer().init_params({1, 2}, lab.problem().data());
            const std::vector<double> x = lab.run(1).x[1];
            CHECK(x == std::vector<double>(x.size(), 0.0));
        }
}

TEST_CASE("ista: is not listed as learned, and keeps L as a buffer") {
    Lab lab({.optimizer = "ista", .problem = kLasso});
    CHECK_FALSE(lab.optimizer().entry().component.has_tag("learned"));
    for (const l2o_spec* spec : lab.optimizer().params()) CHECK(has(*spec, L2O_SPEC_DERIVED));
    CHECK(lab.param("const.unit").value(0) == 1);
}

TEST_CASE("ista: a problem that is not b = A x is refused in one sentence") {
    CHECK(refusal("ista", {}) == "");
    LinearTask task;
    task.a.batched = true;
    CHECK(refusal("ista", task) ==
          "optimizer 'ista' on 'task': every instance has a matrix A of its own, [B, 3, 4]; expected one A "
          "[m, n] "
          "shared by all instances");
    task = {};
    task.a.shape = {12};
    CHECK(refusal("ista", task) == "optimizer 'ista' on 'task': A is [12]; expected a matrix [m, n]");
    task = {};
    task.b.shape = {5};
    CHECK(refusal("ista", task) ==
          "optimizer 'ista' on 'task': b is [B, 5]; expected [B, 3], as A is [3, 4]");
    task = {};
    task.blocks[0].shape = {4, 1};
    CHECK(refusal("ista", task) ==
          "optimizer 'ista' on 'task': the variable is [B, 4, 1]; expected [B, 4], as A is [3, 4]");
    task.blocks[0].shape = {5};
    CHECK(refusal("ista", task) ==
          "optimizer 'ista' on 'task': the variable is [B, 5]; expected [B, 4], as A is [3, 4]");
    task = {};
    task.blocks.push_back(task.blocks[0]);
    CHECK(refusal("ista", task) ==
          "optimizer 'ista' on 'task': the problem has 2 variable blocks; expected one block x [B, n]");
}
