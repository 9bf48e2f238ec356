#include <doctest/doctest.h>

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <Eigen/LU>
#include <cmath>

#include "central_difference.hpp"
#include "l2o/numerics/analytic_weight.hpp"

using namespace l2o::numerics;

namespace {

Eigen::MatrixXd gaussian(Eigen::Index rows, Eigen::Index cols, std::uint64_t seed) {
    const auto values = random_normal(std::size_t(rows * cols), seed);
    return Eigen::Map<const Eigen::MatrixXd>(values.data(), rows, cols);
}

double worst_diagonal(const Eigen::MatrixXd& w, const Eigen::MatrixXd& a) {
    return ((w.transpose() * a).diagonal().array() - 1).abs().maxCoeff();
}

}  // namespace

TEST_CASE("analytic weight: w_j^T a_j = 1 for every j, with and without a ridge") {
    const Eigen::MatrixXd a = gaussian(15, 40, 1);
    CHECK(worst_diagonal(analytic_weight(a), a) < 1e-13);
    CHECK(worst_diagonal(analytic_weight(a, 0.5), a) < 1e-13);
}

TEST_CASE("analytic weight: for orthonormal columns W = A") {
    const Eigen::MatrixXd identity = Eigen::MatrixXd::Identity(4, 4);
    CHECK((analytic_weight(identity) - identity).norm() < 1e-15);
}

// The solver of the ALISTA code: a gradient step on 1/2 ||W^T A - I||_F^2, then the projection on w_j^T a_j
// = 1.
TEST_CASE("analytic weight: the closed form is where projected gradient descent converges") {
    const Eigen::MatrixXd a = gaussian(8, 20, 2);
    const double step = 1 / (a * a.transpose()).operatorNorm();
    Eigen::MatrixXd w = a * a.colwise().squaredNorm().cwiseInverse().asDiagonal();
    for (int iteration = 0; iteration < 5000; ++iteration) {
        const Eigen::MatrixXd residual = a.transpose() * w - Eigen::MatrixXd::Identity(20, 20);
        w -= step * a * residual;
        for (Eigen::Index j = 0; j < 20; ++j)
            w.col(j) += (1 - a.col(j).dot(w.col(j))) / a.col(j).squaredNorm() * a.col(j);
    }
    CHECK((analytic_weight(a) - w).norm() < 1e-10 * w.norm());
}

TEST_CASE("analytic weight: its generalized coherence is below the coherence of A") {
    Eigen::MatrixXd a = gaussian(50, 100, 3);
    a.colwise().normalize();
    CHECK(mutual_coherence(analytic_weight(a), a) < 0.9 * mutual_coherence(a, a));
}

TEST_CASE("analytic weight: coherence is the largest off-diagonal magnitude of W^T A") {
    const Eigen::MatrixXd w = Eigen::Matrix2d::Identity();
    const Eigen::MatrixXd a = (Eigen::Matrix2d() << 9, -0.5, 0.25, 9).finished();
    CHECK(mutual_coherence(w, a) == 0.5);
}

TEST_CASE(
    "analytic weight: its parts have W^T A = diag(scale) gram, gram symmetric, with and without a ridge") {
    const RowMatrix<double> a = gaussian(7, 16, 6);
    for (const double ridge : {0.0, 0.5}) {
        const AnalyticGram parts = analytic_gram(a, ridge);
        CHECK(parts.w == analytic_weight(a, ridge));
        CHECK((parts.gram - parts.gram.transpose()).cwiseAbs().maxCoeff() < 1e-14);
        const Eigen::MatrixXd product = parts.scale.asDiagonal() * parts.gram;
        CHECK((product - parts.w.transpose() * a).cwiseAbs().maxCoeff() < 1e-13);
    }
}

TEST_CASE("analytic weight: a float A gives the same W as its double copy") {
    const Eigen::MatrixXf a = gaussian(6, 9, 4).cast<float>();
    CHECK(analytic_weight(a) == analytic_weight(a.cast<double>()));
}

