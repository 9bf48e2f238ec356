#pragma once

#include <algorithm>
#include <cmath>
#include <l2o/numerics/dense.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <l2o/numerics/soft_threshold.hpp>
#include <l2o/numerics/view.hpp>
#include <l2o/sdk/linear_model.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>
#include <limits>

namespace l2o::plugins {

/// What ISTA and FISTA share: f(x) = 1/2 ||Ax - b||^2 + lambda ||x||_1, its constant L and the map
///   T(y) = S(y - A^T (A y - b) / L, lambda / L),   S the soft threshold,
/// for all rows of a batch at once. L is a buffer parameter: derived from A once, not in every step; as that
/// of u A, u a power of two and nearly always 1, for entries of A whose squares are no numbers of the
/// problem's precision. A zero matrix has the longest of all steps, from anywhere to x = 0.
class ProximalGradient {
  public:
    enum class StepSize { kSpectral, kFrobenius };
    StepSize step_size = StepSize::kSpectral;

    template <class Method>
    static Options<Method> options() {
        Options<Method> options;
        options.template choice<StepSize>("step_size",
                                          &Method::step_size,
                                          {"spectral", "frobenius"},
                                          "1/L with L = 1.001 ||A||_2^2 (spectral) or L = ||A||_F^2 "
                                          "(frobenius), which is too short by up to a factor of rank(A)");
        return options;
    }

    void bind(OptimizerSpec& spec) {
        model_ = linear_model(spec);
        // Products of whole batches: the order of a sum depends on the number of rows.
        spec.drop(L2O_FLAG_ROW_INVARIANT);
        spec.info.points_per_step = 1;
        spec.scratch([this](Scratch& scratch, std::int64_t rows, auto scalar) {
            scratch.rows<decltype(scalar)>(rows, model_.m);
        });
        lambda_ = spec.needs("lambda");
        l_ = spec.param({.name = "const.L",
                         .doc = "Lipschitz constant of the gradient of 1/2 ||u (Ax - b)||^2, u = const.unit",
                         .flags = L2O_SPEC_DERIVED});
        unit_ = spec.param({.name = "const.unit",
                            .doc = "1, or a power of two that makes large or small entries of A ones",
                            .flags = L2O_SPEC_DERIVED});
    }

    template <class T>
    void init_params(const l2o_call&, const NeedsIn<T>& data, const ParamsOut<T>& params) const {
        const auto a = numerics::matrix(data[model_.a]);
        constexpr double kLongest = 0x1p60, kUsual = 0x1p20;
        double unit = numerics::unit_scale(a);
        if (a.isZero(0))
            unit = kLongest;
        else if (unit >= 1 / kUsual && unit <= kUsual)
            unit = 1;
        unit = std::min(unit, std::ldexp(1.0, std::numeric_limits<T>::max_exponent - 3));
        if (params[unit_]) params[unit_].scalar() = T(unit);
        if (!params[l_]) return;
        const numerics::RowMatrix<double> scaled = unit * a.template cast<double>();
        const bool is_spectral = step_size == StepSize::kSpectral || a.isZero(0);
        params[l_].scalar() = T(is_spectral ? numerics::lipschitz_constant(scaled) : scaled.squaredNorm());
    }

  protected:
    template <class T>
    void apply_map(const StepIn<T>& in, const View<const T>& y, const View<T>& out) const {
        const T unit = in.param(unit_).scalar(),
                step = unit / in.param(l_).scalar();  // of the gradient over u
        const auto a = numerics::matrix(in.data(model_.a));
        auto residual = numerics::matrix(Scratch(in.call).rows<T>(y.rows, model_.m));
        residual = -numerics::matrix(in.data(model_.b));
        numerics::add_product_nt<T>(residual, 1, numerics::matrix(y), a);
        residual *= unit;
        fill(out, 0);
        numerics::add_product<T>(numerics::matrix(out), 1, residual, a);
        const T threshold = step * (unit * in.data(lambda_).scalar());
        each([=](T y_i, T& out_i) { out_i = numerics::soft_threshold(y_i - step * out_i, threshold); },
             y,
             out);
    }

  private:
    LinearModel model_;
    Need lambda_;
    Param l_, unit_;
};

}  // namespace l2o::plugins
