#pragma once

#include <algorithm>
#include <cmath>
#include <l2o/sdk/spec.hpp>
#include <random>

#include "framework/rollout/point.hpp"
#include "tests/support/lab.hpp"

namespace l2o::test {

using framework::CallContext;
using framework::Kind;
using framework::Optimizer;
using framework::Shape;
using framework::TensorSet;

/// An optimizer on blocks of our choice, with values and gradients of our choice: no optimizee. Points of a
/// population are [B, P, shape].
class Rig {
  public:
    Rig(const std::string& id,
        const OptionText& options,
        const std::vector<l2o::TensorSpec>& blocks,
        Dtype dtype = Dtype::kF64)
        : id_(id), dtype_(dtype) {
        framework::Task task;
        for (const l2o::TensorSpec& block : blocks) blocks_.add(block, static_cast<std::uint32_t>(dtype));
        for (std::uint32_t k = 0; k < blocks_.size(); ++k) task.blocks.push_back(blocks_.at(k));
        task.name = "rig";
        task.dtype = dtype;
        const auto& entry = catalog().find(Kind::kOptimizer, id);
        optimizer_ = std::make_unique<Optimizer>(
            entry,
            framework::resolve_options(
                entry.component.options, framework::settings_from(options, {.file = "test"}), {}),
            task);
        params = TensorSet(optimizer_->init_params({1, 2}, {}));
        particles_ = optimizer_->info().particles;
    }

    const Optimizer& optimizer() const { return *optimizer_; }
    Tensor& param(const std::string& name) {
        for (std::size_t i = 0; i < params.size(); ++i)
            if (optimizer_->params()[i]->name == name) return params[i];
        throw std::invalid_argument(name);
    }
    TensorSet blocks(std::int64_t batch) const {
        std::vector<Tensor> list;
        for (std::uint32_t k = 0; k < blocks_.size(); ++k) {
            Shape shape = framework::shape_of(*blocks_.at(k), batch);
            if (particles_ > 0) shape.insert(shape.begin() + 1, particles_);
            list.emplace_back(dtype_, shape);
        }
        return TensorSet(std::move(list));
    }
    TensorSet state(std::int64_t batch) const {
        std::vector<Tensor> list;
        for (const l2o_spec* spec : optimizer_->state())
            list.emplace_back(dtype_, framework::shape_of(*spec, batch, particles_));
        return TensorSet(std::move(list));
    }
    /// One number for every point.
    Tensor numbers(std::int64_t batch, Dtype dtype) const {
        return {dtype, particles_ > 0 ? Shape{batch, particles_} : Shape{batch}};
    }

    /// One step on any tensors: views of slices too.
    void step(l2o_in state,
              l2o_in x,
              l2o_in g,
              l2o_out state_next,
              l2o_out x_next,
              std::int64_t batch,
              std::int64_t t = 0) {
        l2o_step_in in{};
        reserve(batch);
        in.batch = static_cast<std::uint32_t>(batch);
        in.t = t;
        in.params = params.in();
        in.state = state;
        in.x = x;
        in.g = g;
        in.f = f.abi();
        l2o_step_out out{};
        out.state = state_next;
        out.x = x_next;
        Tensor x_is = numbers(batch, Dtype::kI32);
        out.x_is = x_is.abi();
        call_.check(optimizer_->api().step(optimizer_->raw(), call_.with({1, 1}), &in, &out), id_);
    }

    /// State of before the first step, drawn under the key {seed, 4}.
    TensorSet init_state(TensorSet& x, std::int64_t batch, std::uint64_t seed = 1) {
        TensorSet start = state(batch);
        l2o_step_in in{};
        reserve(batch);
        in.batch = static_cast<std::uint32_t>(batch);
        in.params = params.in();
        in.x = x.in();
        call_.check(optimizer_->api().init_state(optimizer_->raw(), call_.with({seed, 4}), &in, start.out()),
                    id_);
        return start;
    }

    /// step_vjp: cotangents of the inputs where those of x' and the new state are given.
    struct Cotangents {
        TensorSet params, state, x, g, f;
    };
    Cotangents reverse(TensorSet& state_at,
                       TensorSet& x,
                       const TensorSet& g,
                       TensorSet& x_bar,
                       TensorSet& state_bar,
                       std::int64_t batch,
                       std::int64_t t) {
        std::vector<Tensor> sums;
        for (const Tensor& param : params.tensors()) sums.emplace_back(param.dtype(), param.shape());
        Cotangents out{TensorSet(std::move(sums)), state(batch), blocks(batch), blocks(batch), {}};
        if (f) {
            std::vector<Tensor> values;
            values.push_back(numbers(batch, dtype_));
            out.f = TensorSet(std::move(values));
        }
        l2o_step_in in{};
        reserve(batch);
        in.batch = static_cast<std::uint32_t>(batch);
        in.t = t;
        in.params = params.in();
        in.state = state_at.in();
        in.x = x.in();
        in.g = g.in();
        in.f = f.abi();
        const l2o_step_cot cot{.state = state_bar.in(), .x = x_bar.in(), .q = nullptr};
        l2o_step_acc acc{};
        acc.params = out.params.out();
        acc.state = out.state.out();
        acc.x = out.x.out();
        acc.g = out.g.out();
        acc.f = f ? out.f[0].abi() : nullptr;
        call_.check(
            optimizer_->vjp()->step_vjp(optimizer_->raw(), call_.with({1, 1}), &in, nullptr, &cot, &acc),
            id_);
        return out;
    }

