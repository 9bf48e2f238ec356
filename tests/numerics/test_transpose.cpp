#include <doctest/doctest.h>

#include <l2o/numerics/transpose.hpp>
#include <vector>

using l2o::numerics::Index;

TEST_CASE_TEMPLATE("transpose: element (r, c) goes to (c, r) for every shape, and nothing else is touched",
                   Scalar,
                   float,
                   double) {
    for (Index rows = 0; rows <= 37; ++rows)
        for (Index cols = 0; cols <= 9; ++cols) {
            const Index from_stride = cols + 3, to_stride = rows + 2;
            std::vector<Scalar> from(std::size_t(rows * from_stride)),
                to(std::size_t(cols * to_stride), Scalar(-1));
            for (std::size_t i = 0; i < from.size(); ++i) from[i] = Scalar(i + 1);
            std::vector<Scalar> sum = to;
            l2o::numerics::transpose(from.data(), rows, cols, from_stride, to.data(), to_stride);
            l2o::numerics::transpose<true>(from.data(), rows, cols, from_stride, sum.data(), to_stride);
            for (Index c = 0; c < cols; ++c)
                for (Index r = 0; r < to_stride; ++r) {
                    const auto i = std::size_t(c * to_stride + r);
                    const bool is_inside = r < rows;
                    const Scalar want = is_inside ? from[std::size_t(r * from_stride + c)] : Scalar(-1);
                    CHECK(to[i] == want);
                    CHECK(sum[i] == (is_inside ? want - 1 : Scalar(-1)));
                }
        }
}
