#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "framework/plugin/optimizee.hpp"
#include "framework/rollout/point.hpp"

namespace l2o::framework {

/// What a row was charged, each at the cost that the optimizee declares. A point at which f, or g, or both
/// are asked for is one evaluation, at the cost of the dearer; values and gradients are counted beside it.
struct Evaluations {
    double points = 0, values = 0, gradients = 0;
};
[[nodiscard]] inline Evaluations operator+(const Evaluations& a, const Evaluations& b) {
    return {a.points + b.points, a.values + b.values, a.gradients + b.gradients};
}

/// A value that a row has paid for, less than all that it had paid for before.
struct Improvement {
    double f = 0;
    double evaluations = 0;      ///< points that the row had been charged by then, this one among them
    std::int64_t iteration = 0;  ///< steps that it had made by then: 0, what its first step evaluates
};

/// Of a charge, see Stepper::evaluate().
constexpr std::uint32_t kFree = 0, kCharged = L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT;

/// Which point is a row's answer; and what pays for it on the way.
enum class AnswerAt {
    kIterate,      ///< f or g there
    kBest,         ///< any finite f
    kRecommended,  ///< nothing
};

/// What the rows of a batch have paid for, and the best point among it. [one thread]
class Ledger {
  public:
    struct Options {
        double limit = 0;                 ///< evaluations that a row may have; 0: any number
        bool keeps_best = false;          ///< per row the best point that it has paid for
        bool pays_for_end = false;        ///< a row has to be able to pay for f where it ends, see reserve()
        bool keeps_improvements = false;  ///< with keeps_best: all that were the best once
    };
    Ledger(const Optimizee& optimizee, std::int64_t batch, const Options& options);

    /// Nothing has been charged, nothing found.
    void restart();

    /// Charges a row for a point at which it wants `kinds`, and has paid for `paid` already: L2O_ORACLE_*.
    /// @param at_iterate  where the row would end if it cannot go on.
    /// @param share       of a gradient that is used.
    /// @return false if the row cannot pay: it is charged nothing from now on, see is_spent().
    bool charge(std::int64_t row,
                std::uint32_t kinds,
                std::uint32_t paid = 0,
                bool at_iterate = false,
                double share = 1) {
        const auto r = static_cast<std::size_t>(row);
        if (is_exempt_[r] != 0) return true;
        const double points = cost_of(kinds | paid, share) - cost_of(paid, share);
        if (options_.limit > 0) {
            if (at_iterate && answer_ == AnswerAt::kIterate) reserve_[r] = 0;
            if (!pay_within_limit(row, points, reserve_[r])) return false;
        } else {
            evaluations_[r].points += points;
        }
        const std::uint32_t newly = kinds & ~paid;
        if ((newly & L2O_ORACLE_VALUE) != 0) evaluations_[r].values += cost_[L2O_ORACLE_VALUE];
        if ((newly & L2O_ORACLE_GRADIENT) != 0)
            evaluations_[r].gradients += share * cost_[L2O_ORACLE_GRADIENT];
        return true;
    }
    /// Charges all rows for a point of which they have paid for nothing.
    /// @return false if each has to be looked at: nobody is charged.
    bool charge_all(std::uint32_t kinds, double share = 1) {
        if (options_.limit > 0 || keeps_best() || exempted_ > 0) return false;
        const double points = cost_of(kinds, share),
                     values = (kinds & L2O_ORACLE_VALUE) != 0 ? cost_of_value() : 0,
                     gradients = (kinds & L2O_ORACLE_GRADIENT) != 0 ? share * cost_[L2O_ORACLE_GRADIENT] : 0;
        for (Evaluations& row : evaluations_) {
            row.points += points;
            row.values += values;
            row.gradients += gradients;
        }
        return true;
    }
    /// Charges a row for evaluations that an optimizer makes by itself, from the data. @return as charge().
    bool charge_own(std::int64_t row, double gradients);
    /// Of all rows, from now on.
    void set_answer(AnswerAt answer) { answer_ = answer; }
    /// What the row has to leave over in its next step, for f where it would end.
    void reserve(std::int64_t row, double points) { reserve_[static_cast<std::size_t>(row)] = points; }
    /// Charges f where a row ends, for which there is always something left.   @pre affords_end()
    void charge_end(std::int64_t row);
    [[nodiscard]] bool is_limited() const { return options_.limit > 0; }
    /// Rows may have so much until they are granted more; what the last wish was does not count any more.
    /// @pre is_limited(), limit <= options.limit
    void grant(double limit);
    /// A row that repeats what it has paid for is charged nothing meanwhile.
    void exempt(std::int64_t row, bool is_exempt) {
        char& now = is_exempt_[static_cast<std::size_t>(row)];
        exempted_ += static_cast<int>(is_exempt) - now;
        now = static_cast<char>(is_exempt);
    }
    /// The row wanted more than its limit allows; what it then got does not count.
    [[nodiscard]] bool is_spent(std::int64_t row) const {
        return is_spent_[static_cast<std::size_t>(row)] != 0;
    }
    /// Whether the row can pay for f where it is, if it has to.
    [[nodiscard]] bool affords_end(std::int64_t row) const;
    [[nodiscard]] double cost_of_value() const { return cost_[L2O_ORACLE_VALUE]; }
    [[nodiscard]] double cost_of_gradient() const { return cost_[L2O_ORACLE_GRADIENT]; }
    [[nodiscard]] const std::vector<Evaluations>& evaluations() const { return evaluations_; }  ///< [B]

