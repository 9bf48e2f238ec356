#include <l2o/layers/layered.hpp>
#include <l2o/layers/product.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <vector>

#include "layers.hpp"

namespace {

using l2o::numerics::matrix;

// Ablin, Moreau, Massias & Gramfort 2019, "Learning step sizes for unfolded sparse coding" (NeurIPS): ISTA
// whose step is learned, and its threshold with it. Rows are instances, u_k = (b - x_k A^T) A:
//   x_{k+1} = S(x_k + gamma_k u_k, lambda gamma_k).
class StepLista : public l2o::plugins::Layers, public l2o::layers::Layered<StepLista> {
  public:
    static constexpr l2o::About about{
        .id = "step_lista",
        .version = "1.0.0",
        .title = "Step-LISTA: ISTA with one learned step per layer",
        .doc =
            "x <- S(x + gamma_k A^T (b - A x), lambda gamma_k), S the soft threshold; only the steps "
            "gamma_k are learned, from 1/L on, so that every layer solves the Lasso with this lambda, "
            "whatever A. Ablin, Moreau, Massias & Gramfort 2019.",
        .needs = "A,b,lambda?"};

    static l2o::Options<StepLista> options() {
        l2o::Options<StepLista> options;
        add_depth_option(options);
        add_lambda_option(options);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers(spec);
        lambda_ = lambda_of(spec);
        for (std::int64_t k = 0; k < layers; ++k) gamma_.push_back(declare_gamma(spec, k));
        measure(spec);
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>& data, const l2o::ParamsOut<T>& params) const {
        const double l = l2o::numerics::lipschitz_constant<T>(matrix(data[model_.a]));
        for (const l2o::Param& gamma : gamma_) set(params, gamma, 1 / l);
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        const std::int64_t k = layer(step.t());
        const l2o::layers::Value<T> x = k > 0 ? step.x() : l2o::layers::Value<T>{};
        const auto gamma = step.param(gamma_[static_cast<std::size_t>(k)]);
        const auto a = step.matrix(model_.a);
        const auto u = (step.data(model_.b) - x * t(a)) * a;
        step.set_x(soft(move(x, gamma, u), used_lambda(step) * gamma));
    }

  private:
    std::vector<l2o::Param> gamma_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<StepLista>)
