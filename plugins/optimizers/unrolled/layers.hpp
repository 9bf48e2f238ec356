#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <l2o/numerics/analytic_weight.hpp>
#include <l2o/numerics/soft_threshold.hpp>
#include <l2o/numerics/view.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <string>

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
    template <class Method>
    static void add_lambda_option(Options<Method>& options) {
        options.real("lambda_init",
                     &Method::lambda_init,
                     "thresholds that start at lambda / L use this lambda; 0: that of the problem",
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
                  kNonNegative)
            .real("ridge",
                  &Method::ridge,
                  "added to the diagonal of A A^T in the analytic weight; needed if A has dependent rows",
                  kNonNegative);
        add_lambda_option(options);
        return options;
    }

    /// "layer.03.theta"
    static std::string layer_name(std::int64_t k, const char* parameter) {
        char text[64];
        std::snprintf(text, sizeof text, "layer.%02d.%s", static_cast<int>(k), parameter);
        return text;
    }

  protected:
    void declare_layers(OptimizerSpec& spec) const {
        // Products of whole batches: the order of a sum depends on the number of rows.
        spec.drop(L2O_FLAG_ROW_INVARIANT).flag(L2O_OPTIMIZER_STARTS_AT_ZERO);
        spec.info.max_steps = layers;
        spec.info.points_per_step = 1;
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
    /// The lambda of thresholds lambda / L.
    template <class T>
    [[nodiscard]] double start_lambda(const View<const T>& of_problem) const {
        return lambda_init > 0 ? lambda_init : static_cast<double>(of_problem.scalar());
    }
    /// Back through S(z, theta), all rows with one theta: writes z_bar, @return bar theta.
    template <class T, class Z, class Rows>
    static double threshold_vjp(const Z& z, T theta, const View<const T>& x_next_bar, Rows& z_bar) {
        const auto n = static_cast<std::size_t>(z.cols());
        double theta_bar = 0;
        for (std::int64_t r = 0; r < z.rows(); ++r)
            theta_bar += numerics::soft_threshold_vjp<T>(
                {z.row(r).data(), n}, theta, numerics::row(x_next_bar, r), {z_bar.row(r).data(), n});
        return theta_bar;
    }
    /// The same from x_{k+1} = S(z, theta), which is 0 exactly where the threshold has slope 0, if the host
    /// kept it; else compute(spare) has to put z there.
    template <class T, class Rows, class Compute>
    static double threshold_vjp(const View<const T>& x_next,
                                T theta,
                                const View<const T>& x_next_bar,
                                Rows& z_bar,
                                Rows& spare,
                                Compute&& compute) {
        if (x_next) return threshold_vjp<T>(numerics::matrix(x_next), T(0), x_next_bar, z_bar);
        compute(spare);
        return threshold_vjp<T>(spare, theta, x_next_bar, z_bar);
    }
    void need_lambda(const l2o_spec* of_problem) const {
        if (of_problem == nullptr && !(lambda_init > 0))
            refuse("the problem has no lambda for the thresholds lambda / L to start from; set lambda_init");
    }
};

}  // namespace l2o::plugins
