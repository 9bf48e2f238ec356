#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <numeric>
#include <utility>

#include "framework/cancel.hpp"
#include "framework/error.hpp"
#include "framework/store/safetensors.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/plugins/matrix.hpp"
#include "tests/support/lab.hpp"

namespace {

using namespace l2o::test;
using l2o::framework::Split;

double mean(const std::vector<double>& v) {
    return std::accumulate(v.begin(), v.end(), 0.0) / double(v.size());
}

const OptionText kTiny{{"m", "5"}, {"n", "10"}};

}  // namespace

TEST_CASE("lasso: x_star satisfies the optimality conditions, and f there is f_star") {
    for (const OptionText& options : {kTiny, OptionText{}}) {
        ProblemLab lab({.optimizee = "lasso", .options = options, .instances = 32});
        const double lambda = lab.data("lambda").value(0);
        CHECK(lambda == 0.005);
        const Eigen::MatrixXd x = matrix(lab.data("x_star"));
        const Eigen::MatrixXd correlation =
            (matrix(lab.data("b")) - x * matrix(lab.data("A")).transpose()) * matrix(lab.data("A"));
        for (Eigen::Index r = 0; r < x.rows(); ++r)
            for (Eigen::Index i = 0; i < x.cols(); ++i) {
                CHECK(std::abs(correlation(r, i)) <= lambda * (1 + 1e-6));
                if (std::abs(x(r, i)) > 1e-6)
                    CHECK(correlation(r, i) == doctest::Approx(std::copysign(lambda, x(r, i))).epsilon(1e-6));
            }
        set_values(lab.x()[0], values(lab.data("x_star")));
        CHECK(relative_error(lab.objective(), values(lab.data("f_star"))) < 1e-12);
    }
}

TEST_CASE("lasso: the duality gap bounds the suboptimality everywhere and certifies x_star") {
    for (const char* init_std : {"0", "0.01", "1"}) {
        ProblemLab lab({.optimizee = "lasso", .options = {{"init_std", init_std}}, .instances = 32});
        const auto gap = lab.metric("duality_gap"), suboptimality = lab.metric("suboptimality");
        const auto f_star = values(lab.data("f_star"));
        for (std::size_t r = 0; r < gap.size(); ++r) {
            CHECK(suboptimality[r] >= -1e-10 * f_star[r]);
            CHECK(gap[r] >= suboptimality[r]);
        }
        set_values(lab.x()[0], values(lab.data("x_star")));
        const auto certified = lab.metric("duality_gap");
        for (std::size_t r = 0; r < gap.size(); ++r) {
            CHECK(certified[r] <= 1e-10 * f_star[r]);
            CHECK(certified[r] >= -1e-12 * f_star[r]);
        }
    }
}

TEST_CASE("lasso: the duality gap is f less 1/2 ||b||^2 - 1/2 ||b - y||^2 at the scaled residual y") {
    ProblemLab lab({.optimizee = "lasso", .options = {{"init_std", "0.1"}}});
    const Eigen::MatrixXd a = matrix(lab.data("A")), b = matrix(lab.data("b")), x = matrix(lab.x()[0]);
    const auto gap = lab.metric("duality_gap"), f = lab.objective();
    for (Eigen::Index r = 0; r < b.rows(); ++r) {
        const Eigen::RowVectorXd residual = b.row(r) - x.row(r) * a.transpose();
        const double correlation = (residual * a).cwiseAbs().maxCoeff();
        REQUIRE(correlation > 0.005);
        const Eigen::RowVectorXd y = residual * (0.005 / correlation);
        const double dual = (b.row(r).squaredNorm() - (b.row(r) - y).squaredNorm()) / 2;
        CHECK(gap[std::size_t(r)] == doctest::Approx(f[std::size_t(r)] - dual).epsilon(1e-9));
    }
}

