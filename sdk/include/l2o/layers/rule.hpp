// Scalar rules, written once, at every entry or summed over each row; their slopes by dual numbers.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <l2o/layers/elementwise.hpp>
#include <l2o/layers/value.hpp>
#include <l2o/numerics/dual.hpp>
#include <l2o/numerics/sum.hpp>
#include <string>
#include <utility>

namespace l2o::layers {

namespace detail {

/// What rules of several numbers have in common: the operands, of which each is as large as the result, or
/// one number per row, or one row, or one number for all; tiles of a row in which all are contiguous.
template <class T, std::size_t K>
class Operands {
  public:
    static constexpr std::int64_t kTile = 256;

    explicit Operands(const std::array<Value<T>, K>& of) : of_(of) {}
    static bool any_batched(const std::array<Value<T>, K>& of) {
        return std::ranges::any_of(of, [](const Value<T>& v) { return v->is_batched(); });
    }
    static std::int64_t widest(const std::array<Value<T>, K>& of) {
        std::int64_t cols = 1;
        for (const Value<T>& v : of) cols = std::max(cols, v->cols());
        for (const Value<T>& v : of)
            if (v->cols() != 1 && v->cols() != cols)
                invalid("a rule is applied to rows of " + std::to_string(v->cols()) + " and of " +
                        std::to_string(cols) + " entries; expected as many, or one");
        return cols;
    }
    /// body(r, from, count, const T* const (&)[K]) for all tiles of rows of `cols` entries. Rows that follow
    /// one another are one long row.
    /// @param follows  whether they do in what else the body works on
    template <class Body>
    void tiles(std::int64_t rows, std::int64_t cols, bool follows, Body&& body) {
        T fills[K][kTile];
        std::array<View<const T>, K> views;
        for (std::size_t k = 0; k < K; ++k) {
            views[k] = of_[k]->value();
            follows = follows && (is_one(k) || is_dense(k, views[k], cols));
        }
        const std::int64_t length = follows ? rows * cols : cols;
        const auto is_filled = [&](std::size_t k) { return follows ? is_one(k) : of_[k]->cols() == 1; };
        for (std::int64_t r = 0; r < (follows ? 1 : rows); ++r) {
            for (std::size_t k = 0; k < K; ++k)
                if (is_filled(k)) std::fill_n(fills[k], std::min(length, kTile), number(views[k], r));
            for (std::int64_t from = 0; from < length; from += kTile) {
                const T* at[K];
                for (std::size_t k = 0; k < K; ++k)
                    at[k] = is_filled(k) ? fills[k] : views[k].row(of_[k]->is_batched() ? r : 0) + from;
                body(r, from, std::min(kTile, length - from), at);
            }
        }
    }
    /// The slopes of rule times bar, added to the cotangents of the operands.
    /// @param bar  [rows, cols], or one number for a row
    template <class Rule>
    void back(const Rule& rule, std::int64_t rows, std::int64_t cols, const View<const T>& bar) {
        using Number = numerics::Dual<T, K>;
        std::array<View<T>, K> bars{};
        double totals[K] = {}, of_row[K] = {};
        const bool one_per_row = bar.cols != cols;
        bool follows = !one_per_row && bar.stride == cols;
        for (std::size_t k = 0; k < K; ++k) {
            if (of_[k]->is_wanted()) bars[k] = of_[k]->own_bar();
            follows = follows && (is_one(k) || (is_dense(k, of_[k]->value(), cols) &&
                                                (!bars[k] || is_dense(k, bars[k], cols))));
        }
        const std::int64_t length = follows ? rows * cols : cols;
        tiles(rows,
              cols,
              follows,
              [&, rule](std::int64_t r, std::int64_t from, std::int64_t count, const auto& at) {
                  T slopes[K][kTile];
                  const T* bar_at = one_per_row ? nullptr : bar.row(r) + from;
                  const T bar_of_row = one_per_row ? bar(r, 0) : T(0);
                  for (std::int64_t i = 0; i < count; ++i) {
                      const Number f = [&]<std::size_t... k>(std::index_sequence<k...>) {
                          return rule(Number::variable(at[k][i], k)...);
                      }
                      (std::make_index_sequence<K>{});
                      const T bar_i = one_per_row ? bar_of_row : bar_at[i];
                      for (std::size_t k = 0; k < K; ++k) slopes[k][i] = bar_i * f.slope[k];
                  }
                  for (std::size_t k = 0; k < K; ++k) {
                      if (!bars[k]) continue;
                      if (of_[k]->cols() == cols && !is_one(k)) {
                          T* to = bars[k].row(of_[k]->is_batched() ? r : 0) + from;
                          for (std::int64_t i = 0; i < count; ++i) to[i] += slopes[k][i];
                          continue;
                      }
                      if (from == 0) of_row[k] = 0;
                      of_row[k] +=
                          numerics::sum_over(std::size_t(count), [&](std::size_t i) { return slopes[k][i]; });
                      if (from + count < length) continue;
                      if (of_[k]->is_batched())
                          bars[k](r, 0) += T(of_row[k]);
                      else
                          totals[k] += of_row[k];
                  }
              });
        for (std::size_t k = 0; k < K; ++k)
            if (bars[k] && is_one(k)) bars[k].scalar() += T(totals[k]);
    }
    template <class Rule>
    static T apply(const Rule& rule, const T* const (&at)[K], std::int64_t i) {
        return [&]<std::size_t... k>(std::index_sequence<k...>) { return T(rule(at[k][i]...)); }
        (std::make_index_sequence<K>{});
    }

