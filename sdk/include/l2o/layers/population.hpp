// Operations between the particles of a population, whose rows are those of an instance one after the other:
// row i belongs to a particle, column j of [rows, P] to the j-th of the same instance.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <l2o/layers/value.hpp>
#include <l2o/numerics/sum.hpp>
#include <limits>
#include <string>

namespace l2o::layers {

namespace detail {

template <class T>
void check_population(const Node<T>& a, std::int64_t particles) {
    if (particles < 1 || a.rows() % particles != 0 || (!a.is_batched() && particles > 1))
        invalid(std::to_string(a.rows()) + " rows are taken as populations of " + std::to_string(particles) +
                "; expected the rows of a batch, and as many as the particles that were declared");
}
/// The first row of every instance.
template <class F>
void each_instance(std::int64_t rows, std::int64_t particles, F&& f) {
    for (std::int64_t first = 0; first < rows; first += particles) f(first);
}

/// of_rows(i, j) of rows i and j of one instance: their product, or the square of their distance.
template <bool kDistances, class T>
class Pairs final : public Node<T> {
  public:
    Pairs(Tape<T>& tape, Value<T> a, std::int64_t particles)
        : Node<T>(tape, a->is_batched(), particles, std::array{a}, false), a_(a), particles_(particles) {}

  private:
    void compute(const View<T>& to, T, bool) override {
        const View<const T> a = a_->value();
        each_instance(to.rows, particles_, [&](std::int64_t first) {
            for (std::int64_t i = 0; i < particles_; ++i)
                for (std::int64_t j = i; j < particles_; ++j)
                    to(first + i, j) = to(first + j, i) = pair(a, first + i, first + j);
        });
    }
    static T pair(const View<const T>& a, std::int64_t i, std::int64_t j) {
        const T *x = a.row(i), *y = a.row(j);
        return T(numerics::sum_over(std::size_t(a.cols), [=](std::size_t k) {
            return kDistances ? (x[k] - y[k]) * (x[k] - y[k]) : x[k] * y[k];
        }));
    }
    void back(const View<const T>& bar) override {
        const View<const T> a = a_->value();
        const View<T> a_bar = a_->own_bar();
        each_instance(bar.rows, particles_, [&](std::int64_t first) {
            for (std::int64_t i = 0; i < particles_; ++i)
                for (std::int64_t j = 0; j < particles_; ++j) {
                    const T *x = a.row(first + i), *y = a.row(first + j);
                    const T both = bar(first + i, j) + bar(first + j, i);
                    T* x_bar = a_bar.row(first + i);
                    for (std::int64_t k = 0; k < a.cols; ++k)
                        x_bar[k] += kDistances ? 2 * both * (x[k] - y[k]) : both * y[k];
                }
        });
    }

    Value<T> a_;
    std::int64_t particles_;
};

/// The sum over j of w(i, j) times row j, or times the difference of rows i and j.
template <bool kDifferences, class T>
class Weighted final : public Node<T> {
  public:
    Weighted(Tape<T>& tape, Value<T> w, Value<T> a)
        : Node<T>(tape, a->is_batched(), a->cols(), std::array{w, a}, false), w_(w), a_(a) {}

  private:
    void compute(const View<T>& to, T, bool) override {
        const View<const T> w = w_->value(), a = a_->value();
        each_instance(to.rows, w.cols, [&](std::int64_t first) {
            for (std::int64_t i = first; i < first + w.cols; ++i) {
                const T* x = a.row(i);
                T* sum = to.row(i);
                std::fill_n(sum, to.cols, T(0));
                for (std::int64_t j = 0; j < w.cols; ++j) {
                    const T *y = a.row(first + j), by = w(i, j);
                    for (std::int64_t k = 0; k < to.cols; ++k)
                        sum[k] += by * (kDifferences ? x[k] - y[k] : y[k]);
                }
            }
        });
    }
    void back(const View<const T>& bar) override {
        const View<const T> w = w_->value(), a = a_->value();
        const View<T> w_bar = w_->is_wanted() ? w_->own_bar() : View<T>{},
                      a_bar = a_->is_wanted() ? a_->own_bar() : View<T>{};
        each_instance(bar.rows, w.cols, [&](std::int64_t first) {
            for (std::int64_t i = first; i < first + w.cols; ++i)
                for (std::int64_t j = 0; j < w.cols; ++j) {
                    const T *x = a.row(i), *y = a.row(first + j), *z_bar = bar.row(i), by = w(i, j);
                    if (w_bar)
                        w_bar(i, j) += T(numerics::sum_over(std::size_t(bar.cols), [=](std::size_t k) {
                            return z_bar[k] * (kDifferences ? x[k] - y[k] : y[k]);
                        }));
                    for (std::int64_t k = 0; a_bar && k < bar.cols; ++k) {
                        if (kDifferences) a_bar(i, k) += by * z_bar[k];
                        a_bar(first + j, k) += (kDifferences ? -by : by) * z_bar[k];
                    }
                }
        });
    }