TEST_CASE("lasso: relative_loss is suboptimality over f_star, also where f_star is 0") {
    ProblemLab lab(
        {.optimizee = "lasso", .options = {{"m", "5"}, {"n", "10"}, {"init_std", "0.1"}}, .instances = 16});
    const auto ratio = lab.metric("relative_loss"), absolute = lab.metric("suboptimality"),
               f_star = values(lab.data("f_star"));
    REQUIRE(ratio.size() == 32);
    for (std::size_t r = 0; r < 16; ++r) {
        CHECK(ratio[2 * r] == absolute[r]);
        CHECK(ratio[2 * r + 1] == f_star[r]);
    }
    CHECK(std::count(f_star.begin(), f_star.end(), 0.0) > 0);  // b = 0 in about one instance of three
}

TEST_CASE("lasso: suboptimality is f - f_star, and relative_suboptimality its share of f_star") {
    ProblemLab lab({.optimizee = "lasso", .options = {{"init_std", "0.1"}}});
    const auto f = lab.objective(), f_star = values(lab.data("f_star"));
    const auto absolute = lab.metric("suboptimality"), relative = lab.metric("relative_suboptimality");
    for (std::size_t r = 0; r < f.size(); ++r) {
        CHECK(absolute[r] == doctest::Approx(f[r] - f_star[r]).epsilon(1e-12));
        CHECK(relative[r] == doctest::Approx((f[r] - f_star[r]) / f_star[r]).epsilon(1e-12));
    }
}

TEST_CASE("lasso: at 0 the ratio of means that the survey plots starts between 110 and 150") {
    // Figure 6 starts near 130 (5, 10) and 126 (25, 50); 1/2 E||b||^2 / E f_star, almost free of the sizes.
    for (const OptionText& options : {kTiny, OptionText{}}) {
        ProblemLab lab({.optimizee = "lasso", .options = options, .instances = 512});
        const double ratio = mean(lab.metric("suboptimality")) / mean(values(lab.data("f_star")));
        CHECK(ratio > 110);
        CHECK(ratio < 150);
    }
}

TEST_CASE("lasso: an instance without a signal has x_star = 0 and f_star = 0, and finite metrics") {
    ProblemLab lab({.optimizee = "lasso", .options = kTiny, .instances = 12});
    const Eigen::MatrixXd b = matrix(lab.data("b"));
    const auto relative = lab.metric("relative_suboptimality");
    int without_signal = 0;
    for (Eigen::Index r = 0; r < 12; ++r) {
        CHECK(std::isfinite(relative[std::size_t(r)]));
        if (!b.row(r).isZero(0)) continue;
        ++without_signal;
        CHECK(lab.data("f_star").value(r) == 0);
        CHECK(matrix(lab.data("x_star")).row(r).isZero(0));
        CHECK(relative[std::size_t(r)] == 0);
    }
    CHECK(without_signal > 0);
}

TEST_CASE("lasso: the solution of an instance does not depend on the instances solved with it") {
    const ProblemLab lab({.optimizee = "lasso", .instances = 1});
    const auto all = lab.optimizee().sample({3, 4}, Split::kTest, 0, 8, true);
    const auto last = lab.optimizee().sample({3, 4}, Split::kTest, 5, 3, true);
    for (std::size_t i : {3, 4}) CHECK(values(all.tensors[i].rows(5, 3)) == values(last.tensors[i]));
}

TEST_CASE("lasso: in float32 f_star is the float64 minimum to float32 accuracy") {
    ProblemLab wide({.optimizee = "lasso", .instances = 16});
    ProblemLab narrow({.optimizee = "lasso", .instances = 16, .dtype = Dtype::kF32});
    CHECK(relative_error(values(narrow.data("f_star")), values(wide.data("f_star"))) < 1e-6);
}

TEST_CASE("lasso: gradient and Hessian product equal central differences where f is smooth") {
    ProblemLab lab({.optimizee = "lasso", .options = {{"lambda", "0.3"}, {"init_std", "1"}}});
    CHECK(lab.gradient_error() < 1e-6);
    CHECK(lab.hvp_error() < 1e-6);
}

