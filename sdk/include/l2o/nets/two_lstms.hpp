// The network of L2O-DM, for optimizers that run it at every coordinate.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <l2o/layers/layered.hpp>
#include <l2o/nets/dense.hpp>
#include <l2o/nets/log_and_sign.hpp>
#include <l2o/nets/lstm.hpp>
#include <l2o/nets/net.hpp>
#include <l2o/sdk/optimizer.hpp>

namespace l2o::nets {

/// Base of a method that moves every coordinate by what two LSTM layers and a linear read-out make of one
/// number z:
///   x' = x + output_scale (h2' w + b).
/// Its options() begin with those of the network, its declare() names the network's parameters and states by
/// declare_net(), its init_params() begins with that of `net`.
/// Source: Andrychowicz et al. 2016 (arXiv:1606.04474v2), section 2.1 and, of names and initialisers, its
/// code.
template <class Method>
class TwoLstms : public layers::Layered<Method> {
  protected:
    /// @param reads  what z is
    static Options<Method> options_of_net(const char* reads) {
        Options<Method> o;
        o.template choice<Preprocess>("preprocess", &Method::preprocess_, {"log_sign", "identity"}, reads);
        o.real("log_sign_k",
               &Method::log_sign_k_,
               "log_sign: numbers below exp(-k) are told apart by their value, others by their logarithm",
               {0, 80, true, false});
        o.real("output_scale", &Method::output_scale_, "factor of the network's output", kPositive);
        o.integer("hidden", &Method::hidden_, "size of each of the two layers", between(1, 1024));
        return o;
    }
    void declare_net(OptimizerSpec& spec) {
        auto& [reads, layer1, layer2, linear] = net_.parts;
        if (preprocess_ == Preprocess::kLogSign) reads.k = log_sign_k_;
        layer1.declare(
            spec, {.weights = "lstm_1", .h = "h1", .c = "c1"}, reads.outputs(), hidden_, kPerCoordinate);
        layer2.declare(spec, {.weights = "lstm_2", .h = "h2", .c = "c2"}, hidden_, hidden_, kPerCoordinate);
        linear.declare(spec, {.w = "linear/w", .b = "linear/b", .doc = "read-out"}, hidden_, 1);
    }
    [[nodiscard]] const Lstm& layer2() const { return net_.template part<2>(); }

    using Net = nets::Net<LogAndSign, Lstm, Lstm, Dense<Linear>>;
    /// x' of block k, from z and x.
    template <class T>
    Value<T> moved(Running<T, Net>& net, std::size_t k, Value<T> z, Value<T> x) const {
        const auto update = [scale = T(output_scale_)](auto r, auto x_i) { return x_i + scale * r; };
        return net.template at<1>(k, std::array{z}, update, std::array{x});
    }

    Net net_;

  private:
    friend Method;
    enum class Preprocess { kLogSign, kIdentity };

    Preprocess preprocess_ = Preprocess::kLogSign;
    double log_sign_k_ = 5, output_scale_ = 0.01;
    std::int64_t hidden_ = 20;
};

}  // namespace l2o::nets
