// First-order back-propagation of a coordinate-wise optimizer: with g a constant, coordinates do not meet on
// the way back, so a slice of them goes through the whole window while it stays in cache.
#include <atomic>
#include <cmath>
#include <l2o/numerics/philox.hpp>

#include "framework/rollout/arithmetic.hpp"
#include "framework/rollout/team.hpp"
#include "framework/rollout/unroll.hpp"

namespace l2o::framework {
namespace {

constexpr std::uint64_t kSubsampleTag = 0x736c6963;
// Sums of the parameters' cotangents: a fixed number, so that they do not depend on that of threads.
constexpr std::size_t kLanes = 8;

TensorSet zeros_like(const TensorSet& set) {
    std::vector<Tensor> tensors;
    for (const Tensor& tensor : set.tensors())
        tensors.push_back(tensor ? Tensor(tensor.dtype(), tensor.shape()) : Tensor());
    return TensorSet(std::move(tensors));
}

void add_sets(TensorSet& to, const TensorSet& from) {
    for (std::size_t i = 0; i < to.size(); ++i)
        if (to[i]) add(to[i], from[i]);
}

}  // namespace

SliceWork::SliceWork(const Slices& slices, Dtype dtype, std::int64_t length, std::int64_t kept)
    : call(slices, dtype, length), dtype_(dtype), length_(length) {
    std::int64_t width = 1;
    for (const std::int64_t w : slices.widths()) width += w;
    widths_ = slices.widths();
    memory_ = Tensor(dtype, {kPoints + kept, length, width});
}

SliceMemory SliceWork::place(std::int64_t index) {
    auto* at = static_cast<std::byte*>(memory_.data());
    const std::int64_t step = length_ * bytes_of(dtype_);
    at += index * (memory_.bytes() / memory_.shape()[0]);
    SliceMemory place{.x = at, .state = {}};
    at += step;
    for (const std::int64_t width : widths_) {
        place.state.push_back(at);
        at += step * width;
    }
    return place;
}

void SliceWork::zero(std::int64_t index) {
    const std::int64_t bytes = memory_.bytes() / memory_.shape()[0];
    std::memset(static_cast<std::byte*>(memory_.data()) + index * bytes, 0, static_cast<std::size_t>(bytes));
}

bool Unroll::reverses_slices() const {
    const l2o_optimizer_vjp* vjp = scene_.optimizer.vjp();
    return stepper_.slices() != nullptr && options_.second_order == SecondOrder::kDrop && !loss_.reads_g() &&
           vjp != nullptr && vjp->init_state_vjp == nullptr;
}

/// Those that this window is differentiated on.
std::vector<Slice> Unroll::drawn_slices() const {
    std::vector<Slice> slices = stepper_.slices()->all();
    if (options_.subsample >= 1) return slices;
    const auto wanted = static_cast<std::size_t>(
        std::max(1.0, std::ceil(options_.subsample * static_cast<double>(slices.size()))));
    numerics::Stream random(numerics::derive_key(scene_.key, kSubsampleTag, static_cast<std::uint64_t>(t_)),
                            scene_.row0);
    for (std::size_t i = 0; i < wanted; ++i) {
        const auto further = static_cast<std::size_t>(random.below(slices.size() - i));
        std::swap(slices[i], slices[i + further]);
    }
    slices.resize(wanted);
    return slices;
}

/// @pre loss_f_cot_ and loss_x_cot_ hold the cotangents of the window's points.
void Unroll::reverse_slices(std::int64_t n, TensorSet& gradient, std::int64_t stop) {
    if (loss_f_cot_) {
        Point& last = at(n);
        stepper_.evaluate(last, t_ + n, false, true, kFree);
        if (!gradients_.empty()) gradients_.back().copy_from(last.g);
    }
    const std::vector<Slice> slices = drawn_slices();
    const std::size_t lanes = std::min(kLanes, slices.size());
    std::vector<TensorSet> sums;
    for (std::size_t lane = 0; lane < lanes; ++lane) sums.push_back(zeros_like(gradient));
    std::atomic<std::size_t> next{0};
    const auto threads = static_cast<std::int64_t>(slice_work_.size());
    Team(static_cast<int>(threads)).each(threads, [&](std::int64_t thread) {
        SliceWork& work = *slice_work_[static_cast<std::size_t>(thread)];
        TensorSet own = zeros_like(gradient);
        for (std::size_t lane = next++; lane < lanes; lane = next++)
            for (std::size_t i = lane; i < slices.size(); i += lanes) {
                own.zero();
                if (stepper_.layout().dtype == Dtype::kF32)
                    reverse_slice<float>(slices[i], work, n, stop, own);
                else
                    reverse_slice<double>(slices[i], work, n, stop, own);
                add_sets(sums[lane], own);
            }
    });
    for (std::size_t lane = 1; lane < lanes; ++lane) add_sets(sums[0], sums[lane]);
    const double weight =
        static_cast<double>(stepper_.slices()->all().size()) / static_cast<double>(slices.size());
    for (std::size_t i = 0; i < gradient.size(); ++i) {
        if (!gradient[i]) continue;
        with_values(
            [weight](auto to, auto from) {
                using T = typename decltype(to)::value_type;
                for (std::size_t e = 0; e < to.size(); ++e) to[e] += static_cast<T>(weight) * from[e];
            },
            gradient[i],
            sums[0][i]);
    }
}

template <class T>
void Unroll::reverse_slice(
    const Slice& slice, SliceWork& work, std::int64_t n, std::int64_t stop, TensorSet& gradient) {
    const bool runs_again = plan_.keep == Keep::kGradients;
    const auto g_at = [&](std::int64_t j) {
        TensorSet& g = runs_again ? gradients_[static_cast<std::size_t>(j)] : at(j).g;
        return static_cast<const T*>(work.call.in(g, slice));
    };
    const auto point_at = [&](std::int64_t j) {
        if (!runs_again) return work.call.in(at(j), slice);
        return j == 0 ? work.call.in(kept_[0], slice) : work.place(SliceWork::kPoints + j - 1);
    };
    const auto stays = [&](std::int64_t j) {
        return stepper_.updates().stays(scene_.key, t_ + j, slice.block);
    };
    for (std::int64_t j = 0; runs_again && j < n; ++j) {
        if (stays(j))
            work.call.copy(slice.count, point_at(j), point_at(j + 1));
        else
            work.call.step(
                scene_.params, scene_.key, t_ + j, slice.count, point_at(j), g_at(j), point_at(j + 1));
    }
    const std::int64_t per_row =
        element_count(stepper_.layout().blocks[slice.block]) / stepper_.layout().batch;
    const auto add_loss = [&](std::int64_t j, T* x_bar) {
        if (loss_f_cot_) {
            const T* f_bar = loss_f_cot_.values<T>().data() + j * stepper_.layout().batch;
            const T* g = g_at(j);
            for (std::int64_t i = 0; i < slice.count; ++i)
                x_bar[i] += f_bar[(slice.first + i) / per_row] * g[i];
        }
        if (loss_x_cot_.empty()) return;
        Tensor& cot = loss_x_cot_[slice.block];
        const T* own = cot.values<T>().data() + j * element_count(stepper_.layout().blocks[slice.block]);
        for (std::int64_t i = 0; i < slice.count; ++i) x_bar[i] += own[slice.first + i];
    };
    std::int64_t after = SliceWork::kCotangents, before = after + 1;
    work.zero(after);
    add_loss(n, static_cast<T*>(work.place(after).x));
    for (std::int64_t j = n - 1; j >= stop; --j) {
        SliceMemory back = work.place(before);
        T* x_bar = static_cast<T*>(back.x);
        if (stays(j)) {
            work.call.copy(slice.count, work.place(after), back);
        } else {
            work.zero(before);
            if (j == stop) back.x = nullptr;
            work.call.step_back(scene_.params,
                                scene_.key,
                                t_ + j,
                                slice.count,
                                point_at(j),
                                g_at(j),
                                point_at(j + 1),
                                work.place(after),
                                back,
                                gradient);
        }
        if (j > stop) add_loss(j, x_bar);
        std::swap(after, before);
    }
}

}  // namespace l2o::framework