    Value<T> w_, a_;
};

/// [rows, 1] -> [rows, P]: column j is that of particle j.
template <class T>
class OfAll final : public Node<T> {
  public:
    OfAll(Tape<T>& tape, Value<T> a, std::int64_t particles)
        : Node<T>(tape, a->is_batched(), particles, std::array{a}, false), a_(a) {}

  private:
    void compute(const View<T>& to, T, bool) override {
        const View<const T> a = a_->value();
        each_instance(to.rows, to.cols, [&](std::int64_t first) {
            for (std::int64_t i = 0; i < to.cols; ++i)
                for (std::int64_t j = 0; j < to.cols; ++j) to(first + i, j) = a(first + j, 0);
        });
    }
    void back(const View<const T>& bar) override {
        const View<T> a_bar = a_->own_bar();
        each_instance(bar.rows, bar.cols, [&](std::int64_t first) {
            for (std::int64_t i = 0; i < bar.cols; ++i)
                for (std::int64_t j = 0; j < bar.cols; ++j) a_bar(first + j, 0) += bar(first + i, j);
        });
    }

    Value<T> a_;
};

/// y_j = e^{a_j} / sum over k of e^{a_k}:  a_bar = y (y_bar - <y, y_bar>).
template <class T>
class Softmax final : public Node<T> {
  public:
    Softmax(Tape<T>& tape, Value<T> a)
        : Node<T>(tape, a->is_batched(), a->cols(), std::array{a}, false), a_(a) {}

  private:
    static constexpr T kNone = -std::numeric_limits<T>::infinity();

    void compute(const View<T>& to, T, bool) override {
        const View<const T> a = a_->value();
        for (std::int64_t r = 0; r < to.rows; ++r) {
            const T* from = a.row(r);
            T *y = to.row(r), most = kNone, sum = 0;
            for (std::int64_t j = 0; j < to.cols; ++j) most = from[j] > most ? from[j] : most;
            // Relative to the largest: e^{-d^2} itself is soon 0 for all.
            for (std::int64_t j = 0; j < to.cols; ++j)
                sum += y[j] = from[j] == kNone ? T(0) : std::exp(from[j] - most);
            for (std::int64_t j = 0; j < to.cols && sum != 0; ++j) y[j] /= sum;
        }
    }
    void back(const View<const T>& bar) override {
        const View<const T> y = this->value();
        const View<T> a_bar = a_->own_bar();
        for (std::int64_t r = 0; r < bar.rows; ++r) {
            T mean = 0;
            for (std::int64_t j = 0; j < bar.cols; ++j) mean += y(r, j) * bar(r, j);
            for (std::int64_t j = 0; j < bar.cols; ++j) a_bar(r, j) += y(r, j) * (bar(r, j) - mean);
        }
    }

    Value<T> a_;
};

template <bool kDifferences, class T>
Value<T> weighted(Value<T> w, Value<T> a) {
    check_population(*w.node(), w->cols());
    check_population(*a.node(), w->cols());
    return Value<T>(a->tape().template add<Weighted<kDifferences, T>>(w, a));
}

}  // namespace detail

/// [rows, P]: the products of a row with those of its instance.
template <class T>
Value<T> products_of_pairs(Value<T> a, std::int64_t particles) {
    detail::check_population(*a.node(), particles);
    return Value<T>(a->tape().template add<detail::Pairs<false, T>>(a, particles));
}
/// [rows, P]: the squares of the distances between rows of an instance.
template <class T>
Value<T> squared_distances(Value<T> a, std::int64_t particles) {
    detail::check_population(*a.node(), particles);
    return Value<T>(a->tape().template add<detail::Pairs<true, T>>(a, particles));
}
/// Row i: the sum over j of w(i, j) times row j.   @param w  [rows, P]
template <class T>
Value<T> sum_of_particles(Value<T> w, Value<T> a) {
    return detail::weighted<false>(w, a);
}
/// Row i: the sum over j of w(i, j) times (row i - row j), without cancellation where rows are close.
template <class T>
Value<T> sum_of_differences(Value<T> w, Value<T> a) {
    return detail::weighted<true>(w, a);
}
/// [rows, P]: what all particles of the instance have, of one number for each.
template <class T>
Value<T> of_all_particles(Value<T> a, std::int64_t particles) {
    detail::check_population(*a.node(), particles);
    if (a->cols() != 1)
        invalid("particles have " + std::to_string(a->cols()) + " numbers each; expected one");
    return Value<T>(a->tape().template add<detail::OfAll<T>>(a, particles));
}
/// The softmax of every row; an entry of -inf has the weight 0, and where all are -inf, all have.
template <class T>
Value<T> softmax(Value<T> a) {
    return a ? Value<T>(a->tape().template add<detail::Softmax<T>>(a)) : a;
}

}  // namespace l2o::layers
