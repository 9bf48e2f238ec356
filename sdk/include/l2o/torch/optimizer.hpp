#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstddef>
#include <cstdint>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/torch/tensor.hpp>
#include <string>
#include <vector>

namespace l2o::th {

/// Inputs of a step as tensors, in the order of declare(): parameters [shape], state and blocks [B, shape]
/// ([B, P, shape] for a population). They are made when asked for; one that is absent is undefined.
class In {
  public:
    /// @param acc  NULL, or the accumulators: inputs that have one require a gradient.
    template <class T>
    explicit In(const StepIn<T>& in, const l2o_step_acc* acc = nullptr)
        : call(in.call), in_(in.raw()), acc_(acc), blocks_(in.blocks()) {}

    const l2o_call& call;

    [[nodiscard]] std::size_t blocks() const { return blocks_; }
    [[nodiscard]] std::int64_t batch() const { return in_.batch; }
    [[nodiscard]] std::int64_t t() const { return in_.t; }
    [[nodiscard]] at::Tensor param(const Param& p) const {
        return entry(in_.params, acc_ == nullptr ? nullptr : acc_->params, p.index());
    }
    [[nodiscard]] at::Tensor state(const State& s) const {
        return entry(in_.state, acc_ == nullptr ? nullptr : acc_->state, s.index());
    }
    [[nodiscard]] at::Tensor x(std::size_t block) const {
        return entry(in_.x, acc_ == nullptr ? nullptr : acc_->x, block);
    }
    [[nodiscard]] at::Tensor g(std::size_t block) const {
        return entry(in_.g, acc_ == nullptr ? nullptr : acc_->g, block);
    }
    [[nodiscard]] at::Tensor data(const Need& need) const { return entry(in_.data, nullptr, need.index()); }
    /// [B], or [B, P].
    [[nodiscard]] at::Tensor f() const { return leaf(in_.f, acc_ == nullptr ? nullptr : acc_->f); }

    /// An input that was used, and where its cotangent is added; NULL: not wanted.
    struct Leaf {
        const l2o_tensor* source;
        at::Tensor tensor;
        const l2o_tensor* accumulator;
    };
    [[nodiscard]] const std::vector<Leaf>& used() const { return used_; }

  private:
    [[nodiscard]] at::Tensor entry(l2o_in list, l2o_out accumulators, std::size_t i) const {
        return leaf(list[i], accumulators == nullptr ? nullptr : accumulators[i]);
    }
    [[nodiscard]] at::Tensor leaf(const l2o_tensor* source, const l2o_tensor* accumulator) const {
        if (source == nullptr) return {};
        for (const Leaf& leaf : used_)
            if (leaf.source == source) return leaf.tensor;
        used_.push_back({source, tensor(*source), accumulator});
        if (accumulator != nullptr) used_.back().tensor.requires_grad_(true);
        return used_.back().tensor;
    }

    const l2o_step_in& in_;
    const l2o_step_acc* acc_;
    std::size_t blocks_;
    mutable std::vector<Leaf> used_;
};

/// Outputs of a step, in the order of declare().
struct Out {
    std::vector<at::Tensor> state, x;
};

/// Base of a class that writes its step once, on tensors, and is differentiated by LibTorch:
///   struct Mine : l2o::th::Rule<Mine> {
///       static constexpr l2o::About about{...};
///       void declare(l2o::OptimizerSpec&);
///       l2o::th::Out forward(const l2o::th::In&) const;
///   };
///   L2O_PLUGIN(l2o::Optimizer<Mine>)
/// forward() must not write its inputs. LibTorch's kernels do not promise that the bits of a row are those of
/// the row alone: say spec.drop(L2O_FLAG_ROW_INVARIANT). A step costs at least some microseconds per
/// operation; what is run millions of times deserves a kernel of its own.
template <class Method>
class Rule {
  public:
    static constexpr const char* runtime = kRuntime;

    template <class T>
    void step(const StepIn<T>& in, const StepOut<T>& out) const {
        use_threads(in.call);
        const c10::InferenceMode no_tape;
        const Out result = method().forward(In(in));
        expect_size(result.state.size(), in.states(), "state");
        expect_size(result.x.size(), in.blocks(), "x");
        for (std::size_t i = 0; i < in.states(); ++i) write(result.state[i], *out.raw().state[i], "state", i);
        for (std::size_t k = 0; k < in.blocks(); ++k) write(result.x[k], *out.raw().x[k], "x", k);
    }

    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        use_threads(in.call);
        const at::AutoGradMode tape(true);
        const In leaves(in, &acc.raw());
        const Out result = method().forward(leaves);
        expect_size(result.state.size(), in.states(), "state");
        expect_size(result.x.size(), in.blocks(), "x");

        std::vector<at::Tensor> outputs, cotangents, inputs;
        const auto seed = [&](const at::Tensor& output, const l2o_tensor* cotangent) {
            if (cotangent == nullptr || !output.requires_grad()) return;
            outputs.push_back(output);
            cotangents.push_back(tensor(*cotangent));
        };
        for (std::size_t i = 0; i < in.states(); ++i) seed(result.state[i], cot.raw().state[i]);
        for (std::size_t k = 0; k < in.blocks(); ++k) seed(result.x[k], cot.raw().x[k]);
        std::vector<at::Tensor> accumulators;
        for (const In::Leaf& leaf : leaves.used()) {
            if (leaf.accumulator == nullptr) continue;
            inputs.push_back(leaf.tensor);
            accumulators.push_back(tensor(*leaf.accumulator));
        }
        if (outputs.empty() || inputs.empty()) return;

        const std::vector<at::Tensor> gradients = torch::autograd::grad(outputs,
                                                                        inputs,
                                                                        cotangents,
                                                                        /*retain_graph=*/false,
                                                                        /*create_graph=*/false,
                                                                        /*allow_unused=*/true);
        const at::NoGradGuard no_tape;
        for (std::size_t i = 0; i < inputs.size(); ++i)
            if (gradients[i].defined()) accumulators[i].add_(gradients[i]);
    }

  private:
    [[nodiscard]] const Method& method() const { return static_cast<const Method&>(*this); }

    [[noreturn]] static void bug(const std::string& text) {
        throw Failure(L2O_STATUS_INTERNAL, std::string(Method::about.id) + ": forward() returned " + text);
    }
    static void expect_size(std::size_t found, std::size_t expected, const char* what) {
        if (found != expected)
            bug(std::to_string(found) + " tensors of " + what + "; expected " + std::to_string(expected));
    }
    static void write(const at::Tensor& value, const l2o_tensor& to, const char* what, std::size_t i) {
        const at::Tensor target = tensor(to);
        if (!value.defined() || value.sizes() != target.sizes() ||
            value.scalar_type() != target.scalar_type())
            bug(std::string(what) + "[" + std::to_string(i) + "] as " + describe(value) + "; expected " +
                describe(target));
        target.copy_(value);
    }
    static std::string describe(const at::Tensor& value) {
        if (!value.defined()) return "nothing";
        std::string text = c10::toString(value.scalar_type()) + std::string(" [");
        for (std::int64_t i = 0; i < value.dim(); ++i)
            text += (i == 0 ? "" : ", ") + std::to_string(value.size(i));
        return text + "]";
    }
};

}  // namespace l2o::th
