#include <doctest/doctest.h>

#include <limits>

#include "central_difference.hpp"
#include "l2o/numerics/sparse_product.hpp"

using namespace l2o::numerics;

namespace {

template <class T>
RowMatrix<T> gaussian(Index rows, Index cols, std::uint64_t seed) {
    const auto values = random_normal(std::size_t(rows * cols), seed);
    return Eigen::Map<const RowMatrix<double>>(values.data(), rows, cols).cast<T>();
}

/// Every entry (r, i) with (i + 3 r) % period != 0 set to 0.
template <class T>
RowMatrix<T> thinned(RowMatrix<T> a, Index period) {
    for (Index r = 0; r < a.rows(); ++r)
        for (Index i = 0; i < a.cols(); ++i)
            if ((i + 3 * r) % period != 0) a(r, i) = 0;
    return a;
}

}  // namespace

TEST_CASE("marked: the marked numbers are visited in order, whatever the length") {
    for (const std::size_t n : {0, 1, 7, 63, 64, 65, 200}) {
        for (const std::size_t period : {1, 3, 50}) {
            std::vector<std::size_t> got, want;
            for (std::size_t i = 0; i < n; ++i)
                if (i % period == 0) want.push_back(i);
            for_each_marked(
                n, [=](std::size_t i) { return i % period == 0; }, [&](std::size_t i) { got.push_back(i); });
            CHECK(got == want);
        }
    }
}

TEST_CASE_TEMPLATE("sparse product: equals the dense one, sparse or not, in one row and in many",
                   T,
                   float,
                   double) {
    const T tolerance = std::is_same_v<T, float> ? T(1e-4) : T(1e-12);
    for (const Index rows : {1, 5}) {
        for (const Index cols : {3, 40, 129, 300}) {
            for (const Index period : {1, 2, 5, 1000}) {
                const RowMatrix<T> a = thinned(gaussian<T>(rows, 700, 1), period);
                const RowMatrix<T> b = gaussian<T>(700, cols, 2), c = gaussian<T>(rows, cols, 3);
                RowMatrix<T> want = c, got = c;
                add_product<T>(want, T(-0.5), a, b);
                add_sparse_product<T>(got, T(-0.5), a, b);
                CHECK((got - want).cwiseAbs().maxCoeff() <= tolerance);
            }
        }
    }
}

TEST_CASE("sparse product: rows may lie apart, and nothing between them is touched") {
    RowMatrix<double> wide_c = RowMatrix<double>::Constant(3, 80, 7), wide_a = gaussian<double>(3, 60, 4);
    wide_a.leftCols(50) = thinned<double>(wide_a.leftCols(50), 6);
    const RowMatrix<double> b = gaussian<double>(50, 70, 5);
    const Eigen::Map<RowMatrix<double>, 0, Eigen::OuterStride<>> c(
        wide_c.data(), 3, 70, Eigen::OuterStride<>(80)),
        a(wide_a.data(), 3, 50, Eigen::OuterStride<>(60));
    add_sparse_product<double>(c, 1, a, b);
    const RowMatrix<double> want = (a * b).array() + 7;
    CHECK((wide_c.leftCols(70) - want).cwiseAbs().maxCoeff() <= 1e-12);
    CHECK(wide_c.rightCols(10) == RowMatrix<double>::Constant(3, 10, 7));
}

TEST_CASE("sparse product: a NaN in a is an entry, so that a diverged iterate is seen") {
    RowMatrix<double> a = RowMatrix<double>::Zero(1, 20), c = RowMatrix<double>::Zero(1, 4);
    a(0, 11) = std::numeric_limits<double>::quiet_NaN();
    add_sparse_product<double>(c, 1, a, gaussian<double>(20, 4, 6));
    CHECK(c.array().isNaN().all());
}
