#pragma once

#include <l2o/layers/layered.hpp>
#include <l2o/layers/product.hpp>
#include <l2o/layers/select.hpp>
#include <l2o/numerics/analytic_weight.hpp>
#include <l2o/numerics/dense.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <l2o/numerics/support_selection.hpp>
#include <l2o/numerics/view.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>
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
    /// What na_alista, whose LSTM goes back by hand, takes in a call; magnitudes and selected are for one row
    /// at a time.
    template <class T>
    struct Work {
        Rows<T> residual, u, z, z_bar;
        std::span<T> magnitudes;
        std::span<std::uint8_t> selected;

        Work(Scratch& scratch, std::int64_t batch, const LinearModel& model)
            : residual(take_rows<T>(scratch, batch, model.m)),
              u(take_rows<T>(scratch, batch, model.n)),
              z(take_rows<T>(scratch, batch, model.n)),
              z_bar(take_rows<T>(scratch, batch, model.n)),
              magnitudes(take_row<T>(scratch, model.n)),
              selected(take_row<std::uint8_t>(scratch, model.n)) {}
    };

    /// b - x A^T; x_0 = 0 is not multiplied.
    template <class T>
    layers::Value<T> residual(layers::Step<T>& step, layers::Value<T> x) const {
        return step.data(model_.b) - x * t(step.matrix(model_.a));
    }
    /// residual = b - x A^T at any point x [B, n]; an empty one is 0, and not multiplied.
    template <class T>
    void residual_at(const StepIn<T>& in, const View<const T>& x, Rows<T>& residual) const {
        residual = numerics::matrix(in.data(model_.b));
        if (x)
            numerics::add_product_nt<T>(
                residual, -1, numerics::matrix(x), numerics::matrix(in.data(model_.a)));
    }
    /// x_k, empty for x_0 = 0.
    template <class T>
    static View<const T> point(const StepIn<T>& in, std::int64_t k) {
        return k == 0 ? View<const T>{} : in.x(0);
    }
    /// The residual there, and u = residual W_k.
    template <class T, class Out>
    void correction(
        const StepIn<T>& in, std::int64_t k, const View<const T>& x, Rows<T>& residual, Out& u) const {
        residual_at(in, x, residual);
        u.setZero();
        numerics::add_product<T>(u, 1, residual, numerics::matrix(in.param(layer_[k].w)));
    }
    /// Back through u = r W_k alone, whose bar is alpha U, U in work.z_bar: bar W_k += alpha r^T U, bar r =
    /// alpha U W_k^T, and x_bar -= bar r A if it is not empty.
    /// @param residual_bar  bar r is added to what it holds; else work.residual becomes bar r.
    template <class T>
    void residual_vjp(const StepIn<T>& in,
                      std::int64_t k,
                      Work<T>& work,
                      T alpha,
                      const StepAcc<T>& acc,
                      const View<T>& x_bar,
                      Rows<T>* residual_bar = nullptr) const {
        if (const auto to = acc.param(layer_[k].w))
            numerics::add_product_tn<T>(numerics::matrix(to), alpha, work.residual, work.z_bar);
        if (!x_bar) return;
        if (residual_bar == nullptr) residual_bar = &work.residual, work.residual.setZero();
        numerics::add_product_nt<T>(
            *residual_bar, alpha, work.z_bar, numerics::matrix(in.param(layer_[k].w)));
        numerics::add_product<T>(
            numerics::matrix(x_bar), -1, *residual_bar, numerics::matrix(in.data(model_.a)));
    }
    [[nodiscard]] double percent(std::int64_t k) const {
        return numerics::support_percent(k, support_per_layer, support_max);
    }

    std::vector<Layer> layer_;
};

}  // namespace l2o::plugins
