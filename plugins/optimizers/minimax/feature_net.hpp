#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <l2o/layers/layered.hpp>
#include <l2o/layers/product.hpp>
#include <l2o/nets/tiles.hpp>
#include <vector>

namespace l2o::plugins {

/// A net of two hidden layers (SiLU) over numbers of a row, each a value of its own.
class FeatureNet {
  public:
    void declare(OptimizerSpec& spec, std::int64_t features, std::int64_t hidden, std::int64_t outputs) {
        features_ = features, hidden_ = hidden;
        w1_ = spec.param({.name = "w1", .doc = "[features, hidden]", .shape = {features * hidden}});
        b1_ = spec.param({.name = "b1", .shape = {hidden}});
        w2_ = spec.param({.name = "w2", .shape = {hidden, hidden}});
        b2_ = spec.param({.name = "b2", .shape = {hidden}});
        w3_ = spec.param({.name = "w3", .shape = {hidden, outputs}});
        b3_ = spec.param({.name = "b3", .shape = {outputs}});
    }
    /// Weights from N(0, 1 / fan-in), those of the output a hundredth of it. Biases 0.
    template <class T>
    void init_params(const l2o_call& call, const ParamsOut<T>& params) const {
        const double by_hidden = 1 / std::sqrt(double(hidden_));
        nets::fill_normal(params, w1_, 1 / std::sqrt(double(features_)), call);
        nets::fill_normal(params, w2_, by_hidden, call);
        nets::fill_normal(params, w3_, 0.01 * by_hidden, call);
        for (const Param& bias : {b1_, b2_, b3_})
            if (const auto to = params[bias]) fill(to, T(0));
    }
    [[nodiscard]] const Param& output_bias() const { return b3_; }

    /// @param features  all but the last; an empty one is 0
    /// @param last      the same number for all rows
    template <class T>
    layers::Value<T> operator()(layers::Step<T>& step,
                                const std::vector<layers::Value<T>>& features,
                                double last) const {
        const auto silu = [](auto a, auto b) {
            using std::exp;
            const auto sum = a + b;
            return sum / (decltype(sum)(T(1)) + exp(-sum));
        };
        const auto w1 = step.param(w1_);
        const auto row_of = [&](std::size_t i) { return columns(w1, std::int64_t(i) * hidden_, hidden_); };
        layers::Value<T> sum;
        for (std::size_t i = 0; i < features.size(); ++i)
            if (features[i]) sum = sum + map([](auto a, auto w) { return a * w; }, features[i], row_of(i));
        const auto h1 = map(silu, sum, step.param(b1_) + T(last) * row_of(features.size()));
        const auto h2 = map(silu, h1 * by_row(step.matrix(w2_)), step.param(b2_));
        return map([](auto a, auto b) { return a + b; }, h2 * by_row(step.matrix(w3_)), step.param(b3_));
    }

  private:
    std::int64_t features_ = 0, hidden_ = 0;
    Param w1_, b1_, w2_, b2_, w3_, b3_;
};

}  // namespace l2o::plugins
