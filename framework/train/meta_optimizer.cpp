#include "framework/train/meta_optimizer.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "framework/error.hpp"
#include "framework/rollout/arithmetic.hpp"
#include "framework/rollout/team.hpp"
#include "framework/train/shards.hpp"

namespace l2o::framework {
namespace {

Shape with_one(const Shape& shape) {
    Shape out{1};
    out.insert(out.end(), shape.begin(), shape.end());
    return out;
}

/// moved = x + rate (moved - x), and `before` = x.   @return whether all of them are finite.
template <class T>
bool mix(std::span<const T> x, double rate, T* moved, T* before) {
    std::ranges::copy(x, before);
    // Rate 1 takes the plugin's own value, to the bit, and rate 0 that of x.
    if (rate == 0) {
        std::ranges::copy(x, moved);
    } else if (rate != 1) {
        for (std::size_t i = 0; i < x.size(); ++i) moved[i] = x[i] + static_cast<T>(rate) * (moved[i] - x[i]);
    }
    int strays = 0;
    for (std::size_t i = 0; i < x.size(); ++i) strays |= static_cast<int>(!std::isfinite(moved[i]));
    return strays == 0;
}

template <class T>
std::span<T> part(Tensor& tensor, const Slice& slice) {
    return tensor.values<T>().subspan(static_cast<std::size_t>(slice.first),
                                      static_cast<std::size_t>(slice.count));
}

}  // namespace

MetaOptimizer::MetaOptimizer(const PluginChoice& choice,
                             const Optimizer& learned,
                             TensorSet& phi,
                             const std::vector<double>& rates,
                             int threads)
    : phi_(phi) {
    std::vector<Tensor> x;
    for (std::size_t i = 0; i < phi.size(); ++i) {
        const l2o_spec& spec = *learned.params()[i];
        if (has(spec, L2O_SPEC_DERIVED) || (!rates.empty() && rates[i] == 0)) continue;
        trainable_.push_back(i);
        blocks_.push_back(spec);
        blocks_.back().flags = L2O_SPEC_BATCHED;
        x.push_back(Tensor::borrow(phi[i].dtype(), with_one(phi[i].shape()), phi[i].data()));
    }
    if (trainable_.empty()) {
        throw Error(ExitCode::kUsage,
                    "optimizer '" + learned.id() + "' has no parameters to train" +
                        (rates.empty() ? "" : ": check train.multipliers"));
    }
    Task task;
    for (const l2o_spec& spec : blocks_) task.blocks.push_back(&spec);
    task.name = "the parameters of " + learned.id();
    task.dtype = x.front().dtype();
    optimizer_ = std::make_unique<Optimizer>(choice.entry, choice.resolve(), task);
    if (optimizer_->reads_f() || optimizer_->info().max_questions > 0 || optimizer_->info().particles > 0 ||
        !optimizer_->params().empty()) {
        throw Error(ExitCode::kUsage,
                    choice.context.origin + ": " + choice.context.path + ": optimizer '" + choice.id() +
                        "' cannot be a meta-optimizer: it needs objective values, or has parameters of its "
                        "own; use a "
                        "gradient method such as adam, rmsprop or momentum");
    }
    PointLayout layout;
    layout.dtype = task.dtype;
    for (const Tensor& tensor : x) layout.blocks.push_back(tensor.shape());
    std::vector<Tensor> state;
    for (const l2o_spec* spec : optimizer_->state()) {
        state.emplace_back(dtype_of(*spec), shape_of(*spec, 1));
        layout.state.push_back(state.back().shape());
    }
    point_.x = TensorSet(std::move(x));
    point_.state = TensorSet(std::move(state));
    constexpr std::int64_t kSlice = 8192;  // x, g and two moments of a slice stay in the L2 cache
    slices_ = Slices::of(*optimizer_, layout, kSlice);
    if (slices_ && point_.x.bytes() < kWorthThreads) threads = 1;
    for (int i = 0; slices_ && i < threads; ++i)
        work_.push_back(std::make_unique<SliceWork>(*slices_, layout.dtype, 0));
    if (slices_) {
        parts_ = slices_->all();
    } else {
        for (std::size_t k = 0; k < point_.x.size(); ++k) parts_.push_back({k, 0, point_.x[k].size()});
        moved_ = clone(point_.x);
        next_ = clone(point_.state);
    }
    call_.reserve_scratch(
        CallContext::scratch_of(optimizer_->info(), 1, "meta-optimizer '" + optimizer_->id() + "'"));
    reset();
}

void MetaOptimizer::reset() {
    t_ = 0;
    if (point_.state.empty()) return;
    l2o_step_in in{};
    in.batch = 1;
    in.x = point_.x.in();
    call_.check(optimizer_->api().init_state(optimizer_->raw(), call_.plain(), &in, point_.state.out()),
                optimizer_->id());
}

/// What cannot be sliced: all next values, into next_ and moved_.
void MetaOptimizer::propose(const TensorSet& gradient, double factor) {
    std::vector<const l2o_tensor*> g;
    std::vector<Tensor> views;
    views.reserve(trainable_.size());
    for (const std::size_t i : trainable_) {
        const Tensor& tensor = gradient[i];
        views.push_back(
            Tensor::borrow(tensor.dtype(), with_one(tensor.shape()), const_cast<void*>(tensor.data())));
        if (factor != 1) {
            views.back() = views.back().clone();
            scale(views.back(), factor);
        }
        g.push_back(views.back().abi());
    }
    l2o_step_in in{};
    in.batch = 1;
    in.t = t_;
    in.params = params_.in();
    in.state = point_.state.in();
    in.x = point_.x.in();
    in.g = g.data();
    l2o_step_out out{};
    out.state = next_.out();
    out.x = moved_.out();
    call_.check(optimizer_->api().step(optimizer_->raw(), call_.plain(), &in, &out), optimizer_->id());
}

/// x of a part, and the state of a slice; @return whether x is finite.
template <class T>
bool MetaOptimizer::move(
    const Slice& slice, SliceWork* work, Tensor& gradient, double rate, double factor, Tensor& before) {
    const std::span<T> x = part<T>(point_.x[slice.block], slice);
    T* const noted = part<T>(before, slice).data();
    if (work == nullptr) {
        const std::span<T> moved = part<T>(moved_[slice.block], slice);
        const bool is_finite = mix<T>(x, rate, moved.data(), noted);
        std::ranges::copy(moved, x.begin());
        return is_finite;
    }
    const SliceMemory now = work->call.in(point_, slice), next = work->place(0);
    std::span<T> g = part<T>(gradient, slice);
    if (factor != 1) {
        T* const scaled = static_cast<T*>(work->place(1).x);
        for (std::size_t i = 0; i < g.size(); ++i) scaled[i] = static_cast<T>(factor) * g[i];
        g = {scaled, g.size()};
    }
    work->call.step(params_, {}, t_, slice.count, now, g.data(), next);
    const bool is_finite = mix<T>(x, rate, static_cast<T*>(next.x), noted);
    work->call.copy(slice.count, next, now);
    return is_finite;
}

void MetaOptimizer::step(TensorSet& gradient,
                         std::span<const double> rates,
                         double factor,
                         TensorSet* before) {
    if (before == nullptr && before_.empty()) before_ = clone(phi_);
    TensorSet& noted = before != nullptr ? *before : before_;
    std::vector<std::uint8_t> is_moved(parts_.size(), 0);
    std::atomic<bool> is_finite{true};
    std::atomic<std::size_t> next{0};
    const auto take_parts = [&](SliceWork* work) {
        for (std::size_t i = next++; i < parts_.size(); i = next++) {
            const std::size_t number = trainable_[parts_[i].block];
            const bool is_fine = with_values(
                [&]<class T>(std::span<T>) {
                    return move<T>(parts_[i], work, gradient[number], rates[number], factor, noted[number]);
                },
                point_.x[parts_[i].block]);
            is_moved[i] = 1;
            if (!is_fine) is_finite = false;
        }
    };
    try {
        if (!slices_) {
            propose(gradient, factor);
            take_parts(nullptr);
            std::swap(point_.state, next_);
        } else {
            Team(static_cast<int>(work_.size()))
                .each(static_cast<std::int64_t>(work_.size()),
                      [&](std::int64_t i) { take_parts(work_[static_cast<std::size_t>(i)].get()); });
        }
        if (!is_finite) throw Diverged{"a step of the meta-optimizer is not finite"};
    } catch (const Diverged&) {
        for (std::size_t i = 0; i < parts_.size(); ++i) take_back(parts_[i], is_moved[i] != 0, noted);
        reset();
        throw;
    }
    ++t_;
}

/// phi of a part is what it was, and so is what is noted of it.
void MetaOptimizer::take_back(const Slice& slice, bool is_moved, TensorSet& noted) {
    with_values(
        [&]<class T>(std::span<T>) {
            const std::span<T> x = part<T>(point_.x[slice.block], slice),
                               before = part<T>(noted[trainable_[slice.block]], slice);
            is_moved ? std::ranges::copy(before, x.begin()) : std::ranges::copy(x, before.begin());
        },
        point_.x[slice.block]);
}

}  // namespace l2o::framework
