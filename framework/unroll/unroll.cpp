#include "framework/unroll/unroll.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "framework/error.hpp"
#include "framework/unroll/arithmetic.hpp"
#include "framework/unroll/rematerialise.hpp"

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

/// Point j of [N + 1, ...], borrowed.
Tensor point_of(const Tensor& tensor, std::int64_t j) { return tensor.rows(j, 1); }

Point point_with_x_and_state(const PointLayout& layout) {
    return {layout, {.g = false, .f = false, .state = true}};
}

void copy_x_and_state(const Point& from, Point& to) {
    to.x.copy_from(from.x);
    to.state.copy_from(from.state);
    to.has_f = to.has_g = false;
}

/// Point j of every block, as rows of the optimizee.
TensorSet rows_of(const TensorSet& blocks, std::int64_t j, const PointLayout& layout) {
    std::vector<Tensor> rows;
    for (std::size_t block = 0; block < blocks.size(); ++block) {
        const Tensor point = point_of(blocks[block], j);
        rows.push_back(
            Tensor::borrow(point.dtype(), layout.blocks_as_rows[block], const_cast<void*>(point.data())));
    }
    return TensorSet(std::move(rows));
}

/// [n, ...] for every block.
TensorSet blocks_of(const PointLayout& layout, std::int64_t n) {
    std::vector<Tensor> blocks;
    for (const Shape& shape : layout.blocks) blocks.emplace_back(layout.dtype, with_leading(n, shape));
    return TensorSet(std::move(blocks));
}

double coordinates_per_row(const TensorSet& x, std::int64_t rows) {
    std::int64_t sum = 0;
    for (const Tensor& tensor : x.tensors()) sum += tensor.size();
    return static_cast<double>(sum) / static_cast<double>(rows);
}

}  // namespace

Unroll::Unroll(const Scene& scene, const Loss& loss, const UnrollOptions& options)
    : scene_(scene),
      loss_(loss),
      options_(options),
      stepper_(scene, {.length = options.subsample < 1 ? kSubsampled : kSliced, .threads = options.threads}) {
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
        scene.optimizer.reads_g() || loss.needs_g() || (info.question_kinds & L2O_GRADIENT) != 0;
    if (options_.subsample < 1 && !reverses_slices()) {
        throw Error(ExitCode::kUsage,
                    "train.coordinate_subsample is " + fmt::format("{:g}", options_.subsample) +
                        "; it needs second_order drop and a differentiable coordinate-wise optimizer on more "
                        "than " +
                        std::to_string(kSubsampled) + " coordinates per shard, which '" +
                        scene_.optimizer.id() + "' on '" + scene_.optimizee.id() + "' is not; set it to 1");
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
    return {.g = stepper_.parts().g || loss_.needs_g(),
            .f = stepper_.parts().f || loss_.needs_f(),
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
    if (loss_.needs_f()) loss_f_ = Tensor(layout.dtype, with_leading(n + 1, layout.f));
    if (loss_.needs_x()) loss_x_ = blocks_of(layout, n + 1);
    if (loss_.needs_g()) loss_g_ = blocks_of(layout, n + 1);
    if (record) {
        if (loss_.needs_f()) loss_f_cot_ = Tensor(layout.dtype, loss_f_.shape());
        if (loss_.needs_x()) loss_x_cot_ = blocks_of(layout, n + 1);
        if (loss_.needs_g()) loss_g_cot_ = blocks_of(layout, n + 1);
        cot_ = Point(layout, {.g = true, .f = true, .state = true});
        before_ = Point(layout, {.g = true, .f = true, .state = true});
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
    if (loss_.needs_f()) {
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
    out.struct_size = sizeof out;
    out.batch = static_cast<std::uint32_t>(layout.batch);
    out.t0 = t_;
    out.len = n + 1;
    out.horizon = options_.horizon;
    out.particles = static_cast<std::uint32_t>(layout.particles);
    out.n_blocks = static_cast<std::uint32_t>(layout.blocks.size());
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
    stepper_.evaluate(point, t, read.f || loss_.needs_f(), read.g || loss_.needs_g(), false);
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

// ---- imitation

Unroll::Window Unroll::step_beside(std::int64_t n, Teacher& teacher) {
    const PointLayout& layout = stepper_.layout();
    reserve(n, true);
    if (plan_.keep != Keep::kAll) {
        throw Error(ExitCode::kUsage,
                    "imitation keeps all points of a window, and " + std::to_string(n) +
                        " steps do not fit the budget of " + std::to_string(options_.memory_bytes) +
                        " bytes per shard; raise train.memory, or shorten train.unroll");
    }
    while (static_cast<std::int64_t>(misses_.size()) < n)
        misses_.push_back(Point(layout, {.g = false, .f = false, .state = false}).x);
    base_ = 0;
    copy_x_and_state(current_, points_[0]);
    Window window;
    const double coordinates = coordinates_per_row(current_.x, layout.batch);
    for (std::int64_t j = 0; j < n; ++j) {
        Point& point = at(j);
        teacher.show(point, t_ + j);
        stepper_.advance(point, scratch_, t_ + j);
        at(j + 1).state.copy_from(scratch_.state);
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
                scratch_.x[k],
                teacher.x()[k]);
        }
    }
    current_.x.copy_from(teacher.x());
    current_.state.copy_from(at(n).state);
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
                step_back(j, cot_, before_, gradient, true, false);
                std::swap(cot_, before_);
            }
            if (t_ == 0) initial_state_back(gradient);
        }
        t_ += n;
        return window;
    } catch (const Diverged& diverged) {
        return {.loss = NAN, .is_finite = false, .diverged = diverged.text};
    }
}

