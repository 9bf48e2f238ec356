#include <algorithm>
#include <cmath>
#include <l2o/numerics/pseudo_inverse.hpp>

#include "coupled.hpp"

namespace {

using l2o::numerics::matrix;

// Ito, Takabe & Wadayama 2019, "Trainable ISTA for sparse signal recovery" (IEEE TSP 67): the estimate of x
// from z = x + N(0, tau^2), where x is N(0, alpha2_k) with probability p_k and else 0. Rows are instances:
//   r = b - x_k A^T,   z = x_k + gamma_k r W_k,   v^2 = (|r|^2 - m sigma^2) / tr A^T A, from 1e-9 to 1e6,
//   tau^2 = v^2 (n + (gamma_k^2 - 2 gamma_k) m) / n + gamma_k^2 sigma^2 tr A+^T A+ / n,
//   x_{k+1} = z pi alpha2_k / s,   s = alpha2_k + tau^2,   pi = P(x != 0 | z), x_0 = 0.
// tau^2 is right for W = A+^T, whose training may leave that. Deviations: pi is computed from its log-odds,
// since densities underflow; tau^2 >= 1e-12, p_k within [1e-6, 1 - 1e-6] and alpha2_k >= 1e-6, where training
// would leave the formulas' domain.
class Tista : public l2o::plugins::Coupled, public l2o::layers::Layered<Tista> {
  public:
    static constexpr l2o::About about{
        .id = "tista",
        .version = "1.0.0",
        .title = "TISTA: learned steps, thresholds by a prior of the signal",
        .doc =
            "x <- eta(x + gamma_k W_k^T r; tau^2), r = b - A x: eta is the mean of a signal that is N(0, "
            "alpha2_k) with probability p_k and else 0, seen through noise of the variance tau^2 that is "
            "estimated from ||r||^2. gamma_k, p_k, alpha2_k and, unless fixed_weight, W_k [m, n] are "
            "learned. Start 'pinv': W the pseudo-inverse, as tau^2 assumes; start 'reference': W = A, as in "
            "Open-L2O. Ito, Takabe & Wadayama 2019.",
        .needs = "A,b"};

    enum class Start { kPinv, kReference };
    Start start = Start::kPinv;
    bool fixed_weight = false;
    double sigma2 = 0, p = 0.1, alpha2 = 1;

    static l2o::Options<Tista> options() {
        l2o::Options<Tista> options;
        add_depth_option(options);
        options.choice("start", &Tista::start, {"pinv", "reference"}, "W before training")
            .flag("fixed_weight", &Tista::fixed_weight, "one W for all layers, which is not learned")
            .real("sigma2", &Tista::sigma2, "variance of the noise in an entry of b", l2o::kNonNegative)
            .real("p",
                  &Tista::p,
                  "p_k before training: share of the entries that are not 0",
                  {0, 1, true, true})
            .real("alpha2", &Tista::alpha2, "alpha2_k before training: their variance", l2o::kPositive);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers(spec);
        if (!fixed_weight) spec.flag(L2O_OPTIMIZER_PARAMS_BY_PROBLEM);
        const std::int64_t m = model_.m, n = model_.n;
        taa_ = derived(spec, "const.taa", "tr A^T A"), tww_ = derived(spec, "const.tww", "tr A+^T A+");
        const char* doc = "weight of the residual";
        const l2o::TensorSpec weight{.name = "W", .doc = doc, .axes = "m,n", .shape = {m, n}};
        const l2o::Param fixed = fixed_weight ? derived(spec, "const.W", doc, "m,n", {m, n}) : l2o::Param{};
        for (std::int64_t k = 0; k < layers; ++k) {
            layer_.push_back(
                {.w = fixed_weight ? fixed : layer_param(spec, k, weight), .gamma = declare_gamma(spec, k)});
            prior_.push_back(
                {.p = layer_param(spec, k, {.name = "p", .doc = "share of the entries that are not 0"}),
                 .alpha2 = layer_param(spec, k, {.name = "alpha2", .doc = "their variance"})});
        }
        measure(spec);
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>& data, const l2o::ParamsOut<T>& params) const {
        const l2o::numerics::RowMatrix<double> a = matrix(data[model_.a]).template cast<double>();
        const l2o::numerics::RowMatrix<double> pinv = l2o::numerics::pseudo_inverse(a);
        set(params, taa_, a.squaredNorm());
        set(params, tww_, pinv.squaredNorm());
        for (std::int64_t k = 0; k < layers; ++k) {
            if (const auto to = params[layer_[k].w]) {
                if (start == Start::kPinv)
                    matrix(to) = pinv.transpose().cast<T>();
                else
                    matrix(to) = a.cast<T>();
            }
            set(params, layer_[k].gamma, 1);
            set(params, prior_[k].p, p);
            set(params, prior_[k].alpha2, alpha2);
        }
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        using std::clamp, std::exp, std::log, std::max;
        const auto place = static_cast<std::size_t>(layer(step.t()));
        const auto x = place > 0 ? step.x() : l2o::layers::Value<T>{},
                   gamma = step.param(layer_[place].gamma);
        const auto r = residual(step, x);
        const auto z = move(x, gamma, r * step.matrix(layer_[place].w));

        const T m = T(model_.m), n = T(model_.n), sigma_2 = T(sigma2);
        const auto noise = [=](auto squares, auto g, auto taa, auto tww) {
            const auto v2 = clamp((squares - m * sigma_2) / taa, T(1e-9), T(1e6));
            const auto tau2 = v2 * ((n + (g * g - 2 * g) * m) / n) + g * g * (sigma_2 * tww / n);
            return tau2 > T(1e-12) ? tau2 : decltype(g)(T(1e-12));
        };
        const auto squares = row_sum([](auto r_i) { return r_i * r_i; }, r);
        const auto tau2 = map(noise, squares, gamma, step.param(taa_), step.param(tww_));
        // Of a row: log-odds = odds + z^2 sharpness, eta = z shrinkage pi.
        const auto odds_of = [](auto p_k, auto a, auto t) {
            const auto p_in = clamp(p_k, T(1e-6), T(1 - 1e-6));
            return log(p_in / (1 - p_in)) + log(t / (max(a, decltype(a)(T(1e-6))) + t)) / 2;
        };
        const auto sharpness_of = [](auto a, auto t) {
            return (1 / t - 1 / (max(a, decltype(a)(T(1e-6))) + t)) / 2;
        };
        const auto shrinkage_of = [](auto a, auto t) {
            const auto alpha2_k = max(a, decltype(a)(T(1e-6)));
            return alpha2_k / (alpha2_k + t);
        };
        const auto eta = [](auto z_i, auto odds, auto sharpness, auto shrinkage) {
            return z_i * shrinkage / (1 + exp(-(odds + z_i * z_i * sharpness)));
        };
        const auto alpha2_k = step.param(prior_[place].alpha2);
        const auto odds = map(odds_of, step.param(prior_[place].p), alpha2_k, tau2);
        const auto sharpness = map(sharpness_of, alpha2_k, tau2);
        step.set_x(map(eta, z, odds, sharpness, map(shrinkage_of, alpha2_k, tau2)));
    }

  private:
    struct Prior {
        l2o::Param p, alpha2;
    };
    l2o::Param taa_, tww_;
    std::vector<Prior> prior_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Tista>)
