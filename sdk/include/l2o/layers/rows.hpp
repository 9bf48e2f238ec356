// Operations on the entries of a row by their places: means over groups of entries, entries of groups, and
// rows of unit size.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <l2o/layers/value.hpp>
#include <l2o/numerics/sum.hpp>
#include <span>
#include <string>

namespace l2o::layers {

namespace detail {

/// [B, groups of as many entries each]: the mean over each group.
template <class T>
class GroupMeans final : public Node<T> {
  public:
    GroupMeans(Tape<T>& tape, Value<T> a, std::span<const std::int64_t> group, std::int64_t groups)
        : Node<T>(tape, a->is_batched(), groups, std::array{a}, false),
          a_(a),
          group_(group),
          share_(T(1) / (T(a->cols()) / T(groups))) {}

  private:
    void compute(const View<T>& to, T, bool) override {
        const View<const T> a = a_->value();
        fill(to, 0);
        for (std::int64_t r = 0; r < to.rows; ++r)
            for (std::size_t j = 0; j < group_.size(); ++j) to.row(r)[group_[j]] += a.row(r)[j] * share_;
    }
    void back(const View<const T>& bar) override {
        const View<T> a_bar = a_->own_bar();
        for (std::int64_t r = 0; r < bar.rows; ++r)
            for (std::size_t j = 0; j < group_.size(); ++j) a_bar.row(r)[j] += bar.row(r)[group_[j]] * share_;
    }

    Value<T> a_;
    std::span<const std::int64_t> group_;
    T share_;
};

/// [B, entries]: the number of the group of every entry.
template <class T>
class OfGroups final : public Node<T> {
  public:
    OfGroups(Tape<T>& tape, Value<T> a, std::span<const std::int64_t> group)
        : Node<T>(tape, a->is_batched(), std::int64_t(group.size()), std::array{a}, false),
          a_(a),
          group_(group) {}

  private:
    void compute(const View<T>& to, T, bool) override {
        const View<const T> a = a_->value();
        for (std::int64_t r = 0; r < to.rows; ++r)
            for (std::size_t j = 0; j < group_.size(); ++j) to.row(r)[j] = a.row(r)[group_[j]];
    }
    void back(const View<const T>& bar) override {
        const View<T> a_bar = a_->own_bar();
        for (std::int64_t r = 0; r < bar.rows; ++r)
            for (std::size_t j = 0; j < group_.size(); ++j) a_bar.row(r)[group_[j]] += bar.row(r)[j];
    }

    Value<T> a_;
    std::span<const std::int64_t> group_;
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

/// The mean over the entries of every group.
/// @param group  of every entry, from 0 to groups - 1, all of one size; has to outlive the step.
template <class T>
Value<T> group_means(Value<T> a, std::span<const std::int64_t> group, std::int64_t groups) {
    if (!a) return a;
    if (a->cols() != std::int64_t(group.size()))
        invalid("rows of " + std::to_string(a->cols()) + " entries have " + std::to_string(group.size()) +
                " places in groups; expected as many");
    return Value<T>(a->tape().template add<detail::GroupMeans<T>>(a, group, groups));
}
/// What a holds of the group of every entry.   @param group  as above
template <class T>
Value<T> of_groups(Value<T> a, std::span<const std::int64_t> group) {
    return a ? Value<T>(a->tape().template add<detail::OfGroups<T>>(a, group)) : a;
}
/// Every row divided by sqrt(eps + its mean square), which is summed in double.
template <class T>
Value<T> unit_rows(Value<T> a, double eps) {
    return a ? Value<T>(a->tape().template add<detail::UnitRows<T>>(a, eps)) : a;
}

}  // namespace l2o::layers
