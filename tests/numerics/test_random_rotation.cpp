#include <doctest/doctest.h>

#include <l2o/numerics/random_rotation.hpp>

using l2o::numerics::Key, l2o::numerics::random_rotation, l2o::numerics::Stream;

TEST_CASE("random_rotation: the matrix is orthogonal to rounding, and another one for every row") {
    for (const Eigen::Index n : {1, 2, 7, 30}) {
        CAPTURE(n);
        Stream first(Key{1, 2}, 0), second(Key{1, 2}, 1);
        const Eigen::MatrixXd q = random_rotation(first, n), other = random_rotation(second, n);
        CHECK((q.transpose() * q - Eigen::MatrixXd::Identity(n, n)).norm() < 1e-13);
        if (n > 1) CHECK((q - other).norm() > 0.1);
    }
}

TEST_CASE(
    "random_rotation: an entry has mean 0 and mean square 1 / n, reflections are as many as rotations") {
    double sum = 0, squares = 0;
    int rotations = 0;
    for (std::uint64_t row = 0; row < 4000; ++row) {
        Stream random(Key{3, 4}, row);
        const Eigen::MatrixXd q = random_rotation(random, 3);
        sum += q(0, 0);
        squares += q(0, 0) * q(0, 0);
        rotations += q.determinant() > 0 ? 1 : 0;
    }
    CHECK(std::abs(sum / 4000) < 0.04);
    CHECK(squares / 4000 == doctest::Approx(1. / 3).epsilon(0.05));
    CHECK(rotations == doctest::Approx(2000).epsilon(0.08));
}