TEST_CASE("lasso: solving stops when the run is cancelled") {
    const ProblemLab lab({.optimizee = "lasso", .instances = 1});
    auto& cancel = l2o::framework::cancel_flag();
    cancel = 1;
    CHECK_THROWS_AS(lab.optimizee().sample({3, 4}, Split::kTest, 0, 8, true), l2o::framework::Error);
    cancel = 0;
    CHECK_NOTHROW(lab.optimizee().sample({3, 4}, Split::kTest, 0, 8, true));
}

TEST_CASE("lasso: a user's matrix and measurements need no solution: the minimiser is computed") {
    const ScratchFolder folder;
    Tensor a(Dtype::kF64, {2, 2}), b(Dtype::kF64, {2, 2});
    set_values(a, {1, 0, 0, 1});
    set_values(b, {3, -0.001, 0, 2});
    const std::string path = (folder / "all").string();
    l2o::framework::write_safetensors(path, {{"A", &a}, {"train.b", &b}});
    ProblemLab lab({.optimizee = "lasso",
                    .options = {{"matrix", path}, {"data", path}, {"lambda", "0.5"}},
                    .instances = 2});
    // With A = I the minimiser is the soft threshold of b.
    CHECK(relative_error(values(lab.data("x_star")), {2.5, 0, 0, 1.5}) < 1e-9);
}

namespace {

Eigen::MatrixXd gaussian(Eigen::Index rows, Eigen::Index cols, std::uint64_t seed) {
    l2o::numerics::Stream draws(l2o::numerics::Key{seed, 0}, 0);
    return Eigen::MatrixXd::NullaryExpr(rows, cols, [&] { return draws.normal(); });
}

/// Orthonormal columns by Gram-Schmidt, twice.
Eigen::MatrixXd orthonormal(Eigen::MatrixXd q) {
    for (Eigen::Index j = 0; j < q.cols(); ++j) {
        for (int pass = 0; pass < 2; ++pass)
            for (Eigen::Index k = 0; k < j; ++k) q.col(j) -= q.col(k).dot(q.col(j)) * q.col(k);
        q.col(j) /= q.col(j).norm();
    }
    return q;
}

}  // namespace

TEST_CASE("lasso: on ill-conditioned data the minimum is found and certified") {
    const ScratchFolder folder;
    const std::string path = (folder / "all").string();
    for (const auto& [condition, lambda] : {std::pair{1e6, "1e-9"}, std::pair{1e8, "1e-7"}}) {
        const auto& which = condition;
        CAPTURE(which);
        const Eigen::Index m = 30, n = 20;
        const Eigen::MatrixXd q = orthonormal(gaussian(m, n, 1)), p = orthonormal(gaussian(n, n, 2));
        Eigen::VectorXd s(n);
        for (Eigen::Index i = 0; i < n; ++i) s[i] = std::pow(condition, -double(i) / double(n - 1));
        const Eigen::MatrixXd matrix_a = q * s.asDiagonal() * p.transpose(), signal = gaussian(n, 3, 3),
                              b_columns = matrix_a * signal + 0.1 * gaussian(m, 3, 4);
        Tensor a(Dtype::kF64, {m, n}), b(Dtype::kF64, {3, m});
        for (Eigen::Index i = 0; i < m; ++i) {
            for (Eigen::Index j = 0; j < n; ++j) a.values<double>()[std::size_t(i * n + j)] = matrix_a(i, j);
            for (Eigen::Index r = 0; r < 3; ++r) b.values<double>()[std::size_t(r * m + i)] = b_columns(i, r);
        }
        l2o::framework::write_safetensors(path, {{"A", &a}, {"train.b", &b}});
        ProblemLab lab(
            {.optimizee = "lasso",
             .options = {{"matrix", path}, {"data", path}, {"normalize", "false"}, {"lambda", lambda}},
             .instances = 3});
        const auto f_star = values(lab.data("f_star"));
        // The least squares solution is no better, nor is a step from x_star along any coordinate.
        const Eigen::MatrixXd rows = matrix(lab.data("b"));
        Eigen::MatrixXd least(3, n);
        for (Eigen::Index r = 0; r < 3; ++r)
            least.row(r) =
                (p * s.cwiseInverse().asDiagonal() * q.transpose() * rows.row(r).transpose()).transpose();
        std::vector<double> x;
        for (Eigen::Index r = 0; r < 3; ++r)
            for (Eigen::Index j = 0; j < n; ++j) x.push_back(least(r, j));
        set_values(lab.x()[0], x);
        const auto f_least = lab.objective();
        for (std::size_t r = 0; r < 3; ++r) CHECK(f_star[r] <= f_least[r]);
        const auto x_star = values(lab.data("x_star"));
        set_values(lab.x()[0], x_star);
        CHECK(relative_error(lab.objective(), f_star) < 1e-10);
        for (Eigen::Index j = 0; j < n; ++j)
            for (const double step : {-1e-3, 1e-3}) {
                x = x_star;
                for (Eigen::Index r = 0; r < 3; ++r)
                    x[std::size_t(r * n + j)] += step * std::max(1.0, std::abs(x[std::size_t(r * n + j)]));
                set_values(lab.x()[0], x);
                const auto f = lab.objective();
                for (std::size_t r = 0; r < 3; ++r) CHECK(f[r] >= f_star[r] * (1 - 1e-11));
            }
    }
}

