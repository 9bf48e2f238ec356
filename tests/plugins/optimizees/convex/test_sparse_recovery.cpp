#include <doctest/doctest.h>

#include <cmath>
#include <utility>

#include "tests/plugins/matrix.hpp"
#include "tests/support/lab.hpp"

namespace {

using namespace l2o::test;
using l2o::framework::Key;
using l2o::framework::ProblemData;
using l2o::framework::Split;

const OptionText kSmall{{"m", "20"}, {"n", "40"}, {"init_std", "1"}};

std::vector<double> draw(
    const ProblemLab& lab, const char* name, Split split, std::uint64_t first, int count) {
    const ProblemData data = lab.optimizee().sample({5, 6}, split, first, count, true);
    return values(data.tensors.at(lab.optimizee().data_index(name).value()));
}

}  // namespace

TEST_CASE("sparse_recovery: A has columns of norm 1, x_star one entry in ten, and b = A x_star") {
    ProblemLab lab({.optimizee = "sparse_recovery", .instances = 64});
    const Eigen::MatrixXd a = matrix(lab.data("A")), b = matrix(lab.data("b")),
                          x = matrix(lab.data("x_star"));
    REQUIRE((a.rows() == 256 && a.cols() == 512));
    for (Eigen::Index j = 0; j < 512; ++j) CHECK(a.col(j).norm() == doctest::Approx(1).epsilon(1e-12));
    CHECK((b - x * a.transpose()).cwiseAbs().maxCoeff() < 1e-13);
    const double non_zero = double((x.array() != 0).count());
    CHECK(non_zero / double(x.size()) == doctest::Approx(0.1).epsilon(0.05));
    CHECK(x.squaredNorm() / non_zero == doctest::Approx(1).epsilon(0.08));  // N(0, 1)
}

TEST_CASE("sparse_recovery: snr_db 20 is measured as 20 dB in every instance, to the scatter of 256 draws") {
    ProblemLab clean({.optimizee = "sparse_recovery", .instances = 32});
    ProblemLab noisy({.optimizee = "sparse_recovery", .options = {{"snr_db", "20"}}, .instances = 32});
    const Eigen::MatrixXd signal = matrix(clean.data("b")), noise = matrix(noisy.data("b")) - signal;
    CHECK(values(clean.data("x_star")) == values(noisy.data("x_star")));
    double sum = 0;
    for (Eigen::Index r = 0; r < 32; ++r) {
        const double snr = 20 * std::log10(signal.row(r).norm() / noise.row(r).norm());
        CHECK(snr == doctest::Approx(20).epsilon(0.1));
        sum += snr;
    }
    CHECK(sum / 32 == doctest::Approx(20).epsilon(0.01));
    CHECK((noise.row(0) / noise.row(0).norm() - noise.row(1) / noise.row(1).norm()).norm() > 0.5);
}

TEST_CASE("sparse_recovery: instances depend on key, split and index alone; A on the key alone") {
    const ProblemLab lab(
        {.optimizee = "sparse_recovery", .options = {{"m", "20"}, {"n", "40"}, {"snr_db", "10"}}});
    for (const char* name : {"b", "x_star"}) {
        auto halves = draw(lab, name, Split::kTrain, 0, 8);
        const auto second = draw(lab, name, Split::kTrain, 8, 8);
        halves.insert(halves.end(), second.begin(), second.end());
        CHECK(halves == draw(lab, name, Split::kTrain, 0, 16));
        CHECK(halves != draw(lab, name, Split::kTest, 0, 16));
    }
    CHECK(draw(lab, "A", Split::kTrain, 0, 2) == draw(lab, "A", Split::kTest, 9, 1));
    const ProblemData no_answers = lab.optimizee().sample({5, 6}, Split::kTrain, 0, 4, false);
    CHECK(values(no_answers.tensors[1]) == draw(lab, "b", Split::kTrain, 0, 4));
}

TEST_CASE("sparse_recovery: float32 instances are the float64 instances, rounded") {
    ProblemLab wide({.optimizee = "sparse_recovery", .options = kSmall});
    ProblemLab narrow({.optimizee = "sparse_recovery", .options = kSmall, .dtype = Dtype::kF32});
    for (const char* name : {"A", "b", "lambda", "x_star"})
        for (std::int64_t i = 0; i < wide.data(name).size(); ++i)
            CHECK(narrow.data(name).value(i) == float(wide.data(name).value(i)));
}

TEST_CASE("sparse_recovery: f is 1/2 ||Ax - b||^2 + lambda ||x||_1 and starts at 1/2 ||b||^2") {
    ProblemLab lab({.optimizee = "sparse_recovery", .options = kSmall});
    const Eigen::MatrixXd a = matrix(lab.data("A")), b = matrix(lab.data("b")), x = matrix(lab.x()[0]);
    const auto f = lab.objective();
    for (Eigen::Index r = 0; r < 4; ++r) {
        const double want = (a * x.row(r).transpose() - b.row(r).transpose()).squaredNorm() / 2 +
                            0.1 * x.row(r).cwiseAbs().sum();
        CHECK(f[std::size_t(r)] == doctest::Approx(want).epsilon(1e-13));
    }
    ProblemLab at_zero({.optimizee = "sparse_recovery", .options = {{"m", "20"}, {"n", "40"}}});
    const auto start = at_zero.objective();
    for (Eigen::Index r = 0; r < 4; ++r)
        CHECK(start[std::size_t(r)] == doctest::Approx(b.row(r).squaredNorm() / 2).epsilon(1e-13));
}