// ---- reverse

void Unroll::reverse(std::int64_t n, TensorSet& gradient, std::int64_t stop) {
    if (loss_f_cot_) loss_f_cot_.zero();
    loss_x_cot_.zero();
    loss_g_cot_.zero();
    const l2o_trajectory points = trajectory(n, loss_f_, loss_x_, loss_g_);
    const l2o_trajectory cotangents = trajectory(n, loss_f_cot_, loss_x_cot_, loss_g_cot_);
    stepper_.call().check(
        loss_.api().vjp(
            loss_.raw(), stepper_.call().with(scene_.key, scene_.row0), &points, row_cot_.abi(), &cotangents),
        "loss '" + loss_.id() + "'");
    if (reverses_slices() && plan_.keep != Keep::kSegments) return reverse_slices(n, gradient, stop);
    cot_.x.zero();
    cot_.state.zero();
    cot_.f.zero();
    add_loss_cotangent(n, cot_);
    for (std::int64_t j = n - 1; j >= stop; --j) {
        if (j < base_) recompute_segment(j / plan_.segment);
        step_back(j, cot_, before_, gradient, j == stop);
        if (j > stop) add_loss_cotangent(j, before_);
        std::swap(cot_, before_);
    }
    if (t_ == 0 && stop == 0) initial_state_back(gradient);
}

/// From the cotangent of the state at t = 0 to the parameters that it is made of.
void Unroll::initial_state_back(TensorSet& gradient) {
    const l2o_optimizer_vjp* vjp = scene_.optimizer.vjp();
    if (vjp->init_state_vjp == nullptr) return;
    const l2o_step_in in = stepper_.step_in(at(0), 0, nullptr);
    l2o_step_in acc{};
    acc.struct_size = sizeof acc;
    acc.batch = in.batch;
    acc.params = gradient.in();
    acc.state = acc.x = acc.g = acc.data = nothing_.data();
    const auto lock = scene_.optimizer.guard();
    stepper_.call().check(vjp->init_state_vjp(scene_.optimizer.raw(),
                                              stepper_.call().with(scene_.key, scene_.row0),
                                              &in,
                                              cot_.state.in(),
                                              &acc),
                          scene_.optimizer.id());
}

/// Keeps points_[0], where a segment begins, if there is room; and says which one is next.
void Unroll::keep_point(std::int64_t segment) {
    next_kept_ = 0;
    if (kept_at_.size() == kept_.size()) return;
    copy_x_and_state(points_[0], kept_[kept_at_.size()]);
    kept_at_.push_back(segment);
    if (plan_.keep != Keep::kSegments) return;
    const std::int64_t last = (reserved_ - 1) / plan_.segment;
    const auto room = static_cast<std::int64_t>(kept_.size() - kept_at_.size()) + 1;
    const std::int64_t further = next_kept(last - segment + 1, room);
    next_kept_ = further > 0 ? segment + further : 0;
}

/// From the last point that was kept before it; keeps others on the way, where there is room again.
void Unroll::recompute_segment(std::int64_t segment) {
    while (kept_at_.back() > segment) kept_at_.pop_back();
    std::int64_t now = kept_at_.back();
    copy_x_and_state(kept_[kept_at_.size() - 1], points_[0]);
    const auto target = [&](std::int64_t from) {  // room is counted up to the segment that is wanted
        const auto room = static_cast<std::int64_t>(kept_.size() - kept_at_.size()) + 1;
        const std::int64_t further = next_kept(segment - from + 1, room);
        return further > 0 ? from + further : 0;
    };
    std::int64_t next = target(now);
    for (;; ++now) {
        base_ = now * plan_.segment;
        if (now == next && next > 0) {
            copy_x_and_state(points_[0], kept_[kept_at_.size()]);
            kept_at_.push_back(now);
            next = target(now);
        }
        for (std::int64_t j = base_; j < base_ + plan_.segment; ++j) {
            evaluate_for(at(j), t_ + j, true);
            stepper_.advance(at(j), at(j + 1), t_ + j);
        }
        if (now == segment) return;
        copy_x_and_state(points_[static_cast<std::size_t>(plan_.segment)], points_[0]);
    }
}

