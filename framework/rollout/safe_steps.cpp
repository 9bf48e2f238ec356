#include "framework/rollout/safe_steps.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "framework/rollout/arithmetic.hpp"

namespace l2o::framework {
namespace {

using Test = SafeguardRule::Test;
using Bound = SafeguardRule::Bound;

/// Calls body(a's row, b's row) with the rows of every block.
template <class A, class B, class Body>
void for_row(A& a, B& b, std::size_t row, std::size_t rows, Body&& body) {
    for (std::size_t k = 0; k < a.size(); ++k) {
        with_values(
            [&](auto left, auto right) {
                const std::size_t cols = left.size() / rows;
                body(left.subspan(row * cols, cols), right.subspan(row * cols, cols));
            },
            a[k],
            b[k]);
    }
}

/// The row is where that of `from` is, and what is known there is known; to be followed by settle().
void take_row(const Point& from, Point& to, std::int64_t row) {
    for (std::size_t k = 0; k < to.x.size(); ++k) copy_row(from.x[k], row, to.x[k], row);
    to.forget_row(row);
    take_known(from, to, row);
}

/// |a - b| of a row; not finite if an entry is not.
double distance(const TensorSet& a, const TensorSet& b, std::size_t row, std::size_t rows) {
    double sum = 0;
    for_row(a, b, row, rows, [&](auto left, auto right) {
        for (std::size_t i = 0; i < left.size(); ++i) {
            const double difference = static_cast<double>(left[i]) - static_cast<double>(right[i]);
            sum += difference * difference;
        }
    });
    return std::sqrt(sum);
}

/// What is known of f and g at the same x is known at both points.
void share(const Point& from, Point& to) {
    const auto rows = from.x_rows[0].shape()[0];
    for (std::int64_t row = 0; row < rows; ++row)
        if (((from.known_at(row) & ~to.known_at(row)) | (from.paid_at(row) & ~to.paid_at(row))) != 0)
            take_known(from, to, row);
    to.settle();
}

void move_to(Point& point, const Point& where) {
    point.x.copy_from(where.x);
    point.forget();
    share(where, point);
}

}  // namespace

SafeSteps::SafeSteps(Stepper& stepper, const Scene& scene, const Safeguard& safeguard)
    : stepper_(stepper),
      rule_(safeguard.rule),
      classic_scene_{safeguard.classic, scene.optimizee, scene.data, safeguard.params, scene.key, scene.row0},
      classic_(classic_scene_) {
    classic_.charge_to(stepper.ledger());
    // What one of them has paid for is free for the other: halves would be taken for whole gradients.
    for (Stepper* each : {&stepper_, &classic_}) each->charge_whole_gradients();
    PointParts parts = classic_.parts();
    parts.f = parts.f || rule_.test == Test::kObjective;
    for (Point* point : {&at_, &image_, &proposal_, &other_image_}) *point = Point(classic_.layout(), parts);
    const auto rows = static_cast<std::size_t>(classic_.layout().batch);
    refused_.resize(rows);
    mu_.resize(rows);
    lowered_.resize(rows);
    if (rule_.bound == Bound::kRecentMax) newest_.resize(rows * static_cast<std::size_t>(rule_.recent));
}

void SafeSteps::restart() {
    has_begun_ = false;
    classic_.init_state(at_);  // rows go on that had ended
}

void SafeSteps::end(std::int64_t row) {
    stepper_.end(row, L2O_ROW_CONVERGED);
    classic_.end(row, L2O_ROW_CONVERGED);
}

void SafeSteps::advance(Point& from, Point& to, std::int64_t t) {
    if (!has_begun_) begin(from);
    propose(from, to, t);
    if (rule_.test == Test::kResidual) {
        judge_by_residual(to);
    } else {
        judge_by_objective(to);
    }
}

void SafeSteps::begin(Point& from) {
    const std::size_t rows = refused_.size();
    const bool by_residual = rule_.test == Test::kResidual;
    move_to(at_, from);
    classic_.evaluate(at_, 0, !by_residual, classic_.parts().g, kCharged);
    classic_.advance(at_, image_, 0);
    share(at_, from);
    std::fill(lowered_.begin(), lowered_.end(), 0);
    for (std::size_t row = 0; row < rows; ++row) {
        mu_[row] =
            by_residual ? distance(at_.x, image_.x, row, rows) : at_.f.value(static_cast<std::int64_t>(row));
        if (!by_residual) lower_bound(row, mu_[row]);
    }
    has_begun_ = true;
}

/// Rows without a finite proposal are refused at once; they stay where they are until the classic step is
/// taken.
void SafeSteps::propose(Point& from, Point& to, std::int64_t t) {
    const std::size_t rows = refused_.size();
    bool gave_up = false;
    try {
        stepper_.advance(from, to, t);
    } catch (const Diverged&) {
        to.state.copy_from(from.state);
        gave_up = true;
    }
    for (std::size_t row = 0; row < rows; ++row) {
        const auto i = static_cast<std::int64_t>(row);
        const bool is_lost = gave_up || !std::isfinite(distance(to.x, from.x, row, rows));
        if (is_lost) take_row(from, to, i);
        refused_[row] = is_lost && !stepper_.has_ended(i);
    }
    to.settle();
    move_to(proposal_, to);
}

void SafeSteps::judge(std::size_t row, bool has_passed) {
    if (!has_passed && !stepper_.has_ended(static_cast<std::int64_t>(row))) refused_[row] = 1;
}

/// @return whether there was any.
bool SafeSteps::take_classic_steps(Point& to) {
    bool has_taken_any = false;
    for (std::size_t row = 0; row < refused_.size(); ++row) {
        if (refused_[row] == 0) continue;
        take_row(image_, to, static_cast<std::int64_t>(row));
        has_taken_any = true;
    }
    to.settle();
    return has_taken_any;
}

/// T(x) into `image`. The rows that were refused, or those that were not, have theirs in `known`: it stays as
/// it is, and is not charged again.
void SafeSteps::map(Point& x, Point& image, const Point& known, bool of_refused) {
    exempt(of_refused, true);
    classic_.advance(x, image, 0);
    exempt(of_refused, false);
    for (std::size_t row = 0; row < refused_.size(); ++row)
        if ((refused_[row] != 0) == of_refused) take_row(known, image, static_cast<std::int64_t>(row));
    image.settle();
}

void SafeSteps::exempt(bool of_refused, bool is_exempt) {
    for (std::size_t row = 0; row < refused_.size(); ++row)
        if ((refused_[row] != 0) == of_refused)
            stepper_.ledger().exempt(static_cast<std::int64_t>(row), is_exempt);
}

void SafeSteps::judge_by_residual(Point& to) {
    const std::size_t rows = refused_.size();
    map(proposal_, other_image_, image_, true);
    for (std::size_t row = 0; row < rows; ++row) {
        if (refused_[row] != 0) continue;
        const double residual = distance(proposal_.x, other_image_.x, row, rows);
        const bool has_passed = residual <= rule_.alpha * mu_[row];
        if (has_passed) lower_bound(row, residual);
        judge(row, has_passed);
    }
    if (take_classic_steps(to)) {
        move_to(at_, to);
        for (std::size_t row = 0; row < rows; ++row)
            if (refused_[row] == 0) take_known(proposal_, at_, static_cast<std::int64_t>(row));
        at_.settle();
        map(at_, image_, other_image_, false);
        for (std::size_t row = 0; row < rows; ++row) {
            const double residual = distance(at_.x, image_.x, row, rows);
            if (refused_[row] != 0 && residual <= rule_.alpha * mu_[row]) lower_bound(row, residual);
        }
    } else {
        std::swap(at_, proposal_);
        std::swap(image_, other_image_);
    }
    share(at_, to);
}

void SafeSteps::judge_by_objective(Point& to) {
    const std::size_t rows = refused_.size();
    classic_.evaluate(proposal_, 0, true, false, kCharged);
    classic_.evaluate(image_, 0, true, false, kCharged);
    for (std::size_t row = 0; row < rows; ++row) {
        const auto i = static_cast<std::int64_t>(row);
        const double gain = at_.f.value(i) - image_.f.value(i);
        judge(row, proposal_.f.value(i) <= mu_[row] - (1 - rule_.alpha) * gain);
    }
    take_classic_steps(to);
    with_values(
        [&](auto f, auto proposed, auto classic) {
            for (std::size_t row = 0; row < rows; ++row)
                f[row] = refused_[row] != 0 ? classic[row] : proposed[row];
        },
        at_.f,
        proposal_.f,
        image_.f);
    at_.x.copy_from(to.x);
    at_.forget();
    at_.has_f = true;
    at_.paid_by_all = L2O_ORACLE_VALUE;
    share(to, at_);
    classic_.advance(at_, image_, 0);
    share(at_, to);
    for (std::size_t row = 0; row < rows; ++row)
        lower_bound(row, at_.f.value(static_cast<std::int64_t>(row)));
}

void SafeSteps::lower_bound(std::size_t row, double newest) {
    double& mu = mu_[row];
    switch (rule_.bound) {
        case Bound::kEma:
            mu = rule_.theta * newest + (1 - rule_.theta) * mu;
            return;
        case Bound::kGeometric:
            mu *= rule_.theta;
            return;
        case Bound::kRecentMax: {
            double* const first = newest_.data() + row * static_cast<std::size_t>(rule_.recent);
            first[lowered_[row]++ % rule_.recent] = newest;
            mu = *std::max_element(first, first + std::min(lowered_[row], rule_.recent));
            return;
        }
    }
}

}  // namespace l2o::framework
