#include "coupled.hpp"

namespace {

using l2o::numerics::matrix;

// Liu, Chen, Wang & Yin 2019, "ALISTA: analytic weights are as good as learned weights in LISTA" (ICLR), with
// the support selection of Chen, Liu, Wang & Yin 2018 (arXiv:1808.10038v2):
//   x_{k+1} = SS(x_k + gamma_k (b - x_k A^T) W, theta_k, q_k), W one matrix for all layers, computed from A.
// Deviation: W is the closed form of numerics/analytic_weight.hpp, not the projected gradient of the paper's
// code, which stops short of the same minimum.
class Alista : public l2o::plugins::Coupled {
  public:
    static constexpr l2o::About about{
        .id = "alista",
        .version = "1.0.0",
        .title = "ALISTA: two learned numbers per layer, analytic weight",
        .doc =
            "x <- SS(x + gamma_k W^T (b - A x), theta_k); SS is the soft threshold that leaves the "
            "largest q_k percent of the entries alone, q_k = min((k + 1) support_per_layer, "
            "support_max). W is computed from A, only gamma_k and theta_k are learned. Start "
            "'analytic': gamma = 1, theta_k = theta_first theta_ratio^k, which needs hardly any "
            "training; start 'reference': gamma = 1, theta = lambda / L. Liu, Chen, Wang & Yin 2019.",
        .needs = "A,b,lambda?"};

    enum class Start { kAnalytic, kReference };
    Start start = Start::kAnalytic;

    Alista() { support_per_layer = 1.2, support_max = 13; }
    static l2o::Options<Alista> options() {
        l2o::Options<Alista> options = Layers::options<Alista>();
        options.choice(
            "start", &Alista::start, {"analytic", "reference"}, "what the parameters are before training");
        add_support_options(options);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_coupled(spec);
        if (start == Start::kReference) need_lambda(spec.data(kLambda));
        w_ = spec.param({.name = "const.W",
                         .doc = "analytic weight of A",
                         .axes = "m,n",
                         .shape = {model_.m, model_.n},
                         .role = L2O_PARAM_BUFFER});
        for (std::int64_t k = 0; k < layers; ++k) {
            const std::size_t gamma = declare_gamma(spec, k);
            layer_.push_back({.w = w_, .theta = declare_theta(spec, k), .gamma = gamma});
        }
    }

    template <class T>
    void init_params(const l2o_call&,
                     const l2o::Tensors<const T>& data,
                     const l2o::Tensors<T>& params) const {
        const auto a = matrix(data[kA]);
        if (params[w_]) matrix(params[w_]) = l2o::numerics::analytic_weight(a, ridge).template cast<T>();
        const double theta_reference =
            start == Start::kReference ? start_lambda(data[kLambda]) / l2o::numerics::lipschitz_constant(a)
                                       : 0;
        for (std::int64_t k = 0; k < layers; ++k) {
            if (const auto gamma = params[*layer_[k].gamma]) gamma.scalar() = 1;
            if (const auto theta = params[layer_[k].theta])
                theta.scalar() = T(start == Start::kAnalytic ? analytic_theta(k) : theta_reference);
        }
    }

  private:
    std::size_t w_ = 0;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Alista>)
