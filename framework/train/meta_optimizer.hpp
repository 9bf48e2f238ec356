#pragma once

#include <span>
#include <vector>

#include "framework/plugin/keys.hpp"
#include "framework/rollout/point.hpp"
#include "framework/train/settings.hpp"

namespace l2o::framework {

/// An optimizer plugin that moves the trainable parameters of another one: they are its blocks, B = 1.
class MetaOptimizer {
  public:
    /// @param phi    the parameters of `learned`; outlives this.
    /// @param rates  per parameter: those with rate 0 are left alone; empty: none is.
    /// @throw Error kUsage if the plugin needs objective values, asks questions or needs problem data, or if
    /// nothing is left to train.
    MetaOptimizer(const PluginChoice& choice,
                  const Optimizer& learned,
                  TensorSet& phi,
                  const std::vector<double>& rates = {});
    MetaOptimizer(const MetaOptimizer&) = delete;
    MetaOptimizer& operator=(const MetaOptimizer&) = delete;

    /// phi_i += rate_i (phi'_i - phi_i) for every parameter that is trained.
    /// @param gradient, rates  one entry per parameter of the learned optimizer.
    /// @throw Diverged if phi would not be finite, or the plugin gives up: phi is as it was, and the state
    /// that led there is forgotten.
    void step(const TensorSet& gradient, std::span<const double> rates);
    /// Forgets the state: as before the first step.
    void reset();

    [[nodiscard]] std::int64_t t() const { return t_; }
    [[nodiscard]] std::vector<Tensor>& state() { return now_.tensors(); }
    void restore(std::int64_t t) { t_ = t; }

  private:
    void propose(const TensorSet& gradient);

    TensorSet& phi_;
    std::vector<std::size_t> trainable_;  // indices into phi
    std::vector<l2o_spec> blocks_;
    std::unique_ptr<Optimizer> optimizer_;
    TensorSet x_, moved_, params_, now_, next_;
    std::int64_t t_ = 0;
    CallContext call_;
};

}  // namespace l2o::framework
