#pragma once

#include <l2o/numerics/analytic_weight.hpp>
#include <l2o/numerics/dense.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <l2o/numerics/support_selection.hpp>
#include <l2o/numerics/view.hpp>
#include <l2o/sdk/linear_model.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>
#include <optional>
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
    void step(const StepIn<T>& in, const StepOut<T>& out) const {
        const std::int64_t k = layer(in.t());
        Scratch scratch(in.call);
        const std::span magnitudes(scratch.take<T>(model_.n), std::size_t(model_.n));
        Map<T> residual(scratch.take<T>(in.batch() * model_.m), in.batch(), model_.m);
        const View<T> x_next = out.x(0);
        auto z = numerics::matrix(x_next);
        correction(in, k, point(in, k), residual, z);
        pre_activation(in, k, point(in, k), z, z);
        for (std::int64_t r = 0; r < in.batch(); ++r)
            numerics::support_selection<T>(numerics::row(x_next, r),
                                           in.param(layer_[k].theta).scalar(),
                                           percent(k),
                                           numerics::row(x_next, r),
                                           {},
                                           magnitudes);
    }

    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        const View<const T> x_next_bar = cot.x(0);
        if (!x_next_bar) return;
        const std::int64_t k = layer(in.t()), batch = in.batch(), m = model_.m, n = model_.n;
        const T theta = in.param(layer_[k].theta).scalar();
        Scratch scratch(in.call);
        const std::span magnitudes(scratch.take<T>(n), std::size_t(n));
        const std::span selected(scratch.take<std::uint8_t>(n), std::size_t(n));
        Map<T> residual(scratch.take<T>(batch * m), batch, m), u(scratch.take<T>(batch * n), batch, n);
        Map<T> z(scratch.take<T>(batch * n), batch, n), z_bar(scratch.take<T>(batch * n), batch, n);
        // What the step wrote tells z wherever it has a derivative: the largest entries are those selected,
        // as long as a threshold makes entries smaller.
        const View<const T> x_next = in.x_out(0);
        const bool is_known = x_next && theta >= 0 && step_size(in, k) != 0;
        if (is_known) {
            residual_at(in, point(in, k), residual);
            z = numerics::matrix(x_next);
        } else {
            correction(in, k, point(in, k), residual, u);
            pre_activation(in, k, point(in, k), u, z);
        }

        double theta_bar = 0;
        for (std::int64_t r = 0; r < batch; ++r) {
            const std::span<T> z_row(z.row(r).data(), std::size_t(n));
            const std::span<T> z_bar_row(z_bar.row(r).data(), std::size_t(n));
            const T threshold = is_known ? T(0) : theta;
            numerics::support_selection<T>(z_row, threshold, percent(k), z_bar_row, selected, magnitudes);
            if (is_known)
                for (std::size_t i = 0; i < z_row.size(); ++i)
                    if (z_row[i] != 0 && selected[i] == 0) z_row[i] += std::copysign(theta, z_row[i]);
            theta_bar += numerics::support_selection_vjp<T>(
                z_row, threshold, selected, numerics::row(x_next_bar, r), z_bar_row);
        }
        if (is_known && layer_[k].gamma) {
            u = z;
            if (k > 0) u -= numerics::matrix(in.x(0));
            u /= step_size(in, k);
        }
        if (const auto to = acc.param(layer_[k].theta)) to.scalar() += T(theta_bar);
        correction_vjp(in, k, residual, u, z_bar, acc, k == 0 ? View<T>{} : acc.x(0));
    }

  protected:
    enum Need { kA, kB, kLambda };
    struct Layer {
        std::size_t w, theta;
        std::optional<std::size_t> gamma;
    };

    /// @param rows, matrices, residuals  how many [n], [B, n] and [B, m] of the scratch the method takes
    void declare_coupled(OptimizerSpec& spec, int rows = 1, int matrices = 3, int residuals = 1) {
        model_ = linear_model(spec);
        declare_layers(spec);
        Scratch fixed, row;
        for (int i = 0; i < rows; ++i) fixed.take<double>(model_.n);
        fixed.take<std::uint8_t>(model_.n);
        for (int i = 0; i < residuals; ++i) row.take<double>(model_.m);
        for (int i = 0; i < matrices; ++i) row.take<double>(model_.n);
        spec.info.scratch_fixed = fixed.bytes();
        spec.info.scratch_per_row = row.bytes();
    }
    std::size_t declare_theta(OptimizerSpec& spec, std::int64_t k) const {
        return spec.param({.name = layer_name(k, "theta"), .doc = "threshold", .layer = std::int32_t(k)});
    }
    std::size_t declare_gamma(OptimizerSpec& spec, std::int64_t k) const {
        return spec.param({.name = layer_name(k, "gamma"), .doc = "step", .layer = std::int32_t(k)});
    }

    template <class T>
    using Map = Eigen::Map<numerics::RowMatrix<T>>;

    template <class T>
    T step_size(const StepIn<T>& in, std::int64_t k) const {
        return layer_[k].gamma ? in.param(*layer_[k].gamma).scalar() : T(1);
    }
    /// residual = b - x A^T at any point x [B, n]; an empty one is 0, and not multiplied.
    template <class T>
    void residual_at(const StepIn<T>& in, const View<const T>& x, Map<T>& residual) const {
        residual = numerics::matrix(in.data(kB));
        if (x) numerics::add_product_nt<T>(residual, -1, numerics::matrix(x), numerics::matrix(in.data(kA)));
    }
    /// x_k, empty for x_0 = 0.
    template <class T>
    static View<const T> point(const StepIn<T>& in, std::int64_t k) {
        return k == 0 ? View<const T>{} : in.x(0);
    }
    /// The residual there, and u = residual W_k.
    template <class T, class Out>
    void correction(
        const StepIn<T>& in, std::int64_t k, const View<const T>& x, Map<T>& residual, Out& u) const {
        residual_at(in, x, residual);
        u.setZero();
        numerics::add_product<T>(u, 1, residual, numerics::matrix(in.param(layer_[k].w)));
    }
    /// z = x + gamma_k u; u may be the memory of z.
    template <class T, class U, class Out>
    void pre_activation(
        const StepIn<T>& in, std::int64_t k, const View<const T>& x, const U& u, Out& z) const {
        z = step_size(in, k) * u;
        if (x) z += numerics::matrix(x);
    }
    /// Back through both: with Z = bar z, bar gamma_k += <Z, u>, x_bar += Z if it is not empty, and what
    /// goes back through u, whose bar is gamma_k Z.   @param residual, residual_bar  as below
    template <class T>
    void correction_vjp(const StepIn<T>& in,
                        std::int64_t k,
                        Map<T>& residual,
                        const Map<T>& u,
                        const Map<T>& z_bar,
                        const StepAcc<T>& acc,
                        const View<T>& x_bar,
                        Map<T>* residual_bar = nullptr) const {
        if (layer_[k].gamma)
            if (const auto to = acc.param(*layer_[k].gamma)) to.scalar() += z_bar.cwiseProduct(u).sum();
        if (x_bar) numerics::matrix(x_bar) += z_bar;
        residual_vjp(in, k, residual, step_size(in, k), z_bar, acc, x_bar, residual_bar);
    }
    /// Back through u = r W_k alone, whose bar is alpha U: bar W_k += alpha r^T U, bar r = alpha U W_k^T, and
    /// x_bar -= bar r A if it is not empty.
    /// @param residual      r, overwritten, unless
    /// @param residual_bar  is given: then bar r is added to what it holds.
    template <class T>
    void residual_vjp(const StepIn<T>& in,
                      std::int64_t k,
                      Map<T>& residual,
                      T alpha,
                      const Map<T>& u_bar,
                      const StepAcc<T>& acc,
                      const View<T>& x_bar,
                      Map<T>* residual_bar = nullptr) const {
        if (const auto to = acc.param(layer_[k].w))
            numerics::add_product_tn<T>(numerics::matrix(to), alpha, residual, u_bar);
        if (!x_bar) return;
        if (residual_bar == nullptr) residual_bar = &residual, residual.setZero();
        numerics::add_product_nt<T>(*residual_bar, alpha, u_bar, numerics::matrix(in.param(layer_[k].w)));
        numerics::add_product<T>(numerics::matrix(x_bar), -1, *residual_bar, numerics::matrix(in.data(kA)));
    }
    [[nodiscard]] double percent(std::int64_t k) const {
        return numerics::support_percent(k, support_per_layer, support_max);
    }

    LinearModel model_;
    std::vector<Layer> layer_;
};

}  // namespace l2o::plugins