    [[nodiscard]] bool keeps_best() const { return !best_f_.empty(); }
    /// f at row `from` of x_rows has been paid for by `row`. A value that is not finite is none. Allocates
    /// only where improvements are kept.
    void offer(std::int64_t row, double f, const TensorSet& x_rows, std::int64_t from);
    /// What is offered from now on replaces what was: of a stochastic objective, the points of one minibatch
    /// count.
    void age_best();
    /// Whether anything finite was paid for.   @pre keeps_best()
    [[nodiscard]] bool has_best(std::int64_t row) const;
    /// Steps that rows have made, for what they are offered from now on.
    void set_iteration(std::int64_t iteration) { iteration_ = iteration; }
    /// [B]: how the best of a row came down, f falling; empty where that is not kept.
    [[nodiscard]] const std::vector<std::vector<Improvement>>& improvements() const { return improvements_; }
    [[nodiscard]] const std::vector<double>& best_f() const { return best_f_; }  ///< [B], NAN: nothing yet
    [[nodiscard]] const TensorSet& best_x() const { return best_x_; }            ///< [B, shape], by block

  private:
    [[nodiscard]] double cost_of(std::uint32_t kinds, double share) const {
        const double gradient = (kinds & L2O_ORACLE_GRADIENT) != 0 ? share * cost_[L2O_ORACLE_GRADIENT] : 0;
        return std::max((kinds & L2O_ORACLE_VALUE) != 0 ? cost_[L2O_ORACLE_VALUE] : 0, gradient);
    }
    bool pay_within_limit(std::int64_t row, double points, double reserve);
    [[nodiscard]] double cost_of_end() const { return options_.pays_for_end ? cost_of_value() : 0; }

    const Options options_;
    double limit_;
    double cost_[4] = {};        // of a value, of a gradient
    std::int64_t exempted_ = 0;  // rows
    std::vector<Evaluations> evaluations_;
    std::vector<char> is_spent_, is_exempt_;
    AnswerAt answer_ = AnswerAt::kIterate;
    std::vector<double> reserve_;
    std::vector<double> best_f_;
    std::vector<char> is_old_;  // the best, by row
    std::int64_t iteration_ = 0;
    std::vector<std::vector<Improvement>> improvements_;
    TensorSet best_x_;
};

}  // namespace l2o::framework