  private:
    /// One number for all entries of all rows.
    [[nodiscard]] bool is_one(std::size_t k) const { return of_[k]->cols() == 1 && !of_[k]->is_batched(); }
    template <class V>
    [[nodiscard]] bool is_dense(std::size_t k, const V& view, std::int64_t cols) const {
        return of_[k]->is_batched() && of_[k]->cols() == cols && view.stride == cols;
    }

    std::array<Value<T>, K> of_;
};

/// A rule at every entry.
template <class T, class Rule, std::size_t K>
class Mapped final : public Node<T> {
  public:
    Mapped(Tape<T>& tape, const Rule& rule, const std::array<Value<T>, K>& of)
        : Node<T>(tape, Operands<T, K>::any_batched(of), Operands<T, K>::widest(of), of, false),
          rule_(rule),
          of_(of) {}

  private:
    void compute(const View<T>& to, T, bool) override {
        of_.tiles(to.rows,
                  to.cols,
                  to.stride == to.cols,
                  // A copy of the rule: what is written changes none of its numbers.
                  [&to, rule = rule_](std::int64_t r, std::int64_t from, std::int64_t count, const auto& at) {
                      T* out = to.row(r) + from;
                      for (std::int64_t i = 0; i < count; ++i) out[i] = Operands<T, K>::apply(rule, at, i);
                  });
    }
    void back(const View<const T>& bar) override { of_.back(rule_, bar.rows, bar.cols, bar); }

    Rule rule_;
    Operands<T, K> of_;
};

/// The sum of a rule over the entries of every row, taken in double.
template <class T, class Rule, std::size_t K>
class RowSum final : public Node<T> {
  public:
    RowSum(Tape<T>& tape, const Rule& rule, const std::array<Value<T>, K>& of)
        : Node<T>(tape, Operands<T, K>::any_batched(of), 1, of, false),
          cols_(Operands<T, K>::widest(of)),
          rule_(rule),
          of_(of) {}

  private:
    void compute(const View<T>& to, T, bool) override {
        double sum = 0;
        of_.tiles(to.rows,
                  cols_,
                  false,
                  [&](std::int64_t r, std::int64_t from, std::int64_t count, const auto& at) {
                      if (from == 0) sum = 0;
                      sum += numerics::sum_over(std::size_t(count), [&](std::size_t i) {
                          return Operands<T, K>::apply(rule_, at, std::int64_t(i));
                      });
                      if (from + count == cols_) to(r, 0) = T(sum);
                  });
    }
    void back(const View<const T>& bar) override { of_.back(rule_, bar.rows, cols_, bar); }

    std::int64_t cols_;
    Rule rule_;
    Operands<T, K> of_;
};

}  // namespace detail

/// rule(entries...) everywhere: a generic callable of numbers, called with T, and with numerics::Dual for the
/// slopes. Each operand is as wide as the widest or has one number per row, and may be the same for all rows.
/// @pre  none of them is 0
template <class Rule, class T, class... More>
Value<T> map(const Rule& rule, Value<T> first, More... more) {
    using N = detail::Mapped<T, Rule, 1 + sizeof...(More)>;
    return Value<T>(
        first->tape().template add<N>(rule, std::array<Value<T>, 1 + sizeof...(More)>{first, more...}));
}
/// The sum of the same over each row: one number per row.
template <class Rule, class T, class... More>
Value<T> row_sum(const Rule& rule, Value<T> first, More... more) {
    using N = detail::RowSum<T, Rule, 1 + sizeof...(More)>;
    return Value<T>(
        first->tape().template add<N>(rule, std::array<Value<T>, 1 + sizeof...(More)>{first, more...}));
}

}  // namespace l2o::layers
