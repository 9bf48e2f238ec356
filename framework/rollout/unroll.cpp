#include "framework/rollout/unroll.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "framework/error.hpp"
#include "framework/rollout/arithmetic.hpp"
#include "framework/rollout/payment.hpp"

namespace l2o::framework {
namespace {

// Coordinates per slice: what the reverse of one needs of an LSTM's cotangents stays in the L2 cache.
constexpr std::int64_t kSliced = 512;
// When only some are differentiated on: more of them, to draw from.
constexpr std::int64_t kSubsampled = 64;

/// Asked for, or the only way for a loss that reads g: its derivative needs the Hessian even with drop.
bool by_differences(const Scene& scene, const Loss& loss, SecondOrder order) {
    return order == SecondOrder::kFd ||
           (order == SecondOrder::kDrop && loss.reads_g() && scene.optimizee.api().hvp == nullptr);
}

void refuse_what_cannot_be_trained(const Scene& scene,
                                   const Loss& loss,
                                   const UnrollOptions& options,
                                   bool reverses_slices) {
    const l2o_optimizer_info& info = scene.optimizer.info();
    const bool reads_gradient =
        scene.optimizer.reads_g() || loss.reads_g() || (info.question_kinds & L2O_ORACLE_GRADIENT) != 0;
    if (options.subsample < 1 && !reverses_slices) {
        throw Error(ExitCode::kUsage,
                    "train.coordinate_subsample is " + fmt::format("{:g}", options.subsample) +
                        "; it needs second_order drop and a differentiable coordinate-wise optimizer on more "
                        "than " +
                        std::to_string(kSubsampled) + " coordinates per shard, which '" +
                        scene.optimizer.id() + "' on '" + scene.optimizee.id() + "' is not; set it to 1");
    }
    if ((info.flags & L2O_OPTIMIZER_ENDS_ROWS) != 0) {
        throw Error(ExitCode::kUsage,
                    "'" + scene.optimizer.id() +
                        "' ends rows by itself, and what is trained takes all steps of a window; expected an "
                        "optimizer that goes on");
    }
    if (options.second_order == SecondOrder::kExact && reads_gradient &&
        scene.optimizee.api().hvp == nullptr) {
        throw Error(ExitCode::kUsage,
                    "second_order exact needs a Hessian-vector product, which '" + scene.optimizee.id() +
                        "' does not offer; use second_order fd or drop");
    }
}

}  // namespace

Unroll::Unroll(const Scene& scene, const Loss& loss, const UnrollOptions& options)
    : scene_(scene),
      options_(options),
      stepper_(scene,
               {.length = options.subsample < 1 ? kSubsampled : kSliced, .threads = options.threads},
               options.update_probability),
      reverses_slices_(SliceReverse::is_possible(scene, loss, stepper_, options.second_order)),
      oracle_(stepper_, by_differences(scene, loss, options.second_order)),
      loss_(loss, scene, stepper_, oracle_),
      recording_(stepper_,
                 {.memory_bytes = options.memory_bytes,
                  .loss_reads_f = loss.reads_f(),
                  .loss_reads_g = loss.reads_g(),
                  .reverses_slices = reverses_slices_,
                  .threads = options.threads}),
      step_reverse_(scene, stepper_, oracle_, options.second_order),
      slice_reverse_(scene, stepper_, recording_, options.subsample, options.threads),
      current_(stepper_.layout(), {.g = false, .f = false, .state = true}) {
    if (options.has_scores) scores_ = Tensor(Dtype::kF64, {stepper_.layout().batch});
    refuse_what_cannot_be_trained(scene, loss, options, reverses_slices_);
}

void Unroll::start(const std::vector<Tensor>& x0) {
    for (std::size_t k = 0; k < x0.size(); ++k) copy_values(current_.x[k], x0[k]);
    t_ = 0;
    if (scores_) scores_.zero();
    stepper_.init_state(current_);
}

void Unroll::restore(std::int64_t t, const std::vector<const Tensor*>& carried) {
    std::size_t i = 0;
    for (Tensor& x : current_.x.tensors()) copy_values(x, *carried.at(i++));
    for (Tensor& h : current_.state.tensors()) {
        std::memcpy(h.data(), carried.at(i++)->data(), static_cast<std::size_t>(h.bytes()));
    }
    if (scores_) copy_values(scores_, *carried.at(i));
    t_ = t;
}

std::vector<const Tensor*> Unroll::carried() const {
    std::vector<const Tensor*> out;
    for (const Tensor& x : current_.x.tensors()) out.push_back(&x);
    for (const Tensor& h : current_.state.tensors()) out.push_back(&h);
    if (scores_) out.push_back(&scores_);
    return out;
}

void Unroll::add_scores() {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const std::span<double> scores = scores_.values<double>();
    std::vector<double> squares(scores.size(), 0);
    try {
        if (oracle_.bytes() == 0) oracle_.reserve();
        add_squares(oracle_.gradient(current_.x_rows, t_), squares);
    } catch (const Diverged&) {
        squares.assign(squares.size(), kInfinity);
    }
    for (std::size_t row = 0; row < squares.size(); ++row)
        scores[row] += std::isnan(squares[row]) ? kInfinity : squares[row];
}

std::int64_t Unroll::bytes() const {
    std::int64_t sum =
        loss_.bytes() + recording_.bytes() + oracle_.bytes() + step_reverse_.bytes() + slice_reverse_.bytes();
    for (const Point* point : {&current_, &cot_, &before_}) sum += point->bytes();
    for (const TensorSet& miss : misses_) sum += miss.bytes();
    return sum;
}

void Unroll::reserve(std::int64_t n, bool records) {
    if (recording_.is_reserved(n, records)) return;
    recording_.clear();
    slice_reverse_.clear();
    loss_.reserve(n, records);
    if (records) {
        const PointParts cotangents{.g = true, .f = true, .state = true, .is_cotangent = true};
        cot_ = Point(stepper_.layout(), cotangents);
        before_ = Point(stepper_.layout(), cotangents);
        oracle_.reserve();
        step_reverse_.reserve();
    }
    recording_.reserve(n, records, bytes());
    if (records && goes_back_in_slices()) slice_reverse_.reserve();
}

// ---- forwards

Unroll::Window Unroll::run(std::int64_t n, bool records) {
    const Payment payment(stepper_, paid_);
    reserve(n, records);
    recording_.begin(current_, t_);
    for (std::int64_t j = 0; j <= n; ++j) {
        Point& point = recording_.evaluated(j, j < n);
        loss_.keep(point, j);
        if (j < n) stepper_.advance(point, recording_.at(j + 1), t_ + j);
    }
    copy_x_and_state(recording_.at(n), current_);
    Window window;
    window.loss = loss_.score(span(n));
    window.is_finite = std::isfinite(window.loss);
    return window;
}

Unroll::Window Unroll::score(std::int64_t n) {
    try {
        Window window = run(n, false);
        t_ += n;
        return window;
    } catch (const Diverged& diverged) {
        loss_.give_up();
        return {.loss = NAN, .is_finite = false, .diverged = diverged.text};
    }
}

bool Unroll::advance(std::int64_t n) {
    const Payment payment(stepper_, paid_);
    try {
        reserve(1, false);
        for (std::int64_t j = 0; j < n; ++j) {
            recording_.begin(current_, t_);
            stepper_.advance(recording_.at(0), recording_.at(1), t_);
            copy_x_and_state(recording_.at(1), current_);
            ++t_;
        }
        return true;
    } catch (const Diverged&) {
        return false;
    }
}

// ---- back

Unroll::Window Unroll::window(std::int64_t n, double cot, TensorSet& gradient, std::int64_t first_reverse) {
    if (scene_.optimizer.vjp() == nullptr || loss_.plugin().api().vjp == nullptr) {
        throw Error(ExitCode::kPlugin,
                    (scene_.optimizer.vjp() == nullptr ? "optimizer '" + scene_.optimizer.id()
                                                       : "loss '" + loss_.plugin().id()) +
                        "' has no derivative; it cannot be trained by back-propagation");
    }
    try {
        Window window = run(n, true);
        if (window.is_finite) {
            loss_.differentiate(span(n), cot, row_weights_);
            reverse(n, first_reverse, gradient);
        }
        t_ += n;
        return window;
    } catch (const Diverged& diverged) {
        return {.loss = NAN, .is_finite = false, .diverged = diverged.text};
    }
}

/// @pre the loss is differentiated
void Unroll::reverse(std::int64_t n, std::int64_t first, TensorSet& gradient) {
    if (goes_back_in_slices()) return slice_reverse_.back(first, loss_, gradient);
    cot_.x.zero();
    cot_.state.zero();
    cot_.f.zero();
    loss_.back(n, recording_.at(n), t_ + n, cot_);
    for (std::int64_t j = n - 1; j >= first; --j) {
        recording_.bring(j);
        Point& point = recording_.at(j);
        step_reverse_.back(
            {.from = point, .after = &recording_.at(j + 1), .t = t_ + j, .is_last = j == first},
            cot_,
            before_,
            gradient);
        if (j > first) loss_.back(j, point, t_ + j, before_);
        std::swap(cot_, before_);
    }
    if (t_ == 0 && first == 0) step_reverse_.initial_state_back(recording_.at(0), cot_, gradient);
}

}  // namespace l2o::framework
