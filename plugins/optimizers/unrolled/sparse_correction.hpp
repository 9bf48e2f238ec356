#pragma once

#include <array>
#include <l2o/layers/product.hpp>
#include <l2o/layers/value.hpp>
#include <l2o/numerics/sparse_product.hpp>
#include <l2o/numerics/view.hpp>

namespace l2o::plugins {

/// u = c - d (x S), d one row, S symmetric, in time that goes with the entries of x that are not 0.
template <class T>
class Correction final : public layers::Node<T> {
  public:
    Correction(layers::Tape<T>& tape,
               layers::Value<T> c,
               layers::Value<T> x,
               layers::Value<T> d,
               layers::Matrix<T> s)
        : layers::Node<T>(tape, true, x->cols(), std::array{c, x}, false), c_(c), x_(x), d_(d), s_(s) {
        d->use();
        if (tape.pass() != layers::Pass::kForward) bar_by_d_ = this->fresh(x->cols());
    }

  private:
    using Output = View<T>;
    using Input = View<const T>;

    void compute(const Output& u, T, bool) override {
        fill(u, 0);
        numerics::add_sparse_product<T>(
            numerics::matrix(u), 1, numerics::matrix(x_->value()), numerics::matrix(s_.value));
        by_row([](T c, T d, T& u_i) { u_i = c - d * u_i; }, c_->value(), u);
    }
    void back(const Input& bar) override {
        c_->give(bar);
        if (!x_->is_wanted()) return;
        by_row([](T u_bar, T d, T& to) { to = d * u_bar; }, bar, bar_by_d_);
        numerics::add_sparse_product<T>(
            numerics::matrix(x_->own_bar()), -1, numerics::matrix(bar_by_d_), numerics::matrix(s_.value));
    }
    template <class F>
    void by_row(F&& f, const Input& in, const Output& to) {
        for (std::int64_t r = 0; r < to.rows; ++r)
            each(f,
                 Input{in.row(r), 1, in.cols, in.cols},
                 d_->value(),
                 Output{to.row(r), 1, to.cols, to.cols});
    }

    layers::Value<T> c_, x_, d_;
    layers::Matrix<T> s_;
    Output bar_by_d_{};
};

/// c - d (x S) of rows, d one row, S symmetric; an x of 0 costs nothing.
template <class T>
layers::Value<T> minus_scaled(layers::Value<T> c,
                              layers::Value<T> d,
                              layers::Value<T> x,
                              layers::Matrix<T> s) {
    return x ? layers::Value<T>(c->tape().template add<Correction<T>>(c, x, d, s)) : c;
}

}  // namespace l2o::plugins