    TensorSet params;
    Tensor f;  ///< of the points, for methods that read values: numbers()

  private:
    void reserve(std::int64_t batch) {
        call_.reserve_scratch(CallContext::scratch_of(optimizer_->info(), batch, id_));
    }
    std::string id_;
    Dtype dtype_;
    std::int64_t particles_ = 0;
    l2o::SpecList blocks_;
    std::unique_ptr<Optimizer> optimizer_;
    CallContext call_;
};

inline l2o::TensorSpec block(const std::string& name, const Shape& shape, std::uint64_t flags = 0) {
    return {.name = name, .shape = shape, .batched = true, .flags = flags};
}

inline void randomise(TensorSet& set, unsigned seed) {
    std::mt19937 bits(seed);
    std::normal_distribution<double> normal;
    for (Tensor& tensor : set.tensors()) {
        std::vector<double> numbers = values(tensor);
        for (double& number : numbers) number = normal(bits);
        set_values(tensor, numbers);
    }
}

/// Columns [first, first + count) of a tensor [B, n, ...], as the host slices a block.
class Slice {
  public:
    Slice(Tensor& tensor, std::int64_t first, std::int64_t count)
        : shape_(tensor.shape()), strides_(shape_.size(), 1), view_(*tensor.abi()) {
        for (std::size_t i = shape_.size() - 1; i-- > 0;) strides_[i] = strides_[i + 1] * shape_[i + 1];
        const std::int64_t offset = first * strides_[1] * framework::bytes_of(tensor.dtype());
        shape_[1] = count;
        view_.data = static_cast<std::byte*>(view_.data) + offset;
        view_.shape = shape_.data();
        view_.strides = strides_.data();
    }
    Slice(const Slice&) = delete;
    Slice& operator=(const Slice&) = delete;
    l2o_tensor* abi() { return &view_; }

  private:
    Shape shape_, strides_;
    l2o_tensor view_;
};

/// From x, state to those of the next point, in place. @return the new x of the first block.
inline std::vector<double> step_once(
    Rig& rig, TensorSet& state, TensorSet& x, const TensorSet& g, std::int64_t batch, std::int64_t t = 0) {
    TensorSet x_next = rig.blocks(batch), state_next = rig.state(batch);
    rig.step(state.in(), x.in(), g.in(), state_next.out(), x_next.out(), batch, t);
    std::swap(x, x_next);
    std::swap(state, state_next);
    return values(x[0]);
}

/// Worst norm-wise relative difference between step_vjp and central differences over all inputs of a step,
/// with random cotangents; the first input that has it by name.
struct VjpError {
    double worst = 0;
    std::string input;
};
inline VjpError step_vjp_error(
    Rig& rig, TensorSet& state, TensorSet& x, TensorSet& g, std::int64_t batch, std::int64_t t) {
    TensorSet x_bar = rig.blocks(batch), state_bar = rig.state(batch);
    randomise(x_bar, 3);
    randomise(state_bar, 4);
    const auto phi = [&] {
        TensorSet x_next = rig.blocks(batch), state_next = rig.state(batch);
        rig.step(state.in(), x.in(), g.in(), state_next.out(), x_next.out(), batch, t);
        double sum = 0;
        for (const auto& [out, bar] : {std::pair{&x_next, &x_bar}, std::pair{&state_next, &state_bar}})
            for (std::size_t i = 0; i < out->size(); ++i) {
                const std::vector<double> a = values((*out)[i]), b = values((*bar)[i]);
                for (std::size_t j = 0; j < a.size(); ++j) sum += a[j] * b[j];
            }
        return sum;
    };
    Rig::Cotangents got = rig.reverse(state, x, g, x_bar, state_bar, batch, t);
    VjpError error;
    const auto compare = [&](TensorSet& inputs, TensorSet& bars, auto&& name_of) {
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            std::vector<double> numbers = values(inputs[i]), want(numbers.size());
            for (std::size_t j = 0; j < numbers.size(); ++j) {
                const double kept = numbers[j], h = 1e-5 * std::max(std::abs(kept), 0.1);
                const auto at = [&](double value) {
                    numbers[j] = value;
                    set_values(inputs[i], numbers);
                    return phi();
                };
                want[j] = (at(kept + h) - at(kept - h)) / (2 * h);
                at(kept);
            }
            const double found = relative_error(values(bars[i]), want);
            if (!(found <= error.worst)) error = {found, name_of(i)};
        }
    };
    compare(rig.params, got.params, [&](std::size_t i) { return rig.optimizer().params()[i]->name; });
    compare(state, got.state, [&](std::size_t i) { return rig.optimizer().state()[i]->name; });
    compare(x, got.x, [](std::size_t) { return "x"; });
    compare(g, got.g, [](std::size_t) { return "g"; });
    if (rig.f) {
        std::vector<Tensor> same;
        same.push_back(Tensor::borrow(rig.f.dtype(), rig.f.shape(), rig.f.data()));
        TensorSet f(std::move(same));
        compare(f, got.f, [](std::size_t) { return "f"; });
    }
    return error;
}

}  // namespace l2o::test
