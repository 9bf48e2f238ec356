// Operations entry by entry: sums, scaling, the soft threshold.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <l2o/layers/value.hpp>
#include <l2o/numerics/soft_threshold.hpp>
#include <l2o/numerics/sum.hpp>
#include <span>
#include <string>
#include <type_traits>

namespace l2o::layers {

namespace detail {

template <class T>
void check_same(const char* what, const Node<T>& a, const Node<T>& b) {
    if (a.cols() != b.cols() || a.is_batched() != b.is_batched())
        invalid(std::string(what) + " of rows of " + std::to_string(a.cols()) + " and of " +
                std::to_string(b.cols()) + " entries; expected two of one size, batched both or neither");
}
template <class T>
std::span<T> row(const View<T>& v, std::int64_t r) {
    return {v.row(r), static_cast<std::size_t>(v.cols)};
}
/// A number for all rows, or one for each.
template <class T>
T number(const View<const T>& v, std::int64_t r) {
    return v.rows == 1 ? v(0, 0) : v(r, 0);
}

/// a + beta b
template <class T>
class Sum final : public Node<T> {
  public:
    Sum(Tape<T>& tape, Value<T> a, Value<T> b, T beta)
        : Node<T>(tape, b->is_batched(), b->cols(), std::array{a, b}, true), a_(a), b_(b), beta_(beta) {}

  private:
    void compute(const View<T>& to, T alpha, bool adds) override {
        if (a_) a_->into(to, alpha, adds);
        b_->into(to, alpha * beta_, adds || a_);
    }
    void back(const View<const T>& bar) override {
        if (a_) a_->give(bar);
        b_->give(bar, beta_);
    }

    Value<T> a_, b_;
    T beta_;
};

/// x + c u, c one number. Where it is known when its cotangent comes, u is not computed again.
template <class T>
class Move final : public Node<T> {
  public:
    Move(Tape<T>& tape, Value<T> x, Value<T> c, Value<T> u)
        : Node<T>(tape, u->is_batched(), u->cols(), std::array{x, c, u}, true), x_(x), c_(c), u_(u) {}

  private:
    void compute(const View<T>& to, T alpha, bool adds) override {
        const T c = c_->value().scalar();
        if (adds || u_->is_known()) {
            if (x_) x_->into(to, alpha, adds);
            u_->into(to, alpha * c, adds || x_);
            return;
        }
        u_->into(to, 1, false);  // u in place; a product is scaled when its sums are complete
        const T scale = alpha * c;
        if (x_ && x_->is_known() && alpha == 1 && !u_->is_linear()) {
            each([scale](T x, T& z) { z = x + scale * z; }, x_->value(), to);
            return;
        }
        each([scale](T& z) { z *= scale; }, to);
        if (x_) x_->into(to, alpha, true);
    }
    void back(const View<const T>& bar) override {
        const T c = c_->value().scalar();
        if (c_->is_wanted()) c_->own_bar().scalar() += T(by_c(bar, c));
        if (x_) x_->give(bar);
        u_->give(bar, c);
    }
    /// <bar, u>
    double by_c(const View<const T>& bar, T c) {
        double sum = 0;
        if (!this->is_known() || u_->is_known() || c == 0) {
            const View<const T> u = u_->value();
            for (std::int64_t r = 0; r < bar.rows; ++r)
                sum +=
                    numerics::sum_over(std::size_t(bar.cols),
                                       [a = bar.row(r), b = u.row(r)](std::size_t i) { return a[i] * b[i]; });
            return sum;
        }
        const View<const T> z = this->value(), x = x_ ? x_->value() : View<const T>{};
        for (std::int64_t r = 0; r < bar.rows; ++r) {
            const T *a = bar.row(r), *b = z.row(r);
            const auto n = static_cast<std::size_t>(bar.cols);
            if (x)
                sum += numerics::sum_over(
                    n, [=, x0 = x.row(r)](std::size_t i) { return a[i] * ((b[i] - x0[i]) / c); });
            else
                sum += numerics::sum_over(n, [=](std::size_t i) { return a[i] * (b[i] / c); });
        }
        return sum;
    }

    Value<T> x_, c_, u_;
};

/// The soft threshold of z by theta, one number, or one for each row.
template <class T>
class Soft final : public Node<T> {
  public:
    Soft(Tape<T>& tape, Value<T> z, Value<T> theta)
        : Node<T>(tape, z->is_batched(), z->cols(), std::array{z, theta}, false), z_(z), theta_(theta) {}

