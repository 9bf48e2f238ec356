#include <algorithm>
#include <cmath>
#include <l2o/numerics/dense.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <l2o/numerics/soft_threshold.hpp>
#include <l2o/numerics/view.hpp>
#include <l2o/sdk/linear_model.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>
#include <span>
#include <vector>

#include "layers.hpp"

namespace {

using l2o::numerics::add_product, l2o::numerics::add_product_nt, l2o::numerics::add_product_tn;
using l2o::numerics::matrix;

// Borgerding, Schniter & Rangan 2017, "AMP-inspired deep networks for sparse linear inverse problems" (IEEE
// TSP 65), with a matrix of its own in every layer. Rows are instances:
//   v_k = b - x_k A^T + c_k v_{k-1},   c_k = |x_k|_0 / m,   sigma_k = |v_k|_2 / sqrt(m),
//   x_{k+1} = S(x_k + v_k W_k, max(lambda_k sigma_k, 0)),   x_0 = 0, v_{-1} = 0.
// c_k is computed with x_k and kept in the state: it is piecewise constant, and has no derivative.
// Deviation: sigma_k = sqrt(|v_k|^2 / m + 1e-12), which has a derivative where the residual vanishes.
class Lamp : public l2o::plugins::Layers {
  public:
    static constexpr l2o::About about{
        .id = "lamp",
        .version = "1.0.0",
        .title = "LAMP: learned approximate message passing",
        .doc =
            "v <- b - A x + (|x|_0 / m) v, x <- S(x + W_k^T v, lambda_k |v|_2 / sqrt(m)), S the soft "
            "threshold; W_k [m, n] and lambda_k are learned. Start 'analytic': W = the analytic weight "
            "of A and lambda = amp_lambda; start 'amp': W = A and lambda = amp_lambda, approximate "
            "message passing; start 'reference': W = A / L and lambda = lambda_init. Borgerding, "
            "Schniter & Rangan 2017.",
        .needs = "A,b,lambda?"};

    enum class Start { kAnalytic, kAmp, kReference };
    // Untrained, after 16 layers on sparse_recovery at (256, 512): analytic -58 dB, amp -35 dB.
    Start start = Start::kAnalytic;
    double amp_lambda = 1.4;

    static l2o::Options<Lamp> options() {
        l2o::Options<Lamp> options = Layers::options<Lamp>();
        options
            .choice("start",
                    &Lamp::start,
                    {"analytic", "amp", "reference"},
                    "what the parameters are before training")
            .real("amp_lambda",
                  &Lamp::amp_lambda,
                  "starts analytic and amp: threshold as a multiple of the standard deviation of the noise "
                  "in x + W^T v",
                  l2o::kPositive);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers<Work>(spec);
        if (start == Start::kReference) lambda_ = lambda_of(spec);
        const std::int64_t m = model_.m, n = model_.n;
        v_ = spec.state(
            {.name = "v", .doc = "corrected residual", .axes = "m", .shape = {m}, .batched = true});
        c_ = spec.state({.name = "c", .doc = "share |x|_0 / m of v that is added again", .batched = true});
        const l2o::TensorSpec w{.name = "W", .doc = "weight of the residual", .axes = "m,n", .shape = {m, n}};
        for (std::int64_t k = 0; k < layers; ++k)
            layer_.push_back(
                {.w = layer_param(spec, k, w),
                 .lambda = layer_param(spec, k, {.name = "lam", .doc = "threshold in units of sigma"})});
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>& data, const l2o::ParamsOut<T>& params) const {
        l2o::numerics::RowMatrix<double> w = matrix(data[model_.a]).template cast<double>();
        double lambda = amp_lambda;
        if (start == Start::kReference) {
            lambda = start_lambda(data[lambda_]);
            w /= l2o::numerics::lipschitz_constant(w);
        } else if (start == Start::kAnalytic) {
            w = start_weight(w);
        }
        for (std::int64_t k = 0; k < layers; ++k) {
            if (const auto to = params[layer_[k].w]) matrix(to) = w.cast<T>();
            if (const auto to = params[layer_[k].lambda]) to.scalar() = T(lambda);
        }
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const std::int64_t k = layer(in.t());
        auto v = matrix(out.state(v_));
        auto z = matrix(out.x(0));
        message(in, k, v, z);
        const T lambda = in.param(layer_[k].lambda).scalar();
        for (std::int64_t r = 0; r < in.batch(); ++r) {
            const T threshold = std::max(lambda * sigma<T>(v.row(r).squaredNorm()), T(0));
            std::int64_t nonzeros = 0;
            for (T& z_i : l2o::numerics::row(out.x(0), r)) {
                z_i = l2o::numerics::soft_threshold(z_i, threshold);
                nonzeros += z_i != 0;
            }
            out.state(c_)[r] = T(nonzeros) / T(model_.m);
        }
    }

