#include "framework/rollout/unroll.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "framework/error.hpp"
#include "framework/rollout/arithmetic.hpp"
#include "framework/rollout/rematerialise.hpp"

namespace l2o::framework {
namespace {

// Coordinates per slice: what the reverse of one needs of an LSTM's cotangents stays in the L2 cache.
constexpr std::int64_t kSliced = 512;
// When only some are differentiated on: more of them, to draw from.
constexpr std::int64_t kSubsampled = 64;

Shape with_leading(std::int64_t n, const Shape& shape) {
    Shape out{n};
    out.insert(out.end(), shape.begin(), shape.end());
    return out;
}

Point point_with_x_and_state(const PointLayout& layout) {
    return {layout, {.g = false, .f = false, .state = true}};
}

/// [n, ...] for every block.
TensorSet blocks_of(const PointLayout& layout, std::int64_t n) {
    std::vector<Tensor> blocks;
    for (const Shape& shape : layout.blocks) blocks.emplace_back(layout.dtype, with_leading(n, shape));
    return TensorSet(std::move(blocks));
}

}  // namespace

Unroll::Unroll(const Scene& scene, const Loss& loss, const UnrollOptions& options)
    : scene_(scene),
      loss_(loss),
      options_(options),
      stepper_(scene,
               {.length = options.subsample < 1 ? kSubsampled : kSliced, .threads = options.threads},
               options.update_probability) {
    const PointLayout& layout = stepper_.layout();
    current_ = point_with_x_and_state(layout);
    per_row_ = Tensor(layout.dtype, {layout.batch});
    row_cot_ = Tensor(layout.dtype, {layout.batch});
    for (const int index : loss.needs()) {
        const Tensor* tensor = index < 0 ? nullptr : &scene.data.tensors[static_cast<std::size_t>(index)];
        loss_data_.push_back(tensor == nullptr ? nullptr : tensor->abi());
    }
    nothing_.assign(std::max({layout.blocks.size(),
                              layout.state.size(),
                              scene.optimizer.params().size(),
                              scene.optimizer.needs().size(),
                              std::size_t{1}}),
                    nullptr);
    const l2o_optimizer_info& info = scene.optimizer.info();
    const bool reads_gradient =
        scene.optimizer.reads_g() || loss.reads_g() || (info.question_kinds & L2O_ORACLE_GRADIENT) != 0;
    if (options_.subsample < 1 && !reverses_slices()) {
        throw Error(ExitCode::kUsage,
                    "train.coordinate_subsample is " + fmt::format("{:g}", options_.subsample) +
                        "; it needs second_order drop and a differentiable coordinate-wise optimizer on more "
                        "than " +
                        std::to_string(kSubsampled) + " coordinates per shard, which '" +
                        scene_.optimizer.id() + "' on '" + scene_.optimizee.id() + "' is not; set it to 1");
    }
    if ((info.flags & L2O_OPTIMIZER_ENDS_ROWS) != 0) {
        throw Error(ExitCode::kUsage,
                    "'" + scene_.optimizer.id() +
                        "' ends rows by itself, and what is trained takes all steps of a window; expected an "
                        "optimizer that goes on");
    }
    if (options_.second_order == SecondOrder::kExact && reads_gradient &&
        scene.optimizee.api().hvp == nullptr) {
        throw Error(ExitCode::kUsage,
                    "second_order exact needs a Hessian-vector product, which '" + scene.optimizee.id() +
                        "' does not offer; use second_order fd or drop");
    }
}

void Unroll::start(const std::vector<Tensor>& x0) {
    for (std::size_t k = 0; k < x0.size(); ++k) copy_values(current_.x[k], x0[k]);
    t_ = 0;
    stepper_.init_state(current_);
}

void Unroll::restore(std::int64_t t, const std::vector<const Tensor*>& carried) {
    std::size_t i = 0;
    for (Tensor& x : current_.x.tensors()) copy_values(x, *carried.at(i++));
    for (Tensor& h : current_.state.tensors()) {
        std::memcpy(h.data(), carried.at(i++)->data(), static_cast<std::size_t>(h.bytes()));
    }
    t_ = t;
}

std::vector<const Tensor*> Unroll::carried() const {
    std::vector<const Tensor*> out;
    for (const Tensor& x : current_.x.tensors()) out.push_back(&x);
    for (const Tensor& h : current_.state.tensors()) out.push_back(&h);
    return out;
}

// ---- memory

std::int64_t Unroll::bytes() const {
    std::int64_t sum = loss_x_.bytes() + loss_x_cot_.bytes() + loss_g_.bytes() + loss_g_cot_.bytes();
    for (const Tensor* tensor : {&loss_f_, &loss_f_cot_, &per_row_, &row_cot_})
        sum += *tensor ? tensor->bytes() : 0;
    for (const Point* point : {&current_, &cot_, &before_, &displaced_, &scratch_}) sum += point->bytes();
    for (const Point& point : points_) sum += point.bytes();
    for (const Point& point : kept_) sum += point.bytes();
    for (const TensorSet& g : gradients_) sum += g.bytes();
    for (const auto& work : slice_work_) sum += work->bytes();
    for (const TensorSet& miss : misses_) sum += miss.bytes();
    return sum;
}

PointParts Unroll::recorded_parts() const {
    return {.g = stepper_.parts().g || loss_.reads_g(),
            .f = stepper_.parts().f || loss_.reads_f(),
            .state = true};
}

/// Of what a thread needs to take slices back that run again from the start of a window.
std::int64_t Unroll::slice_bytes(std::int64_t n) const {
    std::int64_t width = 1;
    for (const std::int64_t w : stepper_.slices()->widths()) width += w;
    return (SliceWork::kPoints + n) * stepper_.slices()->length() * width * bytes_of(stepper_.layout().dtype);
}

/// All points, else the gradients alone, else as few repetitions as the budget allows for and then the
/// longest segments.
Unroll::Plan Unroll::plan(std::int64_t n) const {
    if (options_.memory_bytes == 0) return {.keep = Keep::kAll, .segment = n};
    const Point full(stepper_.layout(), recorded_parts());
    const std::int64_t light = full.x.bytes() + full.state.bytes();
    const std::int64_t fixed = bytes();
    const auto budget = static_cast<std::int64_t>(
        std::min<std::uint64_t>(options_.memory_bytes, std::numeric_limits<std::int64_t>::max()));
    const std::int64_t slices = reverses_slices() ? options_.threads * slice_bytes(0) : 0;
    if (fixed + slices + (n + 1) * full.bytes() <= budget) return {.keep = Keep::kAll, .segment = n};
    const std::int64_t least = fixed + light + 2 * full.bytes();
    if (reverses_slices()) {
        const std::int64_t needed =
            fixed + light + 2 * full.bytes() + (n + 1) * full.g.bytes() + options_.threads * slice_bytes(n);
        if (needed <= budget) return {.keep = Keep::kGradients, .segment = 1, .kept = 1};
    }
    Plan best;
    std::int64_t fewest = std::numeric_limits<std::int64_t>::max();
    for (std::int64_t segment = n; segment >= 1; --segment) {
        const std::int64_t segments = (n + segment - 1) / segment;
        const std::int64_t kept = std::min(
            light == 0 ? segments : (budget - fixed - (segment + 1) * full.bytes()) / light, segments);
        if (kept < 1) continue;
        const std::int64_t repeats = repeats_for(segments, kept);
        if (repeats >= fewest) continue;
        fewest = repeats;
        best = {.keep = Keep::kSegments, .segment = segment, .kept = kept};
    }
    if (best.kept > 0) return best;
    throw Error(ExitCode::kUsage,
                "a window of " + std::to_string(n) + " steps needs at least " + std::to_string(least) +
                    " bytes, the budget is " + std::to_string(options_.memory_bytes) +
                    " per shard; raise train.memory, or "
                    "shorten train.unroll");
}

void Unroll::reserve(std::int64_t n, bool record) {
    if (n == reserved_ && record == records_) return;
    const PointLayout& layout = stepper_.layout();
    reserved_ = -1;  // until everything is there: plan may refuse
    points_.clear();
    kept_.clear();
    gradients_.clear();
    slice_work_.clear();
    if (loss_.reads_f()) loss_f_ = Tensor(layout.dtype, with_leading(n + 1, layout.f));
    if (loss_.reads_x()) loss_x_ = blocks_of(layout, n + 1);
    if (loss_.reads_g()) loss_g_ = blocks_of(layout, n + 1);
    if (record) {
        if (loss_.reads_f()) loss_f_cot_ = Tensor(layout.dtype, loss_f_.shape());
        if (loss_.reads_x()) loss_x_cot_ = blocks_of(layout, n + 1);
        if (loss_.reads_g()) loss_g_cot_ = blocks_of(layout, n + 1);
        cot_ = Point(layout, {.g = true, .f = true, .state = true, .is_cotangent = true});
        before_ = Point(layout, {.g = true, .f = true, .state = true, .is_cotangent = true});
        scratch_ = Point(layout, {.g = true, .f = false, .state = true});
        if (by_differences()) displaced_ = Point(layout, {.g = true, .f = false, .state = false});
    }
    plan_ = record ? plan(n) : Plan{};
    for (std::int64_t i = 0; i <= plan_.segment; ++i) points_.emplace_back(layout, recorded_parts());
    for (std::int64_t i = 0; i < plan_.kept; ++i) kept_.push_back(point_with_x_and_state(layout));
    for (std::int64_t i = 0; plan_.keep == Keep::kGradients && i <= n; ++i)
        gradients_.push_back(Point(layout, {.g = true, .f = false, .state = false}).g);
    for (int i = 0; record && reverses_slices() && plan_.keep != Keep::kSegments && i < options_.threads; ++i)
        slice_work_.push_back(std::make_unique<SliceWork>(*stepper_.slices(),
                                                          layout.dtype,
                                                          stepper_.slices()->length(),
                                                          plan_.keep == Keep::kGradients ? n : 0));
    reserved_ = n;
    records_ = record;
}

// ---- forward

void Unroll::keep_for_loss(const Point& point, std::int64_t j) {
    if (loss_.reads_f()) {
        Tensor row = point_of(loss_f_, j);
        std::memcpy(row.data(), point.f.data(), static_cast<std::size_t>(row.bytes()));
    }
    const auto keep = [j](const TensorSet& from, TensorSet& to) {
        for (std::size_t k = 0; k < to.size(); ++k) {
            Tensor row = point_of(to[k], j);
            std::memcpy(row.data(), from[k].data(), static_cast<std::size_t>(row.bytes()));
        }
    };
    keep(point.x, loss_x_);
    keep(point.g, loss_g_);
}

l2o_trajectory Unroll::trajectory(std::int64_t n,
                                  const Tensor& f,
                                  const TensorSet& x,
                                  const TensorSet& g) const {
    const PointLayout& layout = stepper_.layout();
    l2o_trajectory out{};
    out.batch = static_cast<std::uint32_t>(layout.batch);
    out.t0 = t_;
    out.len = n + 1;
    out.horizon = options_.horizon;
    out.particles = static_cast<std::uint32_t>(layout.particles);
    out.f = f.abi();
    out.x = x.empty() ? nullptr : x.in();
    out.g = g.empty() ? nullptr : g.in();
    out.data = loss_data_.data();
    return out;
}

/// What the loss reads together with what the step reads: f and g share most of their work. Done again in the
/// same way when a segment is run again, so that the bits are the same.
void Unroll::evaluate_for(Point& point, std::int64_t t, bool steps) {
    const PointParts read = steps ? stepper_.parts() : PointParts{};
    stepper_.evaluate(point, t, read.f || loss_.reads_f(), read.g || loss_.reads_g(), kFree);
}

Unroll::Window Unroll::run(std::int64_t n, bool record) {
    reserve(n, record);
    base_ = 0;
    copy_x_and_state(current_, points_[0]);
    kept_at_.clear();
    keep_point(0);
    for (std::int64_t j = 0; j <= n; ++j) {
        if (j - base_ == plan_.segment && j < n) {
            copy_x_and_state(points_[static_cast<std::size_t>(plan_.segment)], points_[0]);
            base_ = j;
            if (j / plan_.segment == next_kept_) keep_point(next_kept_);
        }
        Point& point = at(j);
        evaluate_for(point, t_ + j, j < n);
        keep_for_loss(point, j);
        if (j < n) stepper_.advance(point, at(j + 1), t_ + j);
        if (!gradients_.empty()) gradients_[static_cast<std::size_t>(j)].copy_from(point.g);
    }
    copy_x_and_state(at(n), current_);

    const l2o_trajectory points = trajectory(n, loss_f_, loss_x_, loss_g_);
    stepper_.call().check(
        loss_.api().eval(loss_.raw(), stepper_.call().with(scene_.key, scene_.row0), &points, per_row_.abi()),
        "loss '" + loss_.id() + "'");
    Window window;
    for (std::int64_t b = 0; b < per_row_.size(); ++b) window.loss += per_row_.value(b);
    window.is_finite = std::isfinite(window.loss);
    return window;
}

Unroll::Window Unroll::score(std::int64_t n) {
    try {
        Window window = run(n, false);
        t_ += n;
        return window;
    } catch (const Diverged& diverged) {
        with_values([](auto row) { std::fill(row.begin(), row.end(), NAN); }, per_row_);
        return {.loss = NAN, .is_finite = false, .diverged = diverged.text};
    }
}

bool Unroll::advance(std::int64_t n) {
    try {
        reserve(1, false);
        for (std::int64_t j = 0; j < n; ++j) {
            copy_x_and_state(current_, points_[0]);
            stepper_.advance(points_[0], points_[1], t_);
            copy_x_and_state(points_[1], current_);
            ++t_;
        }
        return true;
    } catch (const Diverged&) {
        return false;
    }
}

Unroll::Window Unroll::window(std::int64_t n, double cot, TensorSet& gradient, std::int64_t first_reverse) {
    if (scene_.optimizer.vjp() == nullptr || loss_.api().vjp == nullptr) {
        throw Error(ExitCode::kPlugin,
                    (scene_.optimizer.vjp() == nullptr ? "optimizer '" + scene_.optimizer.id()
                                                       : "loss '" + loss_.id()) +
                        "' has no derivative; it cannot be trained by back-propagation");
    }
    try {
        Window window = run(n, true);
        if (window.is_finite) {
            with_values([&](auto row) { std::fill(row.begin(), row.end(), cot); }, row_cot_);
            reverse(n, gradient, first_reverse);
        }
        t_ += n;
        return window;
    } catch (const Diverged& diverged) {
        return {.loss = NAN, .is_finite = false, .diverged = diverged.text};
    }
}

}  // namespace l2o::framework
