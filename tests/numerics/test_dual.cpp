#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "l2o/numerics/dual.hpp"
#include "l2o/numerics/dual_matrix.hpp"

using namespace l2o::numerics;

TEST_CASE("dual: every function has the slope of its derivative") {
    using D = Dual<double, 2>;
    const double x0 = 0.7, y0 = -1.3, step = 1e-6;
    const auto check = [&](auto f) {
        const D got = f(D::variable(x0, 0), D::variable(y0, 1));
        CHECK(got.value == f(x0, y0));
        CHECK(got.slope[0] ==
              doctest::Approx((f(x0 + step, y0) - f(x0 - step, y0)) / (2 * step)).epsilon(1e-8));
        CHECK(got.slope[1] ==
              doctest::Approx((f(x0, y0 + step) - f(x0, y0 - step)) / (2 * step)).epsilon(1e-8));
    };
    using std::abs, std::clamp, std::exp, std::log, std::max, std::min, std::sqrt, std::tanh;
    check([](auto x, auto y) { return 3 + x * y - 2 / y; });
    check([](auto x, auto y) { return (x - 1) / (y + x) - -y; });
    check([](auto x, auto y) { return exp(x * y) * log(x) + sqrt(x) * tanh(y); });
    check([](auto x, auto y) { return abs(x) * x + abs(y) * y; });
    check([](auto x, auto y) { return max(x, y) * y + min(x, y) * x; });
    check([](auto x, auto y) { return clamp(x, 0.0, 1.0) * y + clamp(y, -1.0, 1.0) * x; });
    check([](auto x, auto y) { return x > y && x >= y && y < x && y <= x ? x * x : y; });
    check([](auto x, auto y) { return where_less(x, y, y, x * x) * sign(y); });
}

TEST_CASE("dual: a product of matrices has the slope A_dot B + A B_dot, of large and of small ones") {
    using Dual = Dual<double, 1>;
    for (const Eigen::Index n : {2, 1, 40}) {
        const Eigen::MatrixXd a = Eigen::MatrixXd::Random(n, 40), a_dot = Eigen::MatrixXd::Random(n, 40),
                              b = Eigen::MatrixXd::Random(40, n), b_dot = Eigen::MatrixXd::Random(40, n);
        const auto join = [](const Eigen::MatrixXd& value, const Eigen::MatrixXd& slope) {
            Eigen::Matrix<Dual, Eigen::Dynamic, Eigen::Dynamic> out(value.rows(), value.cols());
            for (Eigen::Index i = 0; i < value.size(); ++i) {
                out.data()[i] = value.data()[i];
                out.data()[i].slope[0] = slope.data()[i];
            }
            return out;
        };
        const Eigen::Matrix<Dual, Eigen::Dynamic, Eigen::Dynamic> product = join(a, a_dot) * join(b, b_dot);
        const Eigen::MatrixXd want = a * b, want_dot = a_dot * b + a * b_dot;
        for (Eigen::Index i = 0; i < want.size(); ++i) {
            CHECK(std::abs(product.data()[i].value - want.data()[i]) <= 1e-13);
            CHECK(std::abs(product.data()[i].slope[0] - want_dot.data()[i]) <= 1e-13);
        }
    }
}
