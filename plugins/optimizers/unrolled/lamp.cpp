#include <algorithm>
#include <cmath>
#include <l2o/layers/layered.hpp>
#include <l2o/layers/product.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <vector>

#include "layers.hpp"

namespace {

using l2o::numerics::matrix;

// Borgerding, Schniter & Rangan 2017, "AMP-inspired deep networks for sparse linear inverse problems" (IEEE
// TSP 65), with a matrix of its own in every layer. Rows are instances:
//   v_k = b - x_k A^T + c_k v_{k-1},   c_k = |x_k|_0 / m,   sigma_k = |v_k|_2 / sqrt(m),
//   x_{k+1} = S(x_k + v_k W_k, max(lambda_k sigma_k, 0)),   x_0 = 0, v_{-1} = 0.
// c_k is computed with x_k and kept in the state: it is piecewise constant, and has no derivative.
// Deviation: sigma_k = sqrt(|v_k|^2 / m + 1e-12), which has a derivative where the residual vanishes.
class Lamp : public l2o::plugins::Layers, public l2o::layers::Layered<Lamp> {
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
        add_start_option(options, &Lamp::start, {"analytic", "amp", "reference"});
        options.real(
            "amp_lambda",
            &Lamp::amp_lambda,
            "starts analytic and amp: threshold as a multiple of the standard deviation of the noise "
            "in x + W^T v",
            l2o::kPositive);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers(spec);
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
        measure(spec);
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
            set(params, layer_[k].lambda, lambda);
        }
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        const std::int64_t k = layer(step.t());
        const Layer& of = layer_[static_cast<std::size_t>(k)];
        const T m = T(model_.m);
        auto v = step.data(model_.b), z = l2o::layers::Value<T>{};
        if (k > 0) {
            z = step.x();
            const auto onsager = [](auto c, auto v_before) { return c * v_before; };
            v = v + map(onsager, step.state(c_), step.state(v_)) - z * t(step.matrix(model_.a));
        }
        v = step.set(v_, v);
        const auto squares = row_sum([](auto v_i) { return v_i * v_i; }, v);
        const auto rule = [m](auto lambda, auto square) {
            using std::max, std::sqrt;
            return max(decltype(lambda)(0), lambda * sqrt(square / m + T(1e-12)));
        };
        const auto theta = map(rule, step.param(of.lambda), squares);
        const auto x_next = step.set_x(soft(z + v * step.matrix(of.w), theta));
        const auto is_nonzero = [](auto x_i) { return decltype(x_i)(T(x_i > 0 || x_i < 0)); };
        const auto share = [m](auto count) { return count / m; };
        step.set(c_, map(share, stopped(row_sum(is_nonzero, x_next))));
    }

  private:
    struct Layer {
        l2o::Param w, lambda;
    };
    l2o::State v_, c_;
    std::vector<Layer> layer_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Lamp>)
