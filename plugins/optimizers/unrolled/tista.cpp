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
class Tista : public l2o::plugins::Coupled {
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
        declare_layers<Work>(spec);
        if (!fixed_weight) spec.flag(L2O_OPTIMIZER_PARAMS_BY_PROBLEM);
        const std::int64_t m = model_.m, n = model_.n;
        taa_ = spec.param({.name = "const.taa", .doc = "tr A^T A", .flags = L2O_SPEC_DERIVED});
        tww_ = spec.param({.name = "const.tww", .doc = "tr A+^T A+", .flags = L2O_SPEC_DERIVED});
        l2o::TensorSpec weight{.name = "const.W",
                               .doc = "weight of the residual",
                               .axes = "m,n",
                               .shape = {m, n},
                               .flags = L2O_SPEC_DERIVED};
        const l2o::Param fixed = fixed_weight ? spec.param(weight) : l2o::Param{};
        weight.name = "W", weight.flags = 0;
        for (std::int64_t k = 0; k < layers; ++k) {
            layer_.push_back(
                {.w = fixed_weight ? fixed : layer_param(spec, k, weight), .gamma = declare_gamma(spec, k)});
            prior_.push_back(
                {.p = layer_param(spec, k, {.name = "p", .doc = "share of the entries that are not 0"}),
                 .alpha2 = layer_param(spec, k, {.name = "alpha2", .doc = "their variance"})});
        }
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>& data, const l2o::ParamsOut<T>& params) const {
        const l2o::numerics::RowMatrix<double> a = matrix(data[model_.a]).template cast<double>();
        const l2o::numerics::RowMatrix<double> pinv = l2o::numerics::pseudo_inverse(a);
        const auto set = [&](const l2o::Param& param, double value) {
            if (const auto to = params[param]) to.scalar() = T(value);
        };
        set(taa_, a.squaredNorm());
        set(tww_, pinv.squaredNorm());
        for (std::int64_t k = 0; k < layers; ++k) {
            if (const auto to = params[layer_[k].w]) {
                if (start == Start::kPinv)
                    matrix(to) = pinv.transpose().cast<T>();
                else
                    matrix(to) = a.cast<T>();
            }
            set(layer_[k].gamma, 1);
            set(prior_[k].p, p);
            set(prior_[k].alpha2, alpha2);
        }
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const std::int64_t k = layer(in.t());
        l2o::Scratch scratch(in.call);
        Work<T> work(scratch, in.batch(), model_);
        auto z = matrix(out.x(0));
        correction(in, k, point(in, k), work.residual, z);
        pre_activation(in, k, point(in, k), z, z);
        for (std::int64_t r = 0; r < in.batch(); ++r) {
            const Noise<T> noise = noise_of(in, k, work.residual.row(r).squaredNorm());
            const Shrinkage<T> eta = shrinkage(in, k, noise.tau2);
            for (T& z_i : l2o::numerics::row(out.x(0), r)) z_i = eta(z_i);
        }
    }

    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        const l2o::View<const T> x_next_bar = cot.x(0);
        if (!x_next_bar) return;
        const std::int64_t k = layer(in.t()), batch = in.batch();
        l2o::Scratch scratch(in.call);
        Work<T> work(scratch, batch, model_);
        correction(in, k, point(in, k), work.residual, work.u);
        pre_activation(in, k, point(in, k), work.u, work.z);

        double p_bar = 0, alpha2_bar = 0, gamma_bar = 0;
        for (std::int64_t r = 0; r < batch; ++r) {
            const Noise<T> noise = noise_of(in, k, work.residual.row(r).squaredNorm());
            const Shrinkage<T> eta = shrinkage(in, k, noise.tau2);
            double tau2_bar = 0;
            for (std::int64_t i = 0; i < model_.n; ++i) {
                const auto slope = eta.slopes(work.z(r, i));
                const T bar = x_next_bar(r, i);
                work.z_bar(r, i) = bar * slope.z;
                p_bar += double(bar * slope.p);
                alpha2_bar += double(bar * slope.alpha2);
                tau2_bar += double(bar * slope.tau2);
            }
            gamma_bar += tau2_bar * double(noise.by_gamma);
            work.residual_bar.row(r) = T(tau2_bar) * noise.by_residual * work.residual.row(r);
        }
        if (const auto to = acc.param(prior_[k].p)) to.scalar() += T(p_bar);
        if (const auto to = acc.param(prior_[k].alpha2)) to.scalar() += T(alpha2_bar);
        if (const auto to = acc.param(layer_[k].gamma)) to.scalar() += T(gamma_bar);
        correction_vjp(in, k, work, acc, k > 0 ? acc.x(0) : l2o::View<T>{}, &work.residual_bar);
    }

  private:
    struct Prior {
        l2o::Param p, alpha2;
    };
    template <class T>
    struct Work : Coupled::Work<T> {
        Rows<T> residual_bar;

        Work(l2o::Scratch& scratch, std::int64_t batch, const l2o::LinearModel& model)
            : Coupled::Work<T>(scratch, batch, model), residual_bar(take_rows<T>(scratch, batch, model.m)) {}
    };
    /// tau^2 of a row, its slope by gamma_k, and its gradient by r as a multiple of r.
    template <class T>
    struct Noise {
        T tau2, by_gamma, by_residual;
    };
    /// eta at one row's tau^2 = t, with p, a = alpha2 and s = a + t. Slopes are 0 where p or a is clipped.
    template <class T>
    struct Shrinkage {
        T p, a, t, s;
        bool p_is_clipped, a_is_clipped;

        struct Slopes {
            T z, p, alpha2, tau2;
        };
        /// ln of P(x != 0 | z) / P(x = 0 | z).
        [[nodiscard]] T log_odds(T z) const {
            return std::log(p / (1 - p)) + std::log(t / s) / 2 + z * z / 2 * (1 / t - 1 / s);
        }
        [[nodiscard]] T operator()(T z) const { return z * a / s / (1 + std::exp(-log_odds(z))); }
        [[nodiscard]] Slopes slopes(T z) const {
            const T odds = log_odds(z), posterior = 1 / (1 + std::exp(-odds));
            const T eta = z * a / s * posterior, by_odds = eta / (1 + std::exp(odds));
            const T direct = z * posterior / (s * s), by_s = (z * z / s - 1) / (2 * s);
            return {.z = a / s * posterior + by_odds * z * (1 / t - 1 / s),
                    .p = p_is_clipped ? T(0) : by_odds / (p * (1 - p)),
                    .alpha2 = a_is_clipped ? T(0) : direct * t + by_odds * by_s,
                    .tau2 = -direct * a + by_odds * (by_s + (1 - z * z / t) / (2 * t))};
        }
    };

    template <class T>
    Noise<T> noise_of(const l2o::StepIn<T>& in, std::int64_t k, T squared_residual) const {
        const T m = T(model_.m), n = T(model_.n), gamma = step_size(in, k);
        const T taa = in.param(taa_).scalar(), white = T(sigma2) * in.param(tww_).scalar() / n;
        const T raw = (squared_residual - m * T(sigma2)) / taa, v2 = std::clamp(raw, T(1e-9), T(1e6));
        const T by_v2 = (n + (gamma * gamma - 2 * gamma) * m) / n;
        const T tau2 = v2 * by_v2 + gamma * gamma * white;
        if (!(tau2 > T(1e-12))) return {T(1e-12), 0, 0};
        return {tau2, v2 * (2 * gamma - 2) * m / n + 2 * gamma * white, raw == v2 ? by_v2 * 2 / taa : T(0)};
    }
    template <class T>
    Shrinkage<T> shrinkage(const l2o::StepIn<T>& in, std::int64_t k, T tau2) const {
        const T p_k = in.param(prior_[k].p).scalar(), a_k = in.param(prior_[k].alpha2).scalar();
        const T p_in = std::clamp(p_k, T(1e-6), T(1 - 1e-6)), a = std::max(a_k, T(1e-6));
        return {p_in, a, tau2, a + tau2, p_in != p_k, a != a_k};
    }

    l2o::Param taa_, tww_;
    std::vector<Prior> prior_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Tista>)