TEST_CASE("sparse_recovery: gradient and Hessian product equal central differences where f is smooth") {
    ProblemLab lab({.optimizee = "sparse_recovery", .options = kSmall});
    CHECK(lab.gradient_error() < 1e-6);
    CHECK(lab.hvp_error() < 1e-6);
}

TEST_CASE("sparse_recovery: at 0 the gradient is that of the smooth part, A^T (Ax - b)") {
    ProblemLab lab({.optimizee = "sparse_recovery", .options = {{"m", "20"}, {"n", "40"}}});
    const Eigen::MatrixXd want = -matrix(lab.data("b")) * matrix(lab.data("A"));
    const auto g = lab.gradient()[0];
    for (Eigen::Index r = 0; r < 4; ++r)
        for (Eigen::Index i = 0; i < 40; ++i)
            CHECK(g[std::size_t(40 * r + i)] == doctest::Approx(want(r, i)).epsilon(1e-12));
}

TEST_CASE("sparse_recovery: the proximal point u of x satisfies x - u in tau lambda d||u||_1") {
    ProblemLab lab({.optimizee = "sparse_recovery", .options = kSmall});
    const double tau = 4, weight = tau * 0.1;
    const auto u = lab.prox(tau)[0], x = values(lab.x()[0]);
    int zeros = 0;
    for (std::size_t i = 0; i < u.size(); ++i) {
        if (u[i] == 0) {
            CHECK(std::abs(x[i]) <= weight);
            ++zeros;
        } else {
            CHECK(x[i] - u[i] == doctest::Approx(std::copysign(weight, u[i])).epsilon(1e-12));
        }
    }
    CHECK(zeros > 0);
    CHECK(zeros < int(u.size()));
}

TEST_CASE("sparse_recovery: several points of one instance are evaluated like copies of the instance") {
    ProblemLab lab({.optimizee = "sparse_recovery", .options = kSmall, .instances = 3});
    const auto& optimizee = lab.optimizee();
    ProblemData copies = l2o::framework::repeat(lab.data(), optimizee, 2);
    const auto x = optimizee.init_point({8, 8}, 0, copies);
    const auto evaluate = [&](const ProblemData& data, std::uint32_t rows_per_instance) {
        const auto in = l2o::framework::abi_data(data);
        const l2o_tensor* point = x[0].abi();
        Tensor f(Dtype::kF64, {6}), g(Dtype::kF64, {6, 40});
        l2o_tensor* gradient = g.abi();
        l2o_eval_io io{};
        io.struct_size = sizeof io;
        io.batch = 6;
        io.rows_per_instance = rows_per_instance;
        io.data = in.data(), io.x = &point, io.f = f.abi(), io.g = &gradient;
        l2o::framework::CallContext call;
        call.reserve_scratch(6 * optimizee.info().scratch_per_row);
        call.check(optimizee.api().eval(optimizee.raw(), call.plain(), &io), "eval");
        return std::pair(values(f), values(g));
    };
    CHECK(evaluate(lab.data(), 2) == evaluate(copies, 1));
}

TEST_CASE("sparse_recovery: nmse_pooled_db is ||x - x_star||^2 over ||x_star||^2") {
    ProblemLab lab({.optimizee = "sparse_recovery", .options = kSmall});
    const Eigen::MatrixXd x = matrix(lab.x()[0]), x_star = matrix(lab.data("x_star"));
    const auto ratio = lab.metric("nmse_pooled_db");
    REQUIRE(ratio.size() == 8);
    for (Eigen::Index r = 0; r < 4; ++r) {
        const double error = (x.row(r) - x_star.row(r)).squaredNorm();
        CHECK(ratio[std::size_t(2 * r)] == doctest::Approx(error).epsilon(1e-13));
        CHECK(ratio[std::size_t(2 * r + 1)] == doctest::Approx(x_star.row(r).squaredNorm()).epsilon(1e-13));
    }
}

TEST_CASE(
    "sparse_recovery: nmse_db is 0 at x = 0 and at most about -90 at x_star; a signal of 0 gives 0 dB") {
    ProblemLab lab({.optimizee = "sparse_recovery", .options = {{"m", "6"}, {"n", "10"}}, .instances = 12});
    for (const double nmse : lab.metric("nmse_db")) CHECK(std::abs(nmse) < 1e-12);
    const Eigen::MatrixXd x_star = matrix(lab.data("x_star"));
    set_values(lab.x()[0], values(lab.data("x_star")));
    const auto nmse = lab.metric("nmse_db");
    int zero_signals = 0;
    for (Eigen::Index r = 0; r < 12; ++r) {
        const double power = x_star.row(r).squaredNorm() / 10;
        CHECK(nmse[std::size_t(r)] ==
              doctest::Approx(10 * std::log10(1e-10 / (power + 1e-10))).epsilon(1e-12));
        zero_signals += power == 0;
    }
    CHECK(zero_signals > 0);
    auto tenth = values(lab.data("x_star"));
    for (double& x : tenth) x *= 1.1;
    set_values(lab.x()[0], tenth);
    CHECK(lab.metric("nmse_db")[0] == doctest::Approx(x_star.row(0).norm() > 0 ? -20 : 0).epsilon(1e-6));
}