  private:
    void compute(const View<T>& to, T, bool) override {
        const View<const T> theta = theta_->value();
        z_->into(to, 1, false);
        for (std::int64_t r = 0; r < to.rows; ++r) {
            const T t = number(theta, r);
            each([t](T& z) { z = numerics::soft_threshold(z, t); }, View<T>{to.row(r), 1, to.cols, to.cols});
        }
    }
    void back(const View<const T>& bar) override {
        // Where the result is known it is 0 exactly where the slope is, and has the sign of z elsewhere.
        const bool known = this->is_known();
        const View<const T> z = known ? this->value() : z_->value(), theta = theta_->value();
        const View<T> z_bar = this->bar_room();
        View<T> theta_bar = theta_->is_wanted() ? theta_->own_bar() : View<T>{};
        double total = 0;
        for (std::int64_t r = 0; r < bar.rows; ++r) {
            const double by_theta = numerics::soft_threshold_vjp<T>(
                row(z, r), known ? T(0) : number(theta, r), row(bar, r), row(z_bar, r));
            if (theta_bar && theta_->is_batched())
                theta_bar(r, 0) += T(by_theta);
            else
                total += by_theta;
        }
        if (theta_bar && !theta_->is_batched()) theta_bar.scalar() += T(total);
        z_->give(read_only(z_bar));
    }

    Value<T> z_, theta_;
};

/// Columns first .. first + cols - 1 of a.
template <class T>
class Columns final : public Node<T> {
  public:
    /// a is used twice: it may be one of several, and a part does not say where the whole could lie.
    Columns(Tape<T>& tape, Value<T> a, std::int64_t first, std::int64_t cols)
        : Node<T>(tape, a->is_batched(), cols, std::array{a, a}, true), a_(a), first_(first) {}

  private:
    void compute(const View<T>& to, T alpha, bool adds) override {
        this->write(part(a_->value(), first_, this->cols()), to, alpha, adds);
    }
    void back(const View<const T>& bar) override {
        this->write(bar, part(a_->own_bar(), first_, this->cols()), 1, true);
    }

    Value<T> a_;
    std::int64_t first_;
};

}  // namespace detail

/// a as a constant for differentiation.
template <class T>
Value<T> stopped(Value<T> a) {
    if (!a) return a;
    auto* same = a->tape().template add<detail::Sum<T>>(Value<T>{}, a, T(1));
    same->stop();
    return Value<T>(same);
}
/// Columns first .. first + cols - 1 of the rows of a.
template <class T>
Value<T> columns(Value<T> a, std::int64_t first, std::int64_t cols) {
    if (!a) return a;
    if (first < 0 || cols < 1 || first + cols > a->cols())
        invalid("columns " + std::to_string(first) + " to " + std::to_string(first + cols - 1) +
                " are taken of rows of " + std::to_string(a->cols()) + " entries; expected some of them");
    return Value<T>(a->tape().template add<detail::Columns<T>>(a, first, cols));
}
template <class T>
Value<T> operator+(Value<T> a, Value<T> b) {
    if (!a || !b) return a ? a : b;
    detail::check_same("a sum", *a.node(), *b.node());
    return Value<T>(b->tape().template add<detail::Sum<T>>(a, b, T(1)));
}
template <class T>
Value<T> operator-(Value<T> a, Value<T> b) {
    if (!b) return a;
    if (a) detail::check_same("a difference", *a.node(), *b.node());
    return Value<T>(b->tape().template add<detail::Sum<T>>(a, b, T(-1)));
}
template <class T>
Value<T> operator*(std::type_identity_t<T> c, Value<T> a) {
    return a ? Value<T>(a->tape().template add<detail::Sum<T>>(Value<T>{}, a, c)) : a;
}
/// x + c u, c one number.
template <class T>
Value<T> move(Value<T> x, Value<T> c, Value<T> u) {
    if (!u || !c) return x;
    if (c->cols() != 1 || c->is_batched()) invalid("a value is scaled by several numbers; expected one");
    if (x) detail::check_same("a step", *x.node(), *u.node());
    return Value<T>(u->tape().template add<detail::Move<T>>(x, c, u));
}
/// c u, c one number.
template <class T>
Value<T> operator*(Value<T> c, Value<T> u) {
    return move(Value<T>{}, c, u);
}
/// sign(z) max(|z| - theta, 0); theta one number, or one for each row, of either sign.
template <class T>
Value<T> soft(Value<T> z, Value<T> theta) {
    if (!z) return z;
    if (theta->cols() != 1) invalid("a threshold has several numbers for a row; expected one");
    return Value<T>(z->tape().template add<detail::Soft<T>>(z, theta));
}
}  // namespace l2o::layers
