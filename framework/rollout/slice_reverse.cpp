#include "framework/rollout/slice_reverse.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <l2o/numerics/philox.hpp>

#include "framework/rollout/arithmetic.hpp"
#include "framework/rollout/team.hpp"

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

bool SliceReverse::is_possible(const Scene& scene,
                               const Loss& loss,
                               const Stepper& stepper,
                               SecondOrder second_order) {
    const l2o_optimizer_vjp* vjp = scene.optimizer.vjp();
    return stepper.slices() != nullptr && second_order == SecondOrder::kDrop && !loss.reads_g() &&
           vjp != nullptr && vjp->init_state_vjp == nullptr;
}

SliceReverse::SliceReverse(
    const Scene& scene, const Stepper& stepper, Recording& recording, double subsample, int threads)
    : scene_(scene), stepper_(stepper), recording_(recording), subsample_(subsample), threads_(threads) {}

void SliceReverse::reserve() {
    const bool runs_again = recording_.keeps() == Recording::Keep::kGradients;
    for (int i = 0; i < threads_; ++i)
        work_.push_back(std::make_unique<SliceWork>(
            *stepper_.slices(), stepper_.layout().dtype, runs_again ? recording_.steps() : 0));
}

std::int64_t SliceReverse::bytes() const {
    std::int64_t sum = 0;
    for (const auto& work : work_) sum += work->bytes();
    return sum;
}

/// Those that this window is differentiated on.
std::vector<Slice> SliceReverse::drawn() const {
    std::vector<Slice> slices = stepper_.slices()->all();
    if (subsample_ >= 1) return slices;
    const auto wanted =
        static_cast<std::size_t>(std::max(1.0, std::ceil(subsample_ * static_cast<double>(slices.size()))));
    numerics::Stream random(
        numerics::derive_key(scene_.key, kSubsampleTag, static_cast<std::uint64_t>(recording_.t0())),
        scene_.row0);
    for (std::size_t i = 0; i < wanted; ++i) {
        const auto further = static_cast<std::size_t>(random.below(slices.size() - i));
        std::swap(slices[i], slices[i + further]);
    }
    slices.resize(wanted);
    return slices;
}

void SliceReverse::back(std::int64_t first, const TrajectoryLoss& loss, TensorSet& gradient) {
    if (loss.plugin().reads_f()) recording_.evaluate_last_gradient();
    const std::vector<Slice> slices = drawn();
    const std::size_t lanes = std::min(kLanes, slices.size());
    std::vector<TensorSet> sums;
    for (std::size_t lane = 0; lane < lanes; ++lane) sums.push_back(zeros_like(gradient));
    std::atomic<std::size_t> next{0};
    const auto threads = static_cast<std::int64_t>(work_.size());
    Team(static_cast<int>(threads)).each(threads, [&](std::int64_t thread) {
        SliceWork& work = *work_[static_cast<std::size_t>(thread)];
        TensorSet own = zeros_like(gradient);
        for (std::size_t lane = next++; lane < lanes; lane = next++)
            for (std::size_t i = lane; i < slices.size(); i += lanes) {
                own.zero();
                if (stepper_.layout().dtype == Dtype::kF32)
                    slice_back<float>(slices[i], work, first, loss, own);
                else
                    slice_back<double>(slices[i], work, first, loss, own);
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
void SliceReverse::slice_back(const Slice& slice,
                              SliceWork& work,
                              std::int64_t first,
                              const TrajectoryLoss& loss,
                              TensorSet& gradient) {
    const std::int64_t t0 = recording_.t0(), n = recording_.steps();
    const bool runs_again = recording_.keeps() == Recording::Keep::kGradients;
    const auto g_at = [&](std::int64_t j) {
        return static_cast<const T*>(work.call.in(recording_.gradient(j), slice));
    };
    const auto point_at = [&](std::int64_t j) {
        if (!runs_again) return work.call.in(recording_.at(j), slice);
        return j == 0 ? work.call.in(recording_.first(), slice) : work.place(SliceWork::kPoints + j - 1);
    };
    const auto stays = [&](std::int64_t j) {
        return stepper_.updates().stays(scene_.key, t0 + j, slice.block);
    };
    for (std::int64_t j = 0; runs_again && j < n; ++j) {
        if (stays(j))
            work.call.copy(slice.count, point_at(j), point_at(j + 1));
        else
            work.call.step(
                scene_.params, scene_.key, t0 + j, slice.count, point_at(j), g_at(j), point_at(j + 1));
    }
    std::int64_t after = SliceWork::kCotangents, before = after + 1;
    work.zero(after);
    loss.slice_back(n, slice, g_at(n), static_cast<T*>(work.place(after).x));
    for (std::int64_t j = n - 1; j >= first; --j) {
        SliceMemory back = work.place(before);
        T* const x_cot = static_cast<T*>(back.x);
        if (stays(j)) {
            work.call.copy(slice.count, work.place(after), back);
        } else {
            work.zero(before);
            if (j == first) back.x = nullptr;
            work.call.step_back(scene_.params,
                                scene_.key,
                                t0 + j,
                                slice.count,
                                point_at(j),
                                g_at(j),
                                point_at(j + 1),
                                work.place(after),
                                back,
                                gradient);
        }
        if (j > first) loss.slice_back(j, slice, g_at(j), x_cot);
        std::swap(after, before);
    }
}

}  // namespace l2o::framework
