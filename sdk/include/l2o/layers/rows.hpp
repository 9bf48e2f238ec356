// Operations on rows that hold a tensor: means along a dimension of it, the same along a dimension, and rows
// of unit size.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <l2o/layers/value.hpp>
#include <l2o/numerics/sum.hpp>
#include <l2o/sdk/spec.hpp>
#include <string>

namespace l2o::layers {

/// A dimension of tensors of one shape, whose entries are the entries of a row: `extent` of them lie along
/// it, `inner` apart, `outer` times.
struct Axis {
    /// Dimension i of a tensor of this shape.
    Axis(const Shape& shape, std::size_t i) : extent(shape[i]) {
        for (std::size_t k = 0; k < shape.size(); ++k)
            if (k != i) (k < i ? outer : inner) *= shape[k];
    }
    [[nodiscard]] std::int64_t rest() const { return outer * inner; }

    std::int64_t outer = 1, extent, inner = 1;
};

namespace detail {

/// to [outer, inner] += scale * the sums of from [outer, extent, inner] along the axis; or
/// to [outer, extent, inner] += scale * from [outer, inner], the same along the axis.
template <bool kSums, class T>
void add_over(const Axis& axis, const T* from, T scale, T* to) {
    const std::int64_t all = axis.extent * axis.inner, from_step = kSums ? axis.inner : 0,
                       to_step = kSums ? 0 : axis.inner;
    for (std::int64_t o = 0; o < axis.outer; ++o) {
        if (axis.inner > 1) {
            for (std::int64_t d = 0; d < axis.extent; ++d)
                for (std::int64_t i = 0; i < axis.inner; ++i)
                    to[d * to_step + i] += scale * from[d * from_step + i];
        } else if constexpr (kSums) {
            *to += scale * T(numerics::sum_over(std::size_t(all), [from](std::size_t d) { return from[d]; }));
        } else {
            for (std::int64_t d = 0; d < all; ++d) to[d] += scale * *from;
        }
        from += kSums ? all : axis.inner, to += kSums ? axis.inner : all;
    }
}

/// [B, rest of the axis]: the mean along it; or [B, entries]: what a has, at all entries along the axis.
template <bool kMean, class T>
class AlongAxis final : public Node<T> {
  public:
    AlongAxis(Tape<T>& tape, Value<T> a, const Axis& axis)
        : Node<T>(tape, a->is_batched(), axis.rest() * (kMean ? 1 : axis.extent), std::array{a}, false),
          a_(a),
          axis_(axis) {}

  private:
    void compute(const View<T>& to, T, bool) override {
        fill(to, 0);
        pass<kMean>(a_->value(), to);
    }
    void back(const View<const T>& bar) override { pass<!kMean>(bar, a_->own_bar()); }
    template <bool kSums>
    void pass(const View<const T>& from, const View<T>& to) const {
        const T scale = kMean ? T(1) / T(axis_.extent) : T(1);
        for (std::int64_t r = 0; r < to.rows; ++r) add_over<kSums>(axis_, from.row(r), scale, to.row(r));
    }

    Value<T> a_;
    Axis axis_;
};

/// y = r a, r = (eps + mean a^2)^(-1/2) of the row:  a_bar = r (y_bar - y mean(y_bar y)).
template <class T>
class UnitRows final : public Node<T> {
  public:
    UnitRows(Tape<T>& tape, Value<T> a, double eps)
        : Node<T>(tape, a->is_batched(), a->cols(), std::array{a}, false), a_(a), eps_(eps) {
        inverse_ = this->fresh(1);
    }

  private:
    [[nodiscard]] T inverse(const T* a) const {
        const double squares = numerics::sum_over(std::size_t(this->cols()),
                                                  [a](std::size_t i) { return double(a[i]) * double(a[i]); });
        return T(1 / std::sqrt(eps_ + squares / double(this->cols())));
    }
    void compute(const View<T>& to, T, bool) override {
        const View<const T> a = a_->value();
        for (std::int64_t r = 0; r < to.rows; ++r) {
            const T *from = a.row(r), by = inverse_(r, 0) = inverse(from);
            T* y = to.row(r);
            for (std::int64_t i = 0; i < to.cols; ++i) y[i] = from[i] * by;
        }
        has_inverse_ = true;
    }
    void back(const View<const T>& bar) override {
        const View<const T> y = this->value();
        const View<T> a_bar = a_->own_bar();
        for (std::int64_t r = 0; r < bar.rows; ++r) {
            const T *y_r = y.row(r), *bar_r = bar.row(r);
            const double product = numerics::sum_over(
                std::size_t(bar.cols), [=](std::size_t i) { return double(y_r[i]) * double(bar_r[i]); });
            const T along = T(product / double(bar.cols));
            const T by = has_inverse_ ? inverse_(r, 0) : inverse(a_->value().row(r));
            T* to = a_bar.row(r);
            for (std::int64_t i = 0; i < bar.cols; ++i) to[i] += by * (bar_r[i] - y_r[i] * along);
        }
    }

    Value<T> a_;
    double eps_;
    View<T> inverse_;
    bool has_inverse_ = false;  // not where the host kept the value
};

}  // namespace detail

/// The mean along an axis of rows that hold a tensor: [B, outer extent inner] -> [B, outer inner].
template <class T>
Value<T> mean_over(Value<T> a, const Axis& axis) {
    if (!a) return a;
    if (a->cols() != axis.rest() * axis.extent)
        invalid("rows of " + std::to_string(a->cols()) + " entries have an axis of " +
                std::to_string(axis.rest() * axis.extent) + "; expected one of as many");
    return Value<T>(a->tape().template add<detail::AlongAxis<true, T>>(a, axis));
}
/// The same at every entry along the axis: [B, outer inner] -> [B, outer extent inner].
template <class T>
Value<T> along(Value<T> a, const Axis& axis) {
    return a ? Value<T>(a->tape().template add<detail::AlongAxis<false, T>>(a, axis)) : a;
}
/// Every row divided by sqrt(eps + its mean square), which is summed in double.
template <class T>
Value<T> unit_rows(Value<T> a, double eps) {
    return a ? Value<T>(a->tape().template add<detail::UnitRows<T>>(a, eps)) : a;
}

}  // namespace l2o::layers
