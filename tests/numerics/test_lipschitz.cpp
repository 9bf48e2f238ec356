#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "central_difference.hpp"
#include "l2o/numerics/lipschitz.hpp"

using namespace l2o::numerics;

namespace {

Eigen::MatrixXd gaussian(Eigen::Index rows, Eigen::Index cols, std::uint64_t seed) {
    const auto values = random_normal(std::size_t(rows * cols), seed);
    return Eigen::Map<const Eigen::MatrixXd>(values.data(), rows, cols);
}

/// The first rows of the cosine transform of n entries (DCT-II): orthonormal.
Eigen::MatrixXd cosine_rows(Eigen::Index rows, Eigen::Index n) {
    return Eigen::MatrixXd::NullaryExpr(rows, n, [n](Eigen::Index k, Eigen::Index i) {
        const double scale = std::sqrt((k == 0 ? 1.0 : 2.0) / double(n));
        return scale * std::cos(std::numbers::pi * double(k) * (double(i) + 0.5) / double(n));
    });
}

/// A matrix with these singular values.
Eigen::MatrixXd with_singular_values(const Eigen::VectorXd& values, Eigen::Index n) {
    return values.asDiagonal() * cosine_rows(values.size(), n);
}

}  // namespace

TEST_CASE("lipschitz: L is 1.001 times the largest squared singular value") {
    const Eigen::MatrixXd diagonal = Eigen::Vector3d(1, -4, 2).asDiagonal();
    CHECK(lipschitz_constant(diagonal) == doctest::Approx(1.001 * 16).epsilon(1e-14));
    const Eigen::MatrixXd a = with_singular_values(Eigen::VectorXd::LinSpaced(7, 0.5, 3), 11);
    CHECK(lipschitz_constant(a) == doctest::Approx(1.001 * 9).epsilon(1e-13));
}

TEST_CASE("lipschitz: a matrix and its transpose, and a float matrix and its double copy, have the same L") {
    const Eigen::MatrixXf narrow = gaussian(9, 5, 2).cast<float>();
    CHECK(lipschitz_constant(narrow) == lipschitz_constant(narrow.cast<double>()));
    CHECK(lipschitz_constant(narrow) ==
          doctest::Approx(lipschitz_constant(narrow.transpose())).epsilon(1e-13));
}

TEST_CASE(
    "lipschitz: a zero and an empty matrix have the norm 0, and 1 for a constant whose inverse exists") {
    CHECK(spectral_norm_squared(Eigen::MatrixXd::Zero(3, 4)) == 0);
    CHECK(lipschitz_constant(Eigen::MatrixXd::Zero(3, 4)) == 1);
    CHECK(lipschitz_constant(Eigen::MatrixXd(0, 4)) == 1);
}

TEST_CASE(
    "lipschitz: the norm is that of the entries' size, also where a product of two entries is no number") {
    const Eigen::MatrixXd a = gaussian(9, 5, 2);
    const double norm = std::sqrt(spectral_norm_squared(a));
    for (const double scale : {0x1p-500, 0x1p-40, 0x1p60, 0x1p500})  // exact
        CHECK(spectral_norm_squared(scale * a) == spectral_norm_squared(a) * scale * scale);
    const Eigen::MatrixXd narrow = (1e25 * a).cast<float>().cast<double>();
    CHECK(std::sqrt(spectral_norm_squared(narrow)) == doctest::Approx(1e25 * norm).epsilon(1e-6));
    CHECK(unit_scale(0x1p70 * Eigen::MatrixXd::Identity(2, 2)) == 0x1p-70);
    CHECK(unit_scale(Eigen::MatrixXd::Constant(2, 2, 5e-324)) == 0x1p1000);
    CHECK(unit_scale(Eigen::MatrixXd::Zero(2, 2)) == 1);
}

TEST_CASE("lipschitz: a step that the precision does not hold is refused") {
    const Eigen::MatrixXd a = gaussian(3, 5, 2);
    CHECK(lipschitz_constant<double>(1e20 * a) > 1e40);
    for (const double scale : {1e20, 1e-25}) {
        CAPTURE(scale);
        CHECK_THROWS_WITH_AS(
            lipschitz_constant<float>(scale * a),
            "||A||_2^2 or the step of its inverse is no number of float32; scale A and b, or "
            "compute in float64",
            std::invalid_argument);
    }
    CHECK_THROWS_WITH_AS(lipschitz_constant(1e200 * a),
                         "||A||_2^2 or the step of its inverse is no number of float64; scale A and b",
                         std::invalid_argument);
}

TEST_CASE("lipschitz: beyond the exact size L is still an upper bound, within the factor 1.001") {
    const Eigen::MatrixXd a = with_singular_values(Eigen::VectorXd::LinSpaced(520, 1, 3), 530);
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
