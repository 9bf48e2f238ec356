// Planes: a row of m n entries as m planes of n, [m, n], the numbers of one coordinate n apart.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <l2o/layers/value.hpp>
#include <l2o/numerics/sum.hpp>
#include <string>

namespace l2o::layers {

namespace detail {

/// [B, n]: the sum of w_i plane_i.
template <class T>
class Mixed final : public Node<T> {
  public:
    Mixed(Tape<T>& tape, Value<T> planes, Value<T> w, std::int64_t n)
        : Node<T>(tape, planes->is_batched(), n, std::array{planes, w}, false), planes_(planes), w_(w) {}

  private:
    void compute(const View<T>& to, T, bool) override {
        const View<const T> planes = planes_->value(), w = w_->value();
        for (std::int64_t r = 0; r < to.rows; ++r) {
            T* sum = to.row(r);
            std::fill_n(sum, to.cols, T(0));
            for (std::int64_t i = 0; i < w.cols; ++i) {
                const T *plane = planes.row(r) + i * to.cols, w_i = w(0, i);
                for (std::int64_t j = 0; j < to.cols; ++j) sum[j] += w_i * plane[j];
            }
        }
    }
    void back(const View<const T>& bar) override {
        const View<const T> planes = planes_->value(), w = w_->value();
        const View<T> w_bar = w_->is_wanted() ? w_->own_bar() : View<T>{};
        const View<T> planes_bar = planes_->is_wanted() ? planes_->own_bar() : View<T>{};
        for (std::int64_t i = 0; i < w.cols; ++i) {
            double sum = 0;
            for (std::int64_t r = 0; r < bar.rows; ++r) {
                const T *from = bar.row(r), *plane = planes.row(r) + i * bar.cols, w_i = w(0, i);
                sum += numerics::sum_over(std::size_t(bar.cols),
                                          [=](std::size_t j) { return from[j] * plane[j]; });
                if (!planes_bar) continue;
                T* to = planes_bar.row(r) + i * bar.cols;
                for (std::int64_t j = 0; j < bar.cols; ++j) to[j] += w_i * from[j];
            }
            if (w_bar) w_bar(0, i) += T(sum);
        }
    }

    Value<T> planes_, w_;
};

/// [B, m]: the mean over each plane, summed in double.
template <class T>
class PlaneMeans final : public Node<T> {
  public:
    PlaneMeans(Tape<T>& tape, Value<T> planes, std::int64_t n)
        : Node<T>(tape, planes->is_batched(), planes->cols() / n, std::array{planes}, false),
          planes_(planes),
          n_(n) {}

  private:
    void compute(const View<T>& to, T, bool) override {
        const View<const T> planes = planes_->value();
        for (std::int64_t r = 0; r < to.rows; ++r)
            for (std::int64_t i = 0; i < to.cols; ++i) {
                const T* plane = planes.row(r) + i * n_;
                to(r, i) = T(numerics::sum_over(std::size_t(n_), [=](std::size_t j) { return plane[j]; }) /
                             double(n_));
            }
    }
    void back(const View<const T>& bar) override {
        const View<T> planes_bar = planes_->own_bar();
        for (std::int64_t r = 0; r < bar.rows; ++r)
            for (std::int64_t i = 0; i < bar.cols; ++i) {
                const T share = bar(r, i) / T(n_);
                T* to = planes_bar.row(r) + i * n_;
                for (std::int64_t j = 0; j < n_; ++j) to[j] += share;
            }
    }

    Value<T> planes_;
    std::int64_t n_;
};

/// Rows of a, and after them those of b.
template <class T>
class Joined final : public Node<T> {
  public:
    Joined(Tape<T>& tape, Value<T> a, Value<T> b)
        : Node<T>(tape, a->is_batched(), a->cols() + b->cols(), std::array{a, b}, false), a_(a), b_(b) {}

  private:
    void compute(const View<T>& to, T, bool) override {
        a_->into(part(to, 0, a_->cols()), 1, false);
        b_->into(part(to, a_->cols(), b_->cols()), 1, false);
    }
    void back(const View<const T>& bar) override {
        a_->give(part(bar, 0, a_->cols()));
        b_->give(part(bar, a_->cols(), b_->cols()));
    }

    Value<T> a_, b_;
};

}  // namespace detail

/// The sum of w_i times plane i, over the first planes: as many as w, one row, has entries.
template <class T>
Value<T> mixed(Value<T> planes, Value<T> w, std::int64_t n) {
    if (n < 1 || planes->cols() % n != 0 || w->is_batched() || w->cols() * n > planes->cols())
        invalid(std::to_string(w->cols()) + " planes of " + std::to_string(n) +
                " entries are taken of rows of " + std::to_string(planes->cols()) +
                "; expected some of their planes, and one row of weights");
    return Value<T>(planes->tape().template add<detail::Mixed<T>>(planes, w, n));
}
/// The mean over each plane.
template <class T>
Value<T> plane_means(Value<T> planes, std::int64_t n) {
    return Value<T>(planes->tape().template add<detail::PlaneMeans<T>>(planes, n));
}
/// Rows of a, and after them those of b.
template <class T>
Value<T> joined(Value<T> a, Value<T> b) {
    if (a->is_batched() != b->is_batched())
        invalid("rows are joined with one row for all; expected both batched");
    return Value<T>(a->tape().template add<detail::Joined<T>>(a, b));
}

}  // namespace l2o::layers
