#include <doctest/doctest.h>

#include <Eigen/QR>
#include <cmath>

#include "central_difference.hpp"
#include "l2o/numerics/lipschitz.hpp"

using namespace l2o::numerics;

namespace {

Eigen::MatrixXd gaussian(Eigen::Index rows, Eigen::Index cols, std::uint64_t seed) {
    const auto values = random_normal(std::size_t(rows * cols), seed);
    return Eigen::Map<const Eigen::MatrixXd>(values.data(), rows, cols);
}

}  // namespace

TEST_CASE("lipschitz: L is 1.001 times the largest squared singular value") {
    const Eigen::MatrixXd diagonal = Eigen::Vector3d(1, -4, 2).asDiagonal();
    CHECK(lipschitz_constant(diagonal) == doctest::Approx(1.001 * 16).epsilon(1e-14));
    const Eigen::MatrixXd a = gaussian(7, 11, 1);
    const double largest = a.bdcSvd().singularValues()(0);
    CHECK(lipschitz_constant(a) == doctest::Approx(1.001 * largest * largest).epsilon(1e-13));
}

TEST_CASE("lipschitz: a matrix and its transpose, and a float matrix and its double copy, have the same L") {
    const Eigen::MatrixXf narrow = gaussian(9, 5, 2).cast<float>();
    CHECK(lipschitz_constant(narrow) == lipschitz_constant(narrow.cast<double>()));
    CHECK(lipschitz_constant(narrow) ==
          doctest::Approx(lipschitz_constant(narrow.transpose())).epsilon(1e-13));
}

TEST_CASE("lipschitz: a zero and an empty matrix have L = 0") {
    CHECK(lipschitz_constant(Eigen::MatrixXd::Zero(3, 4)) == 0);
    CHECK(lipschitz_constant(Eigen::MatrixXd(0, 4)) == 0);
}

TEST_CASE("lipschitz: beyond the exact size L is still an upper bound, within the factor 1.001") {
    // Orthonormal rows scaled by known singular values: ||A||_2 is 3 by construction.
    const Eigen::Index m = 520, n = 530;
    const Eigen::MatrixXd q = Eigen::HouseholderQR<Eigen::MatrixXd>(gaussian(n, m, 3)).householderQ() *
                              Eigen::MatrixXd::Identity(n, m);
    const Eigen::MatrixXd a = Eigen::VectorXd::LinSpaced(m, 1, 3).asDiagonal() * q.transpose();
    const double lipschitz = lipschitz_constant(a);
    CHECK(lipschitz >= 9);
    CHECK(lipschitz <= 9 * 1.001 * (1 + 1e-12));
}

TEST_CASE("lipschitz: power iteration that has not converged says so") {
    const Eigen::MatrixXd a = gaussian(20, 20, 4);
    const Eigen::MatrixXd gram = a * a.transpose();
    CHECK_FALSE(detail::power_iteration(gram, 1e-12, 2).has_value());
    CHECK(detail::power_iteration(gram, 1e-10, 10000).value() ==
          doctest::Approx(detail::largest_eigenvalue(gram)).epsilon(1e-12));
}

TEST_CASE("lipschitz: an entry that is not finite is refused") {
    Eigen::MatrixXd a = Eigen::MatrixXd::Ones(2, 2);
    a(1, 0) = NAN;
    CHECK_THROWS_WITH_AS(lipschitz_constant(a),
                         "spectral norm: the matrix has an entry that is not finite",
                         std::invalid_argument);
}