/// cot.x += d loss / d x_j directly, through g_j by the Hessian there, and through f_j by the gradient (cot.f
/// holds what the step itself adds).
void Unroll::add_loss_cotangent(std::int64_t j, Point& cot) {
    for (std::size_t k = 0; k < loss_x_cot_.size(); ++k) add(cot.x[k], point_of(loss_x_cot_[k], j));
    if (!loss_g_cot_.empty()) {
        hessian_product(at(j).x_rows, rows_of(loss_g_cot_, j, stepper_.layout()), t_ + j);
        for (std::size_t k = 0; k < cot.x.size(); ++k) add(cot.x[k], scratch_.g[k]);
    }
    if (loss_f_cot_) add(cot.f, point_of(loss_f_cot_, j));
    if (all_zero(cot.f)) return;
    Point& point = at(j);
    const TensorSet* g = &point.g;
    if (!point.g.empty()) {
        stepper_.evaluate(point, t_ + j, false, true, false);
    } else {
        stepper_.gradient_at(point.x_rows, t_ + j, scratch_.g_rows);
        g = &scratch_.g;
    }
    for (std::size_t k = 0; k < cot.x.size(); ++k) add_scaled_rows(cot.x[k], cot.f, (*g)[k]);
}

/// From the cotangents of x_{j+1}, h_{j+1} to those of x_j, h_j (and f_j, left in before.f).
void Unroll::step_back(
    std::int64_t j, Point& cot, Point& before, TensorSet& gradient, bool is_last, bool is_taken) {
    const std::int64_t t = t_ + j;
    const bool second = options_.second_order != SecondOrder::kDrop;
    const bool to_g = second && scene_.optimizer.reads_g(), to_f = second && scene_.optimizer.reads_f();
    before.x.zero();
    before.state.zero();
    before.f.zero();
    if (to_g) before.g.zero();
    Point& point = at(j);
    stepper_.replay(point, scratch_, t, rounds_);

    std::vector<Stepper::Round> round_cot(rounds_.size());  // cotangents of what each round was given
    for (std::size_t r = rounds_.size(); r-- > 0;) {
        const bool is_final = r + 1 == rounds_.size();
        l2o_step_in in = stepper_.step_in(point, t, r > 0 ? &rounds_[r] : nullptr);
        in.round = static_cast<std::uint32_t>(r);
        l2o_step_out out{};
        if (rounds_.size() == 1 && is_taken) {
            out.struct_size = sizeof out;
            out.batch = in.batch;
            out.state = at(j + 1).state.out();
            out.x = at(j + 1).x.out();
            in.out = &out;
        }
        l2o_step_out out_cot{};
        out_cot.struct_size = sizeof out_cot;
        out_cot.batch = in.batch;
        out_cot.n_questions = is_final ? 0 : rounds_[r + 1].n;
        out_cot.state = const_cast<l2o_out>(is_final ? cot.state.in() : round_cot[r + 1].state.in());
        out_cot.x = const_cast<l2o_out>(is_final ? cot.x.in() : nothing_.data());
        out_cot.q = const_cast<l2o_out>(is_final ? nothing_.data() : round_cot[r + 1].q.in());

        l2o_step_in acc{};
        acc.struct_size = sizeof acc;
        acc.batch = in.batch;
        acc.t = t;
        acc.round = in.round;
        acc.n_answers = in.n_answers;
        acc.params = gradient.in();
        acc.state = before.state.in();
        // The first step of the window passes nothing on but the state, for a learned initial state.
        acc.x = is_last && r == 0 ? nothing_.data() : before.x.in();
        acc.g = to_g && !is_last ? before.g.in() : nothing_.data();
        acc.f = to_f && !is_last ? before.f.abi() : nullptr;
        acc.data = nothing_.data();
        acc.q = acc.qg = nothing_.data();
        if (r > 0) {
            Stepper::Round& given = round_cot[r];
            const auto like = [](const TensorSet& set) {
                std::vector<Tensor> zeros;
                for (const Tensor& tensor : set.tensors()) zeros.emplace_back(tensor.dtype(), tensor.shape());
                return TensorSet(std::move(zeros));
            };
            given.state = like(rounds_[r].state);
            given.q = like(rounds_[r].q);
            given.qg = like(rounds_[r].qg);
            given.qf = Tensor(rounds_[r].qf.dtype(), rounds_[r].qf.shape());
            acc.state = given.state.in();
            acc.q = given.q.in();
            if (second && !given.qg.empty()) acc.qg = given.qg.in();
            if (second) acc.qf = given.qf.abi();
        }
        {
            const auto lock = scene_.optimizer.guard();
            stepper_.call().check(scene_.optimizer.vjp()->step_vjp(
                                      scene_.optimizer.raw(), stepper_.step_call(t), &in, &out_cot, &acc),
                                  scene_.optimizer.id());
        }
        if (r > 0 && second) answers_back(t, rounds_[r], round_cot[r]);
    }
    if (to_g && !is_last) {
        hessian_product(point.x_rows, before.g_rows, t);
        for (std::size_t k = 0; k < before.x.size(); ++k) add(before.x[k], scratch_.g[k]);
    }
}

