#include "framework/train/meta_optimizer.hpp"

#include <cmath>

#include "framework/error.hpp"
#include "framework/rollout/arithmetic.hpp"

namespace l2o::framework {
namespace {

Shape with_one(const Shape& shape) {
    Shape out{1};
    out.insert(out.end(), shape.begin(), shape.end());
    return out;
}

}  // namespace

MetaOptimizer::MetaOptimizer(const PluginChoice& choice,
                             const Optimizer& learned,
                             TensorSet& phi,
                             const std::vector<double>& rates)
    : phi_(phi) {
    std::vector<Tensor> x, moved;
    for (std::size_t i = 0; i < phi.size(); ++i) {
        const l2o_spec& spec = *learned.params()[i];
        if (has(spec, L2O_SPEC_DERIVED) || (!rates.empty() && rates[i] == 0)) continue;
        trainable_.push_back(i);
        blocks_.push_back(spec);
        blocks_.back().flags = L2O_SPEC_BATCHED;
        x.push_back(Tensor::borrow(phi[i].dtype(), with_one(phi[i].shape()), phi[i].data()));
        moved.emplace_back(phi[i].dtype(), with_one(phi[i].shape()));
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
    x_ = TensorSet(std::move(x));
    moved_ = TensorSet(std::move(moved));
    std::vector<Tensor> now, next;
    for (const l2o_spec* spec : optimizer_->state()) {
        now.emplace_back(dtype_of(*spec), shape_of(*spec, 1));
        next.emplace_back(dtype_of(*spec), shape_of(*spec, 1));
    }
    now_ = TensorSet(std::move(now));
    next_ = TensorSet(std::move(next));
    call_.reserve_scratch(
        CallContext::scratch_of(optimizer_->info(), 1, "meta-optimizer '" + optimizer_->id() + "'"));
    reset();
}

void MetaOptimizer::reset() {
    t_ = 0;
    if (now_.empty()) return;
    l2o_step_in in{};
    in.batch = 1;
    in.x = x_.in();
    call_.check(optimizer_->api().init_state(optimizer_->raw(), call_.plain(), &in, now_.out()),
                optimizer_->id());
}

/// The state's and the parameters' next values, into next_ and moved_.
void MetaOptimizer::propose(const TensorSet& gradient) {
    std::vector<const l2o_tensor*> g;
    std::vector<Tensor> views;
    views.reserve(trainable_.size());
    for (const std::size_t i : trainable_) {
        const Tensor& tensor = gradient[i];
        views.push_back(
            Tensor::borrow(tensor.dtype(), with_one(tensor.shape()), const_cast<void*>(tensor.data())));
        g.push_back(views.back().abi());
    }
    l2o_step_in in{};
    in.batch = 1;
    in.t = t_;
    in.params = params_.in();
    in.state = now_.in();
    in.x = x_.in();
    in.g = g.data();
    l2o_step_out out{};
    out.state = next_.out();
    out.x = moved_.out();
    call_.check(optimizer_->api().step(optimizer_->raw(), call_.plain(), &in, &out), optimizer_->id());
}

void MetaOptimizer::step(const TensorSet& gradient, std::span<const double> rates) {
    try {
        propose(gradient);
        for (std::size_t k = 0; k < trainable_.size(); ++k) {
            const double rate = rates[trainable_[k]];
            if (rate == 0) copy_values(moved_[k], x_[k]);
            const bool is_finite = with_values(
                [rate](auto phi, auto moved) {
                    using T = typename decltype(moved)::value_type;
                    int strays = 0;
                    for (std::size_t i = 0; i < moved.size(); ++i) {
                        // Rate 1 takes the plugin's own value, to the bit; 0 has taken phi.
                        if (rate != 0 && rate != 1)
                            moved[i] = phi[i] + static_cast<T>(rate) * (moved[i] - phi[i]);
                        strays |= static_cast<int>(!std::isfinite(moved[i]));
                    }
                    return strays == 0;
                },
                x_[k],
                moved_[k]);
            if (!is_finite) throw Diverged{"a step of the meta-optimizer is not finite"};
        }
    } catch (const Diverged&) {
        reset();
        throw;
    }
    std::swap(now_, next_);
    ++t_;
    for (std::size_t k = 0; k < trainable_.size(); ++k) copy_values(x_[k], moved_[k]);
}

}  // namespace l2o::framework