    // With Z = bar z_k, t = bar of the row's threshold: V = bar v_k + Z W_k^T + lambda_k t v_k / (m sigma_k),
    // bar W_k = v_k^T Z, bar lambda_k = sum t sigma_k, bar x_k = Z - V A, bar v_{k-1} = c_k V.
    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        const std::int64_t k = layer(in.t()), batch = in.batch();
        l2o::Scratch scratch(in.call);
        Work<T> work(scratch, batch, model_);
        auto& [v, z, z_bar, threshold_bar] = work;
        const bool is_known = bool(in.x_out(0));
        if (is_known) {  // x_{k+1} is 0 exactly where the threshold has slope 0
            v = matrix(in.state_out(v_));
            z = matrix(in.x_out(0));
        } else {
            message(in, k, v, z);
        }
        const T lambda = in.param(layer_[k].lambda).scalar();
        double lambda_bar = 0;
        z_bar.setZero();
        std::ranges::fill(threshold_bar, T(0));
        if (const auto x_next_bar = cot.x(0)) {
            for (std::int64_t r = 0; r < batch; ++r) {
                const T deviation = sigma<T>(v.row(r).squaredNorm());
                const T theta_bar = T(
                    l2o::numerics::soft_threshold_vjp<T>(row_of(z, r),
                                                         is_known ? T(0) : std::max(lambda * deviation, T(0)),
                                                         l2o::numerics::row(x_next_bar, r),
                                                         row_of(z_bar, r)));
                if (!(lambda * deviation > 0)) continue;
                threshold_bar[std::size_t(r)] = theta_bar;
                lambda_bar += double(theta_bar * deviation);
            }
        }
        if (const auto to = acc.param(layer_[k].lambda)) to.scalar() += T(lambda_bar);
        if (const auto to = acc.param(layer_[k].w)) add_product_tn<T>(matrix(to), 1, v, z_bar);
        if (k == 0) return;
        for (std::int64_t r = 0; r < batch; ++r)
            v.row(r) *=
                lambda * threshold_bar[std::size_t(r)] / (T(model_.m) * sigma<T>(v.row(r).squaredNorm()));
        if (const auto v_bar = cot.state(v_)) v += matrix(v_bar);
        add_product_nt<T>(v, 1, z_bar, matrix(in.param(layer_[k].w)));
        const auto v_before = matrix(in.state(v_));
        for (std::int64_t r = 0; r < batch; ++r) {
            if (const auto to = acc.state(v_)) matrix(to).row(r) += in.state(c_)[r] * v.row(r);
            if (const auto to = acc.state(c_)) to[r] += v.row(r).dot(v_before.row(r));
        }
        if (const auto to = acc.x(0)) {
            matrix(to) += z_bar;
            add_product<T>(matrix(to), -1, v, matrix(in.data(model_.a)));
        }
    }

  private:
    struct Layer {
        l2o::Param w, lambda;
    };
    template <class T>
    struct Work {
        Rows<T> v, z, z_bar;
        std::span<T> threshold_bar;

        Work(l2o::Scratch& scratch, std::int64_t batch, const l2o::LinearModel& model)
            : v(take_rows<T>(scratch, batch, model.m)),
              z(take_rows<T>(scratch, batch, model.n)),
              z_bar(take_rows<T>(scratch, batch, model.n)),
              threshold_bar(take_row<T>(scratch, batch)) {}
    };

    template <class T>
    [[nodiscard]] T sigma(T squared_norm) const {
        return std::sqrt(squared_norm / T(model_.m) + T(1e-12));
    }
    /// v = v_k, z = x_k + v_k W_k; x_0 and v_{-1} are 0, and not looked at.
    template <class T, class V, class Z>
    void message(const l2o::StepIn<T>& in, std::int64_t k, V& v, Z& z) const {
        v = matrix(in.data(model_.b));
        z.setZero();
        if (k > 0) {
            for (std::int64_t r = 0; r < in.batch(); ++r)
                v.row(r) += in.state(c_)[r] * matrix(in.state(v_)).row(r);
            add_product_nt<T>(v, -1, matrix(in.x(0)), matrix(in.data(model_.a)));
            z = matrix(in.x(0));
        }
        add_product<T>(z, 1, v, matrix(in.param(layer_[k].w)));
    }

    l2o::State v_, c_;
    std::vector<Layer> layer_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Lamp>)