TEST_CASE("lasso: in float32 suboptimality is that of float64, not the rounding of f_star") {
    ProblemLab lab({.optimizee = "lasso", .instances = 8, .dtype = Dtype::kF32});
    set_values(lab.x()[0], values(lab.data("x_star")));
    const auto suboptimality = lab.metric("suboptimality"), f_star = values(lab.data("f_star"));
    CHECK(lab.data("f_star").dtype() == Dtype::kF64);
    for (std::size_t r = 0; r < f_star.size(); ++r) {
        CHECK(suboptimality[r] >= -1e-11 * f_star[r]);
        CHECK(suboptimality[r] <= 1e-10 * f_star[r]);
    }
}

TEST_CASE("lasso: a metric of an instance whose f_star is not certified is NaN, of the others a number") {
    ProblemLab lab({.optimizee = "lasso", .instances = 2});
    lab.data("f_star").values<double>()[0] = NAN;
    for (const char* name : {"suboptimality", "relative_suboptimality", "relative_loss"}) {
        CAPTURE(name);
        const auto rows = lab.metric(name);
        CHECK(std::isnan(rows[0]));
        CHECK(std::isfinite(rows.back()));
    }
    CHECK(std::isfinite(lab.metric("duality_gap")[0]));
}

TEST_CASE("lasso: a zero matrix has x_star = 0, f_star = 1/2 ||b||^2, and so have entries of every size") {
    const ScratchFolder folder;
    const std::string path = (folder / "all").string();
    Tensor b(Dtype::kF64, {1, 2});
    set_values(b, {3, 4});
    for (const auto& [scale, lambda] :
         {std::pair{0.0, "0.01"}, std::pair{1e150, "1e148"}, std::pair{1e-150, "1e-152"}}) {
        const auto& which = scale;
        CAPTURE(which);
        Tensor a(Dtype::kF64, {2, 3});
        set_values(a, {scale, 0, 0, 0, scale, 0});  // the last column is 0
        l2o::framework::write_safetensors(path, {{"A", &a}, {"train.b", &b}});
        ProblemLab lab(
            {.optimizee = "lasso",
             .options = {{"matrix", path}, {"data", path}, {"normalize", "false"}, {"lambda", lambda}},
             .instances = 1});
        const std::vector<double> x = values(lab.data("x_star"));
        const double f = lab.data("f_star").value(0);
        if (scale == 0) {
            CHECK(x == std::vector<double>{0, 0, 0});
            CHECK(f == doctest::Approx(12.5).epsilon(1e-12));
        } else {
            CHECK(relative_error({x[0] * scale, x[1] * scale, x[2] * scale}, {2.99, 3.99, 0}) < 1e-9);
            CHECK(f == doctest::Approx(0.01 * 0.01 + 0.01 * 6.98).epsilon(1e-9));
        }
    }
}
