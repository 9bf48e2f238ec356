#include <doctest/doctest.h>

#include "central_difference.hpp"
#include "l2o/numerics/dense.hpp"

using namespace l2o::numerics;

namespace {

template <class T>
RowMatrix<T> gaussian(Eigen::Index rows, Eigen::Index cols, std::uint64_t seed) {
    const auto values = random_normal(std::size_t(rows * cols), seed);
    return Eigen::Map<const RowMatrix<double>>(values.data(), rows, cols).cast<T>();
}

/// sum_k a(i, k) b(k, j), entry by entry.
template <class T>
RowMatrix<T> plain_product(const RowMatrix<T>& a, const RowMatrix<T>& b) {
    RowMatrix<T> c = RowMatrix<T>::Zero(a.rows(), b.cols());
    for (Eigen::Index i = 0; i < a.rows(); ++i)
        for (Eigen::Index j = 0; j < b.cols(); ++j)
            for (Eigen::Index k = 0; k < a.cols(); ++k) c(i, j) += a(i, k) * b(k, j);
    return c;
}

}  // namespace

TEST_CASE_TEMPLATE("dense: products add alpha a b, alpha a b^T and alpha a^T b to c", T, float, double) {
    const T tolerance = std::is_same_v<T, float> ? T(2e-5) : T(1e-13);
    for (const Eigen::Index rows : {1, 7}) {
        const RowMatrix<T> a = gaussian<T>(rows, 5, 1), b = gaussian<T>(5, 9, 2), c = gaussian<T>(rows, 9, 3);
        const RowMatrix<T> a_t = a.transpose(), b_t = b.transpose();
        const RowMatrix<T> want = c - T(0.5) * plain_product(a, b);
        RowMatrix<T> got = c;
        add_product<T>(got, T(-0.5), a, b);
        CHECK((got - want).cwiseAbs().maxCoeff() <= tolerance);
        got = c;
        add_product_nt<T>(got, T(-0.5), a, b_t);
        CHECK((got - want).cwiseAbs().maxCoeff() <= tolerance);
        got = c;
        add_product_tn<T>(got, T(-0.5), a_t, b);
        CHECK((got - want).cwiseAbs().maxCoeff() <= tolerance);
    }
}

TEST_CASE("dense: products read and write rows that lie apart, and nothing between them") {
    RowMatrix<double> wide = RowMatrix<double>::Constant(3, 6, 7);
    const RowMatrix<double> a = gaussian<double>(3, 4, 4), b = gaussian<double>(4, 2, 5);
    const Eigen::Map<RowMatrix<double>, 0, Eigen::OuterStride<>> c(
        wide.data(), 3, 2, Eigen::OuterStride<>(6));
    add_product<double>(c, 1, a, b);
    CHECK((c - RowMatrix<double>::Constant(3, 2, 7) - plain_product(a, b)).cwiseAbs().maxCoeff() <= 1e-13);
    CHECK(wide.rightCols(4) == RowMatrix<double>::Constant(3, 4, 7));
}
