#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <l2o/layers/layered.hpp>
#include <l2o/numerics/analytic_weight.hpp>
#include <l2o/numerics/view.hpp>
#include <l2o/sdk/linear_model.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <string>
#include <utility>

namespace l2o::plugins {

/// What the methods share whose step t is layer t of a network, with parameters of its own, for
/// f = 1/2 ||Ax - b||^2 + lambda ||x||_1 from x_0 = 0: the number of layers, the names of their parameters
/// and the start values of the thresholds.
class Layers {
  public:
    std::int64_t layers = 16;
    double gamma_start = 1, theta_first = 0.6, theta_ratio = 0.7;
    double lambda_init = 0, ridge = 0;

    template <class Method>
    static void add_depth_option(Options<Method>& options) {
        options.integer(
            "layers", &Method::layers, "number of layers, which is the number of steps", between(1, 100));
    }
    template <class Method, class Start>
    static void add_start_option(Options<Method>& options,
                                 Start Method::*start,
                                 std::initializer_list<const char*> starts) {
        options.choice("start", start, starts, "what the parameters are before training");
    }
    template <class Method>
    static void add_lambda_option(Options<Method>& options) {
        options.real("lambda_init",
                     &Method::lambda_init,
                     "thresholds that start at lambda / L use this lambda; 0: that of the problem",
                     kNonNegative);
    }
    template <class Method>
    static void add_ridge_option(Options<Method>& options) {
        options.real("ridge",
                     &Method::ridge,
                     "added to the diagonal of A A^T in the analytic weight; needed if A has dependent rows",
                     kNonNegative);
    }
    template <class Method>
    static Options<Method> options() {
        Options<Method> options;
        add_depth_option(options);
        options
            .real(
                "gamma_start",
                &Method::gamma_start,
                "start analytic: the step, a factor of the analytic weight W; less than 1 where columns of A "
                "are much alike, so that eigenvalues of W^T A are far above 2",
                kPositive)
            .real("theta_first",
                  &Method::theta_first,
                  "start analytic: threshold of the first layer, as a share of the size of the entries of x",
                  kNonNegative)
            .real("theta_ratio",
                  &Method::theta_ratio,
                  "start analytic: each threshold is this times the one before",
                  kNonNegative);
        add_ridge_option(options);
        add_lambda_option(options);
        return options;
    }

  protected:
    void declare_layers(OptimizerSpec& spec) {
        model_ = linear_model(spec);
        // Products of whole batches: the order of a sum depends on the number of rows.
        spec.drop(L2O_FLAG_ROW_INVARIANT).flag(L2O_OPTIMIZER_STARTS_AT_ZERO);
        spec.info.max_steps = layers;
        spec.info.points_per_step = 1;
    }
    /// A parameter of layer k: `theta` is named "layer.03.theta".
    static Param layer_param(OptimizerSpec& spec, std::int64_t k, TensorSpec tensor) {
        char prefix[32];
        std::snprintf(prefix, sizeof prefix, "layer.%02d.", static_cast<int>(k));
        tensor.name.insert(0, prefix);
        tensor.layer = static_cast<std::int32_t>(k);
        return spec.param(std::move(tensor));
    }
    static Param declare_theta(OptimizerSpec& spec, std::int64_t k) {
        return layer_param(spec, k, {.name = "theta", .doc = "threshold"});
    }
    static Param declare_gamma(OptimizerSpec& spec, std::int64_t k) {
        return layer_param(spec, k, {.name = "gamma", .doc = "step"});
    }
    /// A parameter that init_params computes from the data.
    static Param derived(
        OptimizerSpec& spec, const char* name, const char* doc, const char* axes = "", Shape shape = {}) {
        return spec.param(
            {.name = name, .doc = doc, .axes = axes, .shape = std::move(shape), .flags = L2O_SPEC_DERIVED});
    }
    /// All entries of a parameter, unless there is none.
    template <class T>
    static void set(const ParamsOut<T>& params, const Param& param, double value) {
        if (param && params[param]) fill(params[param], T(value));
    }
    /// @return the layer of step t, from 0.
    [[nodiscard]] std::int64_t layer(std::int64_t t) const {
        if (t < layers) return t;
        refuse("step " + std::to_string(t + 1) + " was asked of a network of " + std::to_string(layers) +
               " layers; raise 'layers' or take fewer steps");
    }
    /// The analytic weight as it is before training in methods that have no gamma_k.
    template <class Matrix>
    [[nodiscard]] numerics::RowMatrix<double> start_weight(const Matrix& a) const {
        return gamma_start * numerics::analytic_weight(a, ridge);
    }
    /// The threshold of layer k that the analytic start sets.
    [[nodiscard]] double analytic_theta(std::int64_t k) const {
        return theta_first * std::pow(theta_ratio, static_cast<double>(k));
    }
    /// The same in forward().
    template <class T>
    [[nodiscard]] layers::Value<T> used_lambda(layers::Step<T>& step) const {
        return lambda_init > 0 ? step.constant(T(lambda_init)) : step.shared_data(lambda_);
    }
    /// The lambda of thresholds lambda / L.
    template <class T>
    [[nodiscard]] double start_lambda(const View<const T>& of_problem) const {
        return lambda_init > 0 ? lambda_init : static_cast<double>(of_problem.scalar());
    }
    /// For start_lambda().
    [[nodiscard]] Need lambda_of(const OptimizerSpec& spec) const {
        const Need lambda = spec.needs("lambda");
        if (!lambda && !(lambda_init > 0))
            refuse("the problem has no lambda for the thresholds lambda / L to start from; set lambda_init");
        return lambda;
    }

    LinearModel model_;
    Need lambda_;  ///< set by the methods that start from it
};

}  // namespace l2o::plugins
