#include <l2o/layers/layered.hpp>
#include <l2o/layers/product.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <vector>

#include "layers.hpp"

namespace {

using l2o::numerics::matrix;

// Gregor & LeCun 2010, "Learning fast approximations of sparse coding", section 3; the untied form, with an S
// of its own in every layer, of Chen, Liu, Wang & Yin 2018, equation 4 (arXiv:1808.10038v2). Rows are
// instances:
//   z_k = b B^T + x_k S_k^T,   x_{k+1} = sign(z_k) max(|z_k| - theta_k, 0).
// c = b B^T is computed in the first layer and carried in the state. x_0 = 0, so there is no S_0. A threshold
// is free: it may be learned to be negative.
class Lista : public l2o::plugins::Layers, public l2o::layers::Layered<Lista> {
  public:
    static constexpr l2o::About about{
        .id = "lista",
        .version = "1.0.0",
        .title = "LISTA: learned ISTA, one matrix per layer",
        .doc =
            "x <- S(B b + S_k x, theta_k), S the soft threshold; learns B, S_k and theta_k. Start "
            "'analytic': B = W^T with the analytic weight W of ALISTA, S_k = I - B A, theta_k = theta_first "
            "theta_ratio^k; start 'ista': B = A^T / L, theta = lambda / L, with which it is ISTA exactly. "
            "Gregor & LeCun 2010, section 3; untied form of Chen, Liu, Wang & Yin 2018, equation 4.",
        .needs = "A,b,lambda?"};

    enum class Start { kAnalytic, kIsta };
    Start start = Start::kAnalytic;

    // Untrained, after 16 layers on sparse_recovery at (256, 512): start analytic -30.7 dB with this ratio,
    // start ista -5.3 dB.
    Lista() { theta_ratio = 0.75; }
    static l2o::Options<Lista> options() {
        l2o::Options<Lista> options = Layers::options<Lista>();
        add_start_option(options, &Lista::start, {"analytic", "ista"});
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers(spec);
        if (start == Start::kIsta) lambda_ = lambda_of(spec);
        spec.flag(L2O_OPTIMIZER_PARAMS_BY_PROBLEM);
        const std::int64_t m = model_.m, n = model_.n;
        c_ = spec.state({.name = "c", .doc = "b B^T", .axes = "n", .shape = {n}, .batched = true});
        b_ = spec.param({.name = "shared.B", .doc = "from the measurements", .axes = "n,m", .shape = {n, m}});
        const l2o::TensorSpec s{.name = "S", .doc = "from the iterate", .axes = "n,n", .shape = {n, n}};
        for (std::int64_t k = 0; k < layers; ++k) {
            s_.push_back(k == 0 ? l2o::Param{} : layer_param(spec, k, s));
            theta_.push_back(declare_theta(spec, k));
        }
        measure(spec);
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>& data, const l2o::ParamsOut<T>& params) const {
        const l2o::numerics::RowMatrix<double> a = matrix(data[model_.a]).template cast<double>();
        l2o::numerics::RowMatrix<double> b;
        double theta_ista = 0;
        if (start == Start::kIsta) {
            const double l = l2o::numerics::lipschitz_constant(a);
            b = a.transpose() / l;
            theta_ista = start_lambda(data[lambda_]) / l;
        } else {
            b = start_weight(a).transpose();
        }
        l2o::numerics::RowMatrix<double> s = l2o::numerics::RowMatrix<double>::Identity(model_.n, model_.n);
        l2o::numerics::add_product<double>(s, -1, b, a);
        if (params[b_]) matrix(params[b_]) = b.cast<T>();
        for (std::int64_t k = 0; k < layers; ++k) {
            if (k > 0 && params[s_[k]]) matrix(params[s_[k]]) = s.cast<T>();
            set(params, theta_[k], start == Start::kIsta ? theta_ista : analytic_theta(k));
        }
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        const std::int64_t k = layer(step.t());
        const auto c = step.set(c_, k == 0 ? step.data(model_.b) * t(step.matrix(b_)) : step.state(c_));
        const auto z = k == 0 ? c : c + step.x() * t(step.matrix(s_[k]));
        step.set_x(soft(z, step.param(theta_[k])));
    }

  private:
    l2o::Param b_;
    l2o::State c_;
    std::vector<l2o::Param> s_, theta_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Lista>)
