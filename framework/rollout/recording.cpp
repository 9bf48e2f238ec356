#include "framework/rollout/recording.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "framework/error.hpp"
#include "framework/rollout/rematerialise.hpp"
#include "framework/rollout/slice_work.hpp"

namespace l2o::framework {
namespace {

Point with_x_and_state(const PointLayout& layout) {
    return {layout, {.g = false, .f = false, .state = true}};
}

}  // namespace

PointParts Recording::parts() const {
    return {.g = stepper_.parts().g || options_.loss_reads_g,
            .f = stepper_.parts().f || options_.loss_reads_f,
            .state = true};
}

std::int64_t Recording::bytes() const {
    std::int64_t sum = 0;
    for (const Point& point : points_) sum += point.bytes();
    for (const Point& point : kept_) sum += point.bytes();
    for (const TensorSet& g : gradients_) sum += g.bytes();
    return sum;
}

// ---- memory

Recording::Plan Recording::plan(std::int64_t n, std::int64_t besides) const {
    if (options_.memory_bytes == 0) return {.keep = Keep::kAll, .segment = n};
    const Point full(stepper_.layout(), parts());
    const std::int64_t light = full.x.bytes() + full.state.bytes();
    const auto budget = static_cast<std::int64_t>(
        std::min<std::uint64_t>(options_.memory_bytes, std::numeric_limits<std::int64_t>::max()));
    const auto slices = [&](std::int64_t points) {
        if (!options_.reverses_slices) return std::int64_t{0};
        return options_.threads * SliceWork::bytes(*stepper_.slices(), stepper_.layout().dtype, points);
    };
    if (besides + slices(0) + (n + 1) * full.bytes() <= budget) return {.keep = Keep::kAll, .segment = n};
    const std::int64_t least = besides + light + 2 * full.bytes();
    if (options_.reverses_slices && least + (n + 1) * full.g.bytes() + slices(n) <= budget)
        return {.keep = Keep::kGradients, .segment = 1, .kept = 1};
    Plan best;
    std::int64_t fewest = std::numeric_limits<std::int64_t>::max();
    for (std::int64_t segment = n; segment >= 1; --segment) {
        const std::int64_t segments = (n + segment - 1) / segment;
        const std::int64_t kept = std::min(
            light == 0 ? segments : (budget - besides - (segment + 1) * full.bytes()) / light, segments);
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
                    " per shard; raise train.memory, or shorten train.unroll");
}

void Recording::clear() {
    steps_ = -1;
    points_.clear();
    kept_.clear();
    gradients_.clear();
}

void Recording::reserve(std::int64_t n, bool records, std::int64_t besides) {
    const PointLayout& layout = stepper_.layout();
    plan_ = records ? plan(n, besides) : Plan{};
    for (std::int64_t i = 0; i <= plan_.segment; ++i) points_.emplace_back(layout, parts());
    for (std::int64_t i = 0; i < plan_.kept; ++i) kept_.push_back(with_x_and_state(layout));
    for (std::int64_t i = 0; plan_.keep == Keep::kGradients && i <= n; ++i)
        gradients_.push_back(Point(layout, {.g = true, .f = false, .state = false}).g);
    steps_ = n;
    records_ = records;
}

// ---- forwards

void Recording::begin(const Point& start, std::int64_t t0) {
    t0_ = t0;
    base_ = next_kept_ = 0;
    copy_x_and_state(start, points_[0]);
    kept_at_.clear();
    if (!kept_.empty()) keep_start(0, segment_of(steps_ - 1));
}

Point& Recording::evaluated(std::int64_t j, bool steps) {
    if (j - base_ == plan_.segment && steps) enter_next_segment(segment_of(steps_ - 1));
    evaluate(j, steps);
    if (steps) keep_gradient(j);
    return at(j);
}

/// f and g together, which share most of their work; and in the same way when a segment is run again, so that
/// the bits are the same.
void Recording::evaluate(std::int64_t j, bool steps) {
    const PointParts read = steps ? stepper_.parts() : PointParts{};
    stepper_.evaluate(
        at(j), t0_ + j, read.f || options_.loss_reads_f, read.g || options_.loss_reads_g, kFree);
}

void Recording::evaluate_last_gradient() {
    stepper_.evaluate(at(steps_), t0_ + steps_, false, true, kFree);
    keep_gradient(steps_);
}

void Recording::keep_gradient(std::int64_t j) {
    if (!gradients_.empty()) gradients_[static_cast<std::size_t>(j)].copy_from(at(j).g);
}

/// @param last  the segment that this way ends with.
void Recording::enter_next_segment(std::int64_t last) {
    copy_x_and_state(points_[static_cast<std::size_t>(plan_.segment)], points_[0]);
    base_ += plan_.segment;
    if (segment_of(base_) == next_kept_) keep_start(next_kept_, last);
}

/// x and state of points_[0], where `segment` begins.
void Recording::keep_start(std::int64_t segment, std::int64_t last) {
    copy_x_and_state(points_[0], kept_[kept_at_.size()]);
    kept_at_.push_back(segment);
    choose_next_kept(last);
}

void Recording::choose_next_kept(std::int64_t last) {
    const std::int64_t newest = kept_at_.back();
    const auto room = static_cast<std::int64_t>(kept_.size() - kept_at_.size()) + 1;
    const std::int64_t further = next_kept(last - newest + 1, room);
    next_kept_ = further > 0 ? newest + further : 0;
}

// ---- back

void Recording::bring(std::int64_t j) {
    if (j < base_) run_again(segment_of(j));
}

/// From the last start that was kept before it; keeps others on the way, where there is room again.
void Recording::run_again(std::int64_t segment) {
    while (kept_at_.back() > segment) kept_at_.pop_back();
    base_ = kept_at_.back() * plan_.segment;
    copy_x_and_state(kept_[kept_at_.size() - 1], points_[0]);
    choose_next_kept(segment);
    for (;; enter_next_segment(segment)) {
        for (std::int64_t j = base_; j < base_ + plan_.segment; ++j) {
            evaluate(j, true);
            stepper_.advance(at(j), at(j + 1), t0_ + j);
        }
        if (segment_of(base_) == segment) return;
    }
}

}  // namespace l2o::framework