/// Asked for, or the only way for a loss that reads g: its derivative needs the Hessian even with drop.
bool Unroll::by_differences() const {
    return options_.second_order == SecondOrder::kFd ||
           (options_.second_order == SecondOrder::kDrop && loss_.needs_g() &&
            scene_.optimizee.api().hvp == nullptr);
}

/// scratch_.g = H(x) v; by differences: (g(x + h v) - g(x - h v)) / 2h, with |h v| about the cube root of the
/// rounding of x, row by row.
void Unroll::hessian_product(const TensorSet& x_rows, const TensorSet& v_rows, std::int64_t t) {
    if (!by_differences()) return stepper_.hvp(x_rows, v_rows, t, scratch_.g_rows);
    const auto rows = static_cast<std::size_t>(stepper_.layout().rows);
    std::vector<double> x_norm(rows), v_norm(rows), h(rows);
    const auto add_squares = [&](const TensorSet& set, std::vector<double>& squares) {
        for (const Tensor& tensor : set.tensors()) {
            with_values(
                [&](auto values) {
                    const std::size_t cols = values.size() / rows;
                    for (std::size_t i = 0; i < values.size(); ++i)
                        squares[i / cols] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
                },
                tensor);
        }
    };
    add_squares(x_rows, x_norm);
    add_squares(v_rows, v_norm);
    const double rounding = stepper_.layout().dtype == Dtype::kF32 ? 0x1p-23 : 0x1p-52;
    for (std::size_t row = 0; row < rows; ++row)
        h[row] = v_norm[row] > 0
                     ? std::cbrt(rounding) * std::max(1.0, std::sqrt(x_norm[row])) / std::sqrt(v_norm[row])
                     : 1;
    for (const double sign : {1.0, -1.0}) {
        for (std::size_t k = 0; k < x_rows.size(); ++k) {
            with_values(
                [&](auto to, auto x, auto v) {
                    using T = typename decltype(to)::value_type;
                    const std::size_t cols = to.size() / rows;
                    for (std::size_t i = 0; i < to.size(); ++i)
                        to[i] = x[i] + static_cast<T>(sign * h[i / cols]) * v[i];
                },
                displaced_.x_rows[k],
                x_rows[k],
                v_rows[k]);
        }
        stepper_.gradient_at(displaced_.x_rows, t, sign > 0 ? scratch_.g_rows : displaced_.g_rows);
    }
    for (std::size_t k = 0; k < x_rows.size(); ++k) {
        with_values(
            [&](auto product, auto below) {
                using T = typename decltype(product)::value_type;
                const std::size_t cols = product.size() / rows;
                for (std::size_t i = 0; i < product.size(); ++i)
                    product[i] = (product[i] - below[i]) / static_cast<T>(2 * h[i / cols]);
            },
            scratch_.g_rows[k],
            displaced_.g_rows[k]);
    }
}

/// cot.q += cot(f(q)) g(q) + H(q) cot(g(q)) for every question of a round.
void Unroll::answers_back(std::int64_t t, const Stepper::Round& round, Stepper::Round& cot) {
    const PointLayout& layout = stepper_.layout();
    for (std::int64_t k = 0; k < round.n; ++k) {
        const TensorSet q = rows_of(round.q, k, layout);
        TensorSet q_cot = rows_of(cot.q, k, layout);
        const Tensor f_cot = point_of(cot.qf, k);
        if ((round.kinds & L2O_VALUE) != 0 && !all_zero(f_cot)) {
            stepper_.gradient_at(q, t, scratch_.g_rows);
            for (std::size_t block = 0; block < q.size(); ++block) {
                add_scaled_rows(q_cot[block], f_cot, scratch_.g[block]);
            }
        }
        if ((round.kinds & L2O_GRADIENT) != 0) {
            hessian_product(q, rows_of(cot.qg, k, layout), t);
            for (std::size_t block = 0; block < q.size(); ++block) add(q_cot[block], scratch_.g[block]);
        }
    }
}

}  // namespace l2o::framework
