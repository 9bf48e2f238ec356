// Products of batched values with matrices: parameters, or data. The only header here that needs Eigen.
#pragma once

#include <l2o/layers/value.hpp>
#include <l2o/numerics/dense.hpp>
#include <l2o/numerics/view.hpp>

namespace l2o::layers {

/// A matrix that values are multiplied with, as it lies there or transposed.
template <class T>
struct Matrix {
    View<const T> value{};
    View<T> bar{};  ///< its accumulator; empty: not wanted, or data
    bool is_transposed = false;
    bool is_wanted = false;
    bool is_by_row = false;  ///< see by_row()

    [[nodiscard]] std::int64_t rows() const { return is_transposed ? value.cols : value.rows; }
    [[nodiscard]] std::int64_t cols() const { return is_transposed ? value.rows : value.cols; }
};
template <class T>
Matrix<T> t(Matrix<T> m) {
    m.is_transposed = !m.is_transposed;
    return m;
}
/// Every row is multiplied by itself: its bits do not depend on how many there are. Slower, of many rows.
template <class T>
Matrix<T> by_row(Matrix<T> m) {
    m.is_by_row = true;
    return m;
}

namespace detail {

template <class T>
class Product final : public Node<T> {
  public:
    Product(Tape<T>& tape, Value<T> a, const Matrix<T>& m)
        : Node<T>(tape, a->is_batched(), m.cols(), a->is_wanted() || m.is_wanted, true), a_(a), m_(m) {
        a->use();
    }

  private:
    void compute(const View<T>& to, T alpha, bool adds) override {
        if (!adds) fill(to, 0);
        add(to, alpha, a_->value(), m_.is_transposed);
    }
    void back(const View<const T>& bar) override {
        if (m_.bar && m_.is_transposed)
            numerics::add_product_tn<T>(
                numerics::matrix(m_.bar), 1, numerics::matrix(bar), numerics::matrix(a_->value()));
        else if (m_.bar)
            numerics::add_product_tn<T>(
                numerics::matrix(m_.bar), 1, numerics::matrix(a_->value()), numerics::matrix(bar));
        if (a_->is_wanted()) add(a_->own_bar(), 1, bar, !m_.is_transposed);
    }
    /// to += alpha a m, or alpha a m^T
    void add(const View<T>& to, T alpha, const View<const T>& a, bool transposed) const {
        const std::int64_t rows = m_.is_by_row ? 1 : to.rows;
        for (std::int64_t r = 0; r < to.rows; r += rows) {
            const auto to_rows = numerics::matrix(View<T>{to.row(r), rows, to.cols, to.stride});
            const auto a_rows = numerics::matrix(View<const T>{a.row(r), rows, a.cols, a.stride});
            if (transposed)
                numerics::add_product_nt<T>(to_rows, alpha, a_rows, numerics::matrix(m_.value));
            else
                numerics::add_product<T>(to_rows, alpha, a_rows, numerics::matrix(m_.value));
        }
    }

    Value<T> a_;
    Matrix<T> m_;
};

}  // namespace detail

/// The rows of a times m.
template <class T>
Value<T> operator*(Value<T> a, const Matrix<T>& m) {
    if (!a) return a;
    if (a->cols() != m.rows())
        invalid("rows of " + std::to_string(a->cols()) + " entries are multiplied with a matrix of " +
                std::to_string(m.rows()) + " rows; expected as many");
    return Value<T>(a->tape().template add<detail::Product<T>>(a, m));
}

}  // namespace l2o::layers
