#pragma once

#include <l2o/layers/layered.hpp>
#include <l2o/layers/product.hpp>
#include <l2o/layers/select.hpp>
#include <l2o/numerics/analytic_weight.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <l2o/numerics/support_selection.hpp>
#include <l2o/numerics/view.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <vector>

#include "layers.hpp"

namespace l2o::plugins {

/// What the methods share that correct x by its residual, one step a layer, rows being instances:
///   r_k = b - x_k A^T,   z_k = x_k + gamma_k r_k W_k,   x_{k+1} = SS(z_k, theta_k, q_k),   x_0 = 0.
/// SS is the soft threshold that leaves the largest q_k percent alone. A method fills layer_: which
/// parameters W_k, gamma_k (none: 1) and theta_k are. Source: Chen, Liu, Wang & Yin 2018
/// (arXiv:1808.10038v2), equations 10 and 17; Liu et al. 2019 (ALISTA).
class Coupled : public Layers {
  public:
    double support_per_layer = 0, support_max = 0;

    template <class Method>
    static void add_support_options(Options<Method>& options) {
        options
            .real("support_per_layer",
                  &Method::support_per_layer,
                  "percent of the entries that every layer adds to those it leaves alone",
                  between(0, 100))
            .real("support_max", &Method::support_max, "upper bound of that percentage", between(0, 100));
    }

    template <class T>
    void forward(layers::Step<T>& step) const {
        const std::int64_t k = layer(step.t());
        const Layer& of = layer_[static_cast<std::size_t>(k)];
        const auto x = k > 0 ? step.x() : layers::Value<T>{};
        const auto u = residual(step, x) * step.matrix(of.w);
        const auto z = of.gamma ? move(x, step.param(of.gamma), u) : x + u;
        step.set_x(select(z, step.param(of.theta), {.amount = percent(k), .recovers_z = bool(of.gamma)}));
    }

  protected:
    struct Layer {
        Param w{}, gamma{}, theta{};
    };
    /// What layer_ is before training: W the analytic weight, theta_k = theta_first theta_ratio^k, gamma_k
    /// or, without it, a factor of W, gamma_start; or theta = lambda / L, gamma = 1 and W = A / L, or A.
    template <class T>
    void init_layers(const NeedsIn<T>& data,
                     const ParamsOut<T>& params,
                     bool is_analytic,
                     bool divides_by_l = true) const {
        numerics::RowMatrix<double> w = numerics::matrix(data[model_.a]).template cast<double>();
        double theta = 0;
        if (is_analytic) {
            w = layer_[0].gamma ? numerics::analytic_weight(w, ridge) : start_weight(w);
        } else {
            const double l = numerics::lipschitz_constant(w);
            theta = start_lambda(data[lambda_]) / l;
            if (divides_by_l) w /= l;
        }
        for (std::int64_t k = 0; k < layers; ++k) {
            if (const auto to = params[layer_[k].w]) numerics::matrix(to) = w.cast<T>();
            set(params, layer_[k].gamma, is_analytic ? gamma_start : 1);
            set(params, layer_[k].theta, is_analytic ? analytic_theta(k) : theta);
        }
    }
    /// b - x A^T; x_0 = 0 is not multiplied.
    template <class T>
    layers::Value<T> residual(layers::Step<T>& step, layers::Value<T> x) const {
        return step.data(model_.b) - x * t(step.matrix(model_.a));
    }
    [[nodiscard]] double percent(std::int64_t k) const {
        return numerics::support_percent(k, support_per_layer, support_max);
    }

    std::vector<Layer> layer_;
};

}  // namespace l2o::plugins
