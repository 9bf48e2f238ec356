#include "coupled.hpp"
#include "sparse_correction.hpp"

namespace {

using l2o::layers::Value;
using l2o::numerics::matrix;

// Liu, Chen, Wang & Yin 2019, "ALISTA: analytic weights are as good as learned weights in LISTA" (ICLR), with
// the support selection of Chen, Liu, Wang & Yin 2018 (arXiv:1808.10038v2):
//   x_{k+1} = SS(x_k + gamma_k (b - x_k A^T) W, theta_k, q_k), W one matrix for all layers, computed from A.
// Deviation: W is the closed form of numerics/analytic_weight.hpp, not the projected gradient of the paper's
// code, which stops short of the same minimum.
//
// W^T A = diag(d) S with S symmetric, and iterates are sparse. So where S is not much larger than A,
//   (b - x_k A^T) W = c - d (x_k S),   c = b W carried in the state,
// at the cost of a row of S for every non-zero entry. With many more unknowns than measurements it is the two
// products of Coupled.
class Alista : public l2o::plugins::Coupled, public l2o::layers::Layered<Alista> {
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
        add_start_option(options, &Alista::start, {"analytic", "reference"});
        add_support_options(options);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers(spec);
        if (start == Start::kReference) lambda_ = lambda_of(spec);
        const std::int64_t m = model_.m, n = model_.n;
        w_ = derived(spec, "const.W", "analytic weight of A", "m,n", {m, n});
        has_gram_ = n <= kMostUnknowns * m;
        if (has_gram_) {
            s_ = derived(spec, "const.S", "A^T (A A^T + ridge I)^-1 A", "n,n", {n, n});
            d_ = derived(spec, "const.d", "1 / S_jj", "n", {n});
            c_ = spec.state({.name = "c", .doc = "b W", .axes = "n", .shape = {n}, .batched = true});
        }
        for (std::int64_t k = 0; k < layers; ++k)
            layer_.push_back({.w = w_, .gamma = declare_gamma(spec, k), .theta = declare_theta(spec, k)});
        measure(spec);
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>& data, const l2o::ParamsOut<T>& params) const {
        const auto a = matrix(data[model_.a]);
        if (has_gram_) {
            const auto parts = l2o::numerics::analytic_gram(a.template cast<double>(), ridge);
            if (params[w_]) matrix(params[w_]) = parts.w.template cast<T>();
            if (params[s_]) matrix(params[s_]) = parts.gram.template cast<T>();
            if (params[d_]) matrix(l2o::layers::as_row(params[d_])) = parts.scale.template cast<T>();
        } else if (params[w_]) {
            matrix(params[w_]) = l2o::numerics::analytic_weight(a, ridge).template cast<T>();
        }
        const double theta_reference =
            start == Start::kReference ? start_lambda(data[lambda_]) / l2o::numerics::lipschitz_constant(a)
                                       : 0;
        for (std::int64_t k = 0; k < layers; ++k) {
            set(params, layer_[k].gamma, start == Start::kAnalytic ? gamma_start : 1);
            set(params, layer_[k].theta, start == Start::kAnalytic ? analytic_theta(k) : theta_reference);
        }
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        if (!has_gram_) return Coupled::forward(step);
        const std::int64_t k = layer(step.t());
        const Layer& of = layer_[static_cast<std::size_t>(k)];
        const auto x = k > 0 ? step.x() : Value<T>{};
        const auto c = step.set(c_, k == 0 ? step.data(model_.b) * step.matrix(w_) : step.state(c_));
        const auto u = l2o::plugins::minus_scaled(c, step.param(d_), x, step.matrix(s_));
        const auto z = move(x, step.param(of.gamma), u);
        step.set_x(select(z, step.param(of.theta), {.amount = percent(k)}));
    }

  private:
    static constexpr std::int64_t kMostUnknowns = 4;  // per measurement: S is at most so much larger than A

    bool has_gram_ = false;
    l2o::Param w_, s_, d_;
    l2o::State c_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Alista>)
