#include "framework/rollout/ledger.hpp"

#include <algorithm>
#include <cmath>

#include "framework/rollout/arithmetic.hpp"

namespace l2o::framework {
namespace {

double declared_or_one(double declared) { return declared > 0 ? declared : 1; }

}  // namespace

Ledger::Ledger(const Optimizee& optimizee, std::int64_t batch, const Options& options)
    : options_(options),
      limit_(options.limit),
      evaluations_(static_cast<std::size_t>(batch)),
      is_spent_(evaluations_.size()),
      is_exempt_(evaluations_.size()),
      reserve_(evaluations_.size()) {
    cost_[L2O_ORACLE_VALUE] = declared_or_one(optimizee.info().cost_value);
    cost_[L2O_ORACLE_GRADIENT] = declared_or_one(optimizee.info().cost_gradient);
    if (!options_.keeps_best) return;
    best_f_.resize(evaluations_.size(), NAN);
    is_old_.resize(evaluations_.size());
    if (options_.keeps_improvements) improvements_.resize(evaluations_.size());
    std::vector<Tensor> blocks;
    for (const l2o_spec* block : optimizee.blocks())
        blocks.emplace_back(optimizee.dtype(), shape_of(*block, batch));
    best_x_ = TensorSet(std::move(blocks));
}

void Ledger::restart() {
    limit_ = options_.limit;
    std::fill(evaluations_.begin(), evaluations_.end(), Evaluations{});
    std::fill(is_spent_.begin(), is_spent_.end(), false);
    std::fill(reserve_.begin(), reserve_.end(), 0);
    std::fill(best_f_.begin(), best_f_.end(), NAN);
    for (std::vector<Improvement>& row : improvements_) row.clear();
    iteration_ = 0;
}

void Ledger::grant(double limit) {
    limit_ = limit;
    std::fill(is_spent_.begin(), is_spent_.end(), false);
}

bool Ledger::pay_within_limit(std::int64_t row, double points, double reserve) {
    const auto r = static_cast<std::size_t>(row);
    if (is_spent_[r] || evaluations_[r].points + points + reserve > limit_) {
        is_spent_[r] = true;
        return false;
    }
    evaluations_[r].points += points;
    return true;
}

bool Ledger::charge_own(std::int64_t row, double gradients) {
    const auto r = static_cast<std::size_t>(row);
    if (is_exempt_[r]) return true;
    if (options_.limit > 0) {
        if (!pay_within_limit(row, gradients, cost_of_end())) return false;
    } else {
        evaluations_[r].points += gradients;
    }
    evaluations_[r].gradients += gradients;
    return true;
}

void Ledger::charge_end(std::int64_t row) {
    Evaluations& sum = evaluations_[static_cast<std::size_t>(row)];
    sum.points += cost_of_value();
    sum.values += cost_of_value();
}

bool Ledger::affords_end(std::int64_t row) const {
    return options_.limit <= 0 ||
           evaluations_[static_cast<std::size_t>(row)].points + cost_of_end() <= limit_;
}

void Ledger::offer(std::int64_t row, double f, const TensorSet& x_rows, std::int64_t from) {
    const auto r = static_cast<std::size_t>(row);
    const bool is_better = !(f >= best_f_[r]);
    if (!std::isfinite(f) || (!is_better && is_old_[r] == 0)) return;
    if (is_better && !improvements_.empty())
        improvements_[r].push_back({.f = f, .evaluations = evaluations_[r].points, .iteration = iteration_});
    best_f_[r] = f;
    is_old_[r] = 0;
    if (answer_ == AnswerAt::kBest) reserve_[r] = 0;
    for (std::size_t k = 0; k < best_x_.size(); ++k) copy_row(x_rows[k], from, best_x_[k], row);
}

void Ledger::age_best() { std::fill(is_old_.begin(), is_old_.end(), 1); }

bool Ledger::has_best(std::int64_t row) const {
    return keeps_best() && !std::isnan(best_f_[static_cast<std::size_t>(row)]);
}

}  // namespace l2o::framework
