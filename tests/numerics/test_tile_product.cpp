#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <l2o/numerics/philox.hpp>
#include <l2o/numerics/tile_product.hpp>
#include <limits>
#include <vector>

using namespace l2o::numerics;

namespace {

template <class Scalar>
std::vector<Scalar> draws(Index n, std::uint64_t row) {
    Stream stream(Key{7, 7}, row);
    std::vector<Scalar> list(static_cast<std::size_t>(n));
    for (Scalar& value : list) value = Scalar(stream.normal());
    return list;
}

}  // namespace

TEST_CASE_TEMPLATE("tile_products and products_by_row: every output is the weighted sum of the inputs",
                   Scalar,
                   float,
                   double) {
    for (const Index inputs : {1, 3, 8})
        for (const Index outputs : {1, 2, 4, 7})
            for (const Index n : {Index(1), kLanes<Scalar>, kLanes<Scalar> + 5}) {
                const Index stride = round_up_to_lanes<Scalar>(n);
                const auto x = draws<Scalar>(inputs * stride, 1), w = draws<Scalar>(inputs * outputs, 2);
                std::vector<Scalar> by_output(w.size());
                for (Index i = 0; i < inputs; ++i)
                    for (Index o = 0; o < outputs; ++o)
                        by_output[std::size_t(o * inputs + i)] = w[std::size_t(i * outputs + o)];
                std::vector<Scalar> got(std::size_t(outputs * n)), got_by_output(got.size());
                tile_products(w.data(),
                              outputs,
                              inputs,
                              n,
                              {x.data(), stride},
                              [&](const Packets<Scalar, 2>& sum, Index o, Index at) {
                                  Scalar both[kLanes<Scalar>];
                                  sum.store(both);
                                  std::copy_n(
                                      both, std::min(kLanes<Scalar>, n - at), got.data() + o * n + at);
                              });
                products_by_row<false, Scalar>(
                    by_output.data(), outputs, inputs, n, {x.data(), stride}, {got_by_output.data(), n});
                for (Index o = 0; o < outputs; ++o)
                    for (Index j = 0; j < n; ++j) {
                        double want = 0, size = 0;
                        for (Index i = 0; i < inputs; ++i) {
                            const double term = double(w[std::size_t(i * outputs + o)]) *
                                                double(x[std::size_t(i * stride + j)]);
                            want += term;
                            size += std::abs(term);
                        }
                        const double slack = 10 * double(std::numeric_limits<Scalar>::epsilon()) * size;
                        CHECK(std::abs(double(got[std::size_t(o * n + j)]) - want) <= slack);
                        CHECK(got_by_output[std::size_t(o * n + j)] == got[std::size_t(o * n + j)]);
                    }
            }
}

TEST_CASE_TEMPLATE("add_outer_products: adds the sum over all coordinates of x y", Scalar, float, double) {
    for (const Index rows : {1, 4, 6})
        for (const Index columns : {Index(1), Index(7), kPanel<Scalar> + 3})
            for (const Index n : {1, 13}) {
                const Index stride = round_up_to_panels<Scalar>(columns);
                const auto x = draws<Scalar>(rows * n, 3), y = draws<Scalar>(n * stride, 4);
                std::vector<double> w(std::size_t(rows * columns), 1.0);
                add_outer_products<Scalar>({x.data(), n}, rows, n, y.data(), columns, w.data());
                for (Index r = 0; r < rows; ++r)
                    for (Index c = 0; c < columns; ++c) {
                        double want = 1;
                        for (Index k = 0; k < n; ++k)
                            want +=
                                double(x[std::size_t(r * n + k)]) * double(y[std::size_t(k * stride + c)]);
                        CHECK(std::abs(w[std::size_t(r * columns + c)] - want) <=
                              100 * double(std::numeric_limits<Scalar>::epsilon()));
                    }
            }
}