TEST_CASE("analytic weight: dependent rows are refused unless there is a ridge") {
    const Eigen::MatrixXd tall = gaussian(5, 3, 5);
    CHECK_THROWS_WITH_AS(
        analytic_weight(tall),
        "analytic weight: A A^T is singular to working precision (A is 5 x 3); expected independent "
        "rows; set a ridge > 0",
        std::invalid_argument);
    CHECK(worst_diagonal(analytic_weight(tall, 1e-3), tall) < 1e-10);
}

TEST_CASE("analytic weight: rows that are dependent only to working precision are refused as well") {
    Eigen::MatrixXd a = Eigen::MatrixXd::Ones(2, 3);
    a.col(1) << 0, 0x1p-25;  // A A^T = [2 2; 2 2 + 2^-50], which Cholesky factorises
    CHECK_THROWS_AS(analytic_weight(a), std::invalid_argument);
}

TEST_CASE("analytic weight: a zero column, a negative ridge and a NaN are refused") {
    Eigen::MatrixXd a = gaussian(2, 4, 6);
    CHECK_THROWS_WITH_AS(analytic_weight(a, -1),
                         "analytic weight: ridge is -1.000000; expected a number >= 0",
                         std::invalid_argument);
    a.col(2).setZero();
    CHECK_THROWS_WITH_AS(analytic_weight(a), "analytic weight: column 2 of A is zero", std::invalid_argument);
    a(0, 0) = NAN;
    CHECK_THROWS_WITH_AS(
        analytic_weight(a), "analytic weight: A has an entry that is not finite", std::invalid_argument);
}

TEST_CASE("symmetric transform: G A has unit columns") {
    Eigen::MatrixXd a = gaussian(20, 40, 1);
    a.colwise().normalize();
    const Eigen::MatrixXd own = symmetric_transform(a) * a;
    CHECK(worst_diagonal(own, own) < 1e-12);
    CHECK(mutual_coherence(own, own) < mutual_coherence(a, a));
}

TEST_CASE(
    "symmetric transform: no feasible direction lowers the sum of squares, and analytic W lies below it") {
    Eigen::MatrixXd a = gaussian(12, 24, 2);
    a.colwise().normalize();
    const Eigen::MatrixXd g = symmetric_transform(a), w = g.transpose() * g * a, gram = a.transpose() * a;
    const Eigen::MatrixXd cross = w.transpose() * a;
    for (std::uint64_t seed = 10; seed < 14; ++seed) {
        Eigen::MatrixXd h = gaussian(12, 12, seed);
        h = (h + h.transpose()).eval();
        // Without what changes a_j^T M a_j.
        const Eigen::VectorXd c = gram.cwiseAbs2().ldlt().solve((a.transpose() * h * a).diagonal());
        h -= a * c.asDiagonal() * a.transpose();
        REQUIRE((a.transpose() * h * a).diagonal().norm() < 1e-9);
        CHECK(std::abs(cross.cwiseProduct(a.transpose() * h * a).sum()) < 1e-9);
    }
    CHECK((analytic_weight(a).transpose() * a).norm() < cross.norm());
}

TEST_CASE("symmetric transform: parallel columns, and columns of very different sizes, are refused") {
    CHECK_THROWS_WITH_AS(
        symmetric_transform(gaussian(15, 40, 1)),
        "symmetric transform: no positive definite metric in closed form for this A; take the "
        "analytic weight",
        std::invalid_argument);
    Eigen::MatrixXd a = gaussian(4, 6, 7);
    a.col(3) = -2 * a.col(1);
    CHECK_THROWS_WITH_AS(
        symmetric_transform(a),
        "symmetric transform: columns of A are zero or parallel; expected columns of different directions",
        std::invalid_argument);
}

TEST_CASE("analytic weight: entries whose squares are no numbers have the weight of others, scaled") {
    const Eigen::MatrixXd a = gaussian(5, 9, 1), w = analytic_weight(a), ridged = analytic_weight(a, 0.5);
    for (const double scale : {0x1p-500, 0x1p500}) {
        CAPTURE(scale);
        CHECK(analytic_weight(scale * a) * scale == w);
        CHECK(analytic_weight(scale * a, 0.5 * scale * scale) * scale == ridged);
    }
}
