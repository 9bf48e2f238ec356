// The soft threshold that leaves the largest entries of a row alone, as an operation.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <l2o/layers/elementwise.hpp>
#include <l2o/layers/value.hpp>
#include <l2o/numerics/support_selection.hpp>
#include <span>
#include <string>

namespace l2o::layers {

/// How many entries are left alone: see numerics::SupportRule.
template <class T>
struct Selection {
    numerics::SupportRule rule = numerics::SupportRule::kPercentile;
    double amount = 0;
    Value<T> amounts{};  ///< one for each row, instead; constants for differentiation
    /// Whether step_vjp takes the entries of z from x' where x' is known, which is exact to rounding in z:
    /// of z = x + c u it spares computing u again.
    bool recovers_z = false;
    View<T> unselected{};  ///< not empty: written in step, 0 where an entry was left alone, else 1
};

namespace detail {

template <class T>
class Select final : public Node<T> {
  public:
    Select(Tape<T>& tape, Value<T> z, Value<T> theta, const Selection<T>& selection)
        : Node<T>(tape, z->is_batched(), z->cols(), std::array{z, theta}, false),
          z_(z),
          theta_(theta),
          of_(selection),
          magnitudes_(take<T>(z->cols())),
          selected_(take<std::uint8_t>(z->cols())) {
        if (of_.amounts) of_.amounts->use();
        if (theta->cols() > 1) by_theta_ = take<double>(z->cols());
        if (of_.recovers_z && tape.pass() != Pass::kForward) recovered_ = this->fresh(z->cols());
    }

  private:
    template <class E>
    std::span<E> take(std::int64_t n) {
        return {this->tape().scratch().template take<E>(n), static_cast<std::size_t>(n)};
    }
    double amount(std::int64_t r) { return of_.amounts ? double(of_.amounts->value()(r, 0)) : of_.amount; }

    void compute(const View<T>& to, T, bool) override {
        const View<const T> theta = theta_->value();
        z_->into(to, 1, false);
        for (std::int64_t r = 0; r < to.rows; ++r) {
            apply(row(to, r), theta, r, row(to, r), of_.unselected ? selected_ : std::span<std::uint8_t>{});
            if (of_.unselected)
                for (std::size_t i = 0; i < selected_.size(); ++i)
                    of_.unselected.row(r)[i] = T(1 - selected_[i]);
        }
    }
    void apply(std::span<const T> z,
               const View<const T>& theta,
               std::int64_t r,
               std::span<T> out,
               std::span<std::uint8_t> selected) {
        if (theta.cols > 1)
            numerics::support_selection<T>(z, row(theta, 0), amount(r), out, selected, magnitudes_);
        else
            numerics::support_selection<T>(
                z, number(theta, r), of_.rule, amount(r), out, selected, magnitudes_);
    }
    void back(const View<const T>& bar) override {
        const View<const T> theta = theta_->value();
        if (theta.cols > 1) return back_by_entry(bar, theta);
        // What the step wrote tells z wherever it has a derivative: the largest entries are those selected,
        // as long as a threshold makes entries smaller.
        bool known = this->is_known() && of_.rule == numerics::SupportRule::kPercentile;
        for (std::int64_t r = 0; r < theta.rows; ++r) known = known && theta(r, 0) >= 0;
        const View<const T> z = known ? this->value() : z_->value();
        const View<T> z_bar = this->bar_room();
        const View<T> theta_bar = theta_->is_wanted() ? theta_->own_bar() : View<T>{};
        double total = 0;
        for (std::int64_t r = 0; r < bar.rows; ++r) {
            const T threshold = known ? T(0) : number(theta, r);
            const std::span<const T> z_row = row(z, r);
            numerics::support_selection<T>(
                z_row, threshold, of_.rule, amount(r), magnitudes_, selected_, magnitudes_);
            const double by_theta =
                numerics::support_selection_vjp<T>(z_row, threshold, selected_, row(bar, r), row(z_bar, r));
            if (recovered_ && known) recover(z_row, number(theta, r), row(recovered_, r));
            if (theta_bar && theta_->is_batched())
                theta_bar(r, 0) += T(by_theta);
            else
                total += by_theta;
        }
        if (theta_bar && !theta_->is_batched()) theta_bar.scalar() += T(total);
        if (recovered_ && known && !z_->is_known() && z_->uses() == 1) z_->know(read_only(recovered_));
        z_->give(read_only(z_bar));
    }
    /// The same of a threshold for every entry.
    void back_by_entry(const View<const T>& bar, const View<const T>& theta) {
        const View<const T> z = z_->value();
        const View<T> z_bar = this->bar_room();
        std::ranges::fill(by_theta_, 0.0);
        for (std::int64_t r = 0; r < bar.rows; ++r) {
            apply(row(z, r), theta, r, magnitudes_, selected_);
            numerics::support_selection_vjp<T>(
                row(z, r), row(theta, 0), selected_, row(bar, r), row(z_bar, r), by_theta_);
        }
        if (theta_->is_wanted()) {
            const View<T> theta_bar = theta_->own_bar();
            for (std::size_t i = 0; i < by_theta_.size(); ++i) theta_bar.row(0)[i] += T(by_theta_[i]);
        }
        z_->give(read_only(z_bar));
    }
    void recover(std::span<const T> x_next, T theta, std::span<T> z) {
        for (std::size_t i = 0; i < z.size(); ++i) {
            const bool moved = x_next[i] != 0 && selected_[i] == 0;
            z[i] = moved ? x_next[i] + std::copysign(theta, x_next[i]) : x_next[i];
        }
    }

    Value<T> z_, theta_;
    Selection<T> of_;
    View<T> recovered_{};
    std::span<T> magnitudes_;
    std::span<std::uint8_t> selected_;
    std::span<double> by_theta_{};
};

}  // namespace detail

/// SS(z, theta): z where it is selected, else the soft threshold; theta one number, or one for each row, or,
/// with the rule kPercentile, one row for all.
template <class T>
Value<T> select(Value<T> z, Value<T> theta, const Selection<T>& selection) {
    if (!z) return z;
    if (theta->cols() != 1 && (theta->cols() != z->cols() || theta->is_batched() ||
                               selection.rule != numerics::SupportRule::kPercentile))
        invalid("thresholds of " + std::to_string(theta->cols()) + " entries for rows of " +
                std::to_string(z->cols()) + "; expected one number, or one row for all by percentile");
    return Value<T>(z->tape().template add<detail::Select<T>>(z, theta, selection));
}

}  // namespace l2o::layers
