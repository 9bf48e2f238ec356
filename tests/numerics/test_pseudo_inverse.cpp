#include <doctest/doctest.h>

#include <Eigen/LU>
#include <cmath>

#include "central_difference.hpp"
#include "l2o/numerics/pseudo_inverse.hpp"

using namespace l2o::numerics;

namespace {

Eigen::MatrixXd gaussian(Eigen::Index rows, Eigen::Index cols, std::uint64_t seed) {
    const auto values = random_normal(std::size_t(rows * cols), seed);
    return Eigen::Map<const Eigen::MatrixXd>(values.data(), rows, cols);
}

}  // namespace

TEST_CASE("pseudo-inverse: the four conditions of Penrose, for wide, tall and rank-deficient matrices") {
    for (const Eigen::MatrixXd& a :
         {gaussian(6, 11, 1), gaussian(11, 6, 2), Eigen::MatrixXd(gaussian(7, 3, 3) * gaussian(3, 9, 4))}) {
        const Eigen::MatrixXd x = pseudo_inverse(a);
        REQUIRE(x.rows() == a.cols());
        CHECK((a * x * a - a).norm() < 1e-12);
        CHECK((x * a * x - x).norm() < 1e-12);
        CHECK((a * x - (a * x).transpose()).norm() < 1e-12);
        CHECK((x * a - (x * a).transpose()).norm() < 1e-12);
    }
}

TEST_CASE("pseudo-inverse: of full row rank it is A^T (A A^T)^-1, of 0 it is 0") {
    const Eigen::MatrixXd a = gaussian(5, 8, 5);
    CHECK((pseudo_inverse(a) - a.transpose() * (a * a.transpose()).inverse()).norm() < 1e-12);
    CHECK(pseudo_inverse(Eigen::MatrixXd::Zero(2, 3)) == Eigen::MatrixXd::Zero(3, 2));
}

TEST_CASE("pseudo-inverse: entries whose squares are no numbers are inverted like others") {
    const Eigen::MatrixXd a = gaussian(3, 5, 1), x = pseudo_inverse(a);
    for (const double scale : {0x1p-600, 0x1p600}) CHECK(pseudo_inverse(scale * a) * scale == x);
}

TEST_CASE("pseudo-inverse: an infinite entry is refused") {
    Eigen::MatrixXd a = gaussian(2, 4, 6);
    a(1, 1) = INFINITY;
    CHECK_THROWS_WITH_AS(
        pseudo_inverse(a), "pseudo-inverse: A has an entry that is not finite", std::invalid_argument);
}
