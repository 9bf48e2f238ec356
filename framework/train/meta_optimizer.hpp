#pragma once

#include <span>
#include <vector>

#include "framework/plugin/keys.hpp"
#include "framework/rollout/slice_work.hpp"
#include "framework/train/settings.hpp"

namespace l2o::framework {

/// An optimizer plugin that moves the trainable parameters of another one: they are its blocks, B = 1. One
/// that is coordinate-wise takes them slice by slice, so that what a slice is read and written for is one
/// pass.
class MetaOptimizer {
  public:
    /// @param phi    the parameters of `learned`; outlives this.
    /// @param rates  per parameter: those with rate 0 are left alone; empty: none is.
    /// @param threads  that slices are spread over; results do not depend on it.
    /// @throw Error kUsage if the plugin needs objective values, asks questions or needs problem data, or if
    /// nothing is left to train.
    MetaOptimizer(const PluginChoice& choice,
                  const Optimizer& learned,
                  TensorSet& phi,
                  const std::vector<double>& rates = {},
                  int threads = 1);
    MetaOptimizer(const MetaOptimizer&) = delete;
    MetaOptimizer& operator=(const MetaOptimizer&) = delete;

    /// phi_i += rate_i (phi'_i - phi_i) for every parameter that is trained.
    /// @param gradient, rates  one entry per parameter of the learned optimizer; the former is only read.
    /// @param factor  of the gradient: that of clipping.
    /// @param before  gets phi as it was, of what is trained with a rate that is not 0; null: nobody wants
    /// it.
    /// @throw Diverged if phi would not be finite, or the plugin gives up: phi is as it was, and the state
    /// that led there is forgotten.
    void step(TensorSet& gradient,
              std::span<const double> rates,
              double factor = 1,
              TensorSet* before = nullptr);
    /// Forgets the state: as before the first step.
    void reset();

    [[nodiscard]] std::int64_t t() const { return t_; }
    [[nodiscard]] std::vector<Tensor>& state() { return point_.state.tensors(); }
    void restore(std::int64_t t) { t_ = t; }

  private:
    void propose(const TensorSet& gradient, double factor);
    template <class T>
    bool move(
        const Slice& slice, SliceWork* work, Tensor& gradient, double rate, double factor, Tensor& before);
    void take_back(const Slice& slice, bool is_moved, TensorSet& noted);

    TensorSet& phi_;
    std::vector<std::size_t> trainable_;  // indices into phi
    std::vector<l2o_spec> blocks_;
    std::unique_ptr<Optimizer> optimizer_;
    std::unique_ptr<const Slices> slices_;          // null: all at once
    std::vector<std::unique_ptr<SliceWork>> work_;  // of the threads; of slices
    std::vector<Slice> parts_;                      // slices, or whole blocks
    Point point_;                                   // of phi and the state
    TensorSet before_, params_, moved_, next_;      // moved, next: empty where it is sliced
    std::int64_t t_ = 0;
    CallContext call_;
};

}  // namespace l2o::framework
