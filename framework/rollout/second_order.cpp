#include "framework/rollout/second_order.hpp"

#include <algorithm>
#include <cmath>

#include "framework/rollout/arithmetic.hpp"

namespace l2o::framework {
void add_squares(const TensorSet& set, std::vector<double>& squares) {
    for (const Tensor& tensor : set.tensors()) {
        with_values(
            [&](auto values) {
                const std::size_t cols = values.size() / squares.size();
                for (std::size_t i = 0; i < values.size(); ++i)
                    squares[i / cols] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
            },
            tensor);
    }
}

void SecondOrderOracle::reserve() {
    Point point(stepper_.layout(), {.g = true, .f = false, .state = false});
    out_ = std::move(point.g);
    out_rows_ = std::move(point.g_rows);
    if (!by_differences_) return;
    displaced_ = Point(stepper_.layout(), {.g = true, .f = false, .state = false});
    const auto rows = static_cast<std::size_t>(stepper_.layout().rows);
    for (std::vector<double>* of_rows : {&h_, &x_norm_, &v_norm_}) of_rows->resize(rows);
}

const TensorSet& SecondOrderOracle::gradient(const TensorSet& x_rows, std::int64_t t) {
    stepper_.gradient_at(x_rows, t, out_rows_);
    return out_;
}

const TensorSet& SecondOrderOracle::hessian_product(const TensorSet& x_rows,
                                                    const TensorSet& v_rows,
                                                    std::int64_t t) {
    if (!by_differences_) {
        stepper_.hvp(x_rows, v_rows, t, out_rows_);
        return out_;
    }
    choose_differences(x_rows, v_rows);
    displace(x_rows, v_rows, 1);
    stepper_.gradient_at(displaced_.x_rows, t, out_rows_);
    displace(x_rows, v_rows, -1);
    stepper_.gradient_at(displaced_.x_rows, t, displaced_.g_rows);
    for (std::size_t k = 0; k < out_.size(); ++k) {
        with_values(
            [&](auto product, auto below) {
                using T = typename decltype(product)::value_type;
                const std::size_t cols = product.size() / h_.size();
                for (std::size_t i = 0; i < product.size(); ++i)
                    product[i] = (product[i] - below[i]) / static_cast<T>(2 * h_[i / cols]);
            },
            out_rows_[k],
            displaced_.g_rows[k]);
    }
    return out_;
}

/// h of every row.
void SecondOrderOracle::choose_differences(const TensorSet& x_rows, const TensorSet& v_rows) {
    std::fill(x_norm_.begin(), x_norm_.end(), 0);
    std::fill(v_norm_.begin(), v_norm_.end(), 0);
    add_squares(x_rows, x_norm_);
    add_squares(v_rows, v_norm_);
    const double rounding = stepper_.layout().dtype == Dtype::kF32 ? 0x1p-23 : 0x1p-52;
    for (std::size_t row = 0; row < h_.size(); ++row)
        h_[row] = v_norm_[row] > 0
                      ? std::cbrt(rounding) * std::max(1.0, std::sqrt(x_norm_[row])) / std::sqrt(v_norm_[row])
                      : 1;
}

/// x + sign h v
void SecondOrderOracle::displace(const TensorSet& x_rows, const TensorSet& v_rows, double sign) {
    for (std::size_t k = 0; k < x_rows.size(); ++k) {
        with_values(
            [&](auto to, auto x, auto v) {
                using T = typename decltype(to)::value_type;
                const std::size_t cols = to.size() / h_.size();
                for (std::size_t i = 0; i < to.size(); ++i)
                    to[i] = x[i] + static_cast<T>(sign * h_[i / cols]) * v[i];
            },
            displaced_.x_rows[k],
            x_rows[k],
            v_rows[k]);
    }
}

}  // namespace l2o::framework
