#pragma once

#include "coupled.hpp"

namespace l2o::plugins {

/// The parameters of LISTA-CP and LISTA-CPSS: a learned W_k in every layer, or tied one W for all with a
/// gamma_k per layer (TiLISTA: Liu, Chen, Wang & Yin 2019, equation 11); a learned theta_k.
template <class Method>
class LearnedWeights : public Coupled, public layers::Layered<Method> {
  public:
    enum class Start { kAnalytic, kIsta, kReference };
    Start start = Start::kAnalytic;
    bool tied = false, gains = false;

    static Options<Method> options() {
        Options<Method> options = Layers::options<Method>();
        options
            .template choice<Start>(
                "start",
                &Method::start,
                {"analytic", "ista", "reference"},
                "parameters before training: W the analytic weight and theta_k = theta_first theta_ratio^k; "
                "or W = A / L and theta = lambda / L, which is ISTA; or W = A and theta = lambda / L, the "
                "start of Open-L2O, from which the untrained network diverges")
            .flag("tied", &Method::tied, "one W for all layers, and a learned step gamma_k in every layer")
            .flag("gains",
                  &Method::gains,
                  "a learned factor gamma_k of W_k, which the untied W_k could take in: one number is "
                  "trained faster than a matrix");
        return options;
    }

    void declare(OptimizerSpec& spec) {
        declare_layers(spec);
        if (start != Start::kAnalytic) lambda_ = lambda_of(spec);
        const Shape shape{model_.m, model_.n};
        TensorSpec weight{.name = "shared.W", .doc = "weight of the residual", .axes = "m,n", .shape = shape};
        const Param shared = tied ? spec.param(weight) : Param{};
        weight.name = "W";
        for (std::int64_t k = 0; k < layers; ++k) {
            Layer layer{.w = shared};
            if (tied || gains) layer.gamma = declare_gamma(spec, k);
            if (!tied) layer.w = layer_param(spec, k, weight);
            layer.theta = declare_theta(spec, k);
            layer_.push_back(layer);
        }
        this->measure(spec);
    }

    template <class T>
    void init_params(const l2o_call&, const NeedsIn<T>& data, const ParamsOut<T>& params) const {
        init_layers(data, params, start == Start::kAnalytic, start == Start::kIsta);
    }
};

}  // namespace l2o::plugins
