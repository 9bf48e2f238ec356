// Steps beside a teacher's.
#include <cmath>
#include <string>

#include "framework/error.hpp"
#include "framework/rollout/arithmetic.hpp"
#include "framework/rollout/payment.hpp"
#include "framework/rollout/unroll.hpp"

namespace l2o::framework {
namespace {

double coordinates_per_row(const TensorSet& x, std::int64_t rows) {
    std::int64_t sum = 0;
    for (const Tensor& tensor : x.tensors()) sum += tensor.size();
    return static_cast<double>(sum) / static_cast<double>(rows);
}

}  // namespace

Unroll::Window Unroll::step_beside(std::int64_t n, Teacher& teacher) {
    const Payment payment(stepper_, paid_);
    const PointLayout& layout = stepper_.layout();
    reserve(n, true);
    if (recording_.keeps() != Recording::Keep::kAll) {
        throw Error(ExitCode::kUsage,
                    "imitation keeps all points of a window, and " + std::to_string(n) +
                        " steps do not fit the budget of " + std::to_string(options_.memory_bytes) +
                        " bytes per shard; raise train.memory, or shorten train.unroll");
    }
    while (static_cast<std::int64_t>(misses_.size()) < n)
        misses_.push_back(Point(layout, {.g = false, .f = false, .state = false}).x);
    recording_.begin(current_, t_);
    Window window;
    const double coordinates = coordinates_per_row(current_.x, layout.batch);
    for (std::int64_t j = 0; j < n; ++j) {
        Point &point = recording_.at(j), &proposal = recording_.at(j + 1);
        teacher.show(point, t_ + j);
        stepper_.advance(point, proposal, t_ + j);  // its x is the teacher's from the next show() on
        TensorSet& miss = misses_[static_cast<std::size_t>(j)];
        for (std::size_t k = 0; k < miss.size(); ++k) {
            with_values(
                [&](auto difference, auto own, auto teachers) {
                    for (std::size_t i = 0; i < difference.size(); ++i) {
                        difference[i] = own[i] - teachers[i];
                        window.loss += static_cast<double>(difference[i]) *
                                       static_cast<double>(difference[i]) / (2 * coordinates);
                    }
                },
                miss[k],
                proposal.x[k],
                teacher.x()[k]);
        }
    }
    current_.x.copy_from(teacher.x());
    current_.state.copy_from(recording_.at(n).state);
    window.is_finite = std::isfinite(window.loss);
    return window;
}

Unroll::Window Unroll::imitate(std::int64_t n, double cot, TensorSet& gradient, Teacher& teacher) {
    try {
        Window window = step_beside(n, teacher);
        if (window.is_finite) {
            const double weight = cot / coordinates_per_row(current_.x, stepper_.layout().batch);
            cot_.state.zero();
            for (std::int64_t j = n - 1; j >= 0; --j) {
                const TensorSet& miss = misses_[static_cast<std::size_t>(j)];
                for (std::size_t k = 0; k < miss.size(); ++k) {
                    with_values(
                        [&](auto to, auto from) {
                            using T = typename decltype(to)::value_type;
                            for (std::size_t i = 0; i < to.size(); ++i)
                                to[i] = static_cast<T>(weight) * from[i];
                        },
                        cot_.x[k],
                        miss[k]);
                }
                step_reverse_.back({.from = recording_.at(j), .after = nullptr, .t = t_ + j, .is_last = true},
                                   cot_,
                                   before_,
                                   gradient);
                std::swap(cot_, before_);
            }
            if (t_ == 0) step_reverse_.initial_state_back(recording_.at(0), cot_, gradient);
        }
        t_ += n;
        return window;
    } catch (const Diverged& diverged) {
        return {.loss = NAN, .is_finite = false, .diverged = diverged.text};
    }
}

}  // namespace l2o::framework
