#include <l2o/layers/layered.hpp>
#include <l2o/layers/product.hpp>
#include <l2o/numerics/analytic_weight.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <vector>

#include "layers.hpp"

namespace {

using l2o::numerics::matrix;

// Aberdam, Golts & Elad 2021, "Ada-LISTA: learned solvers adaptive to varying models" (IEEE TPAMI): what is
// learned multiplies the A of the problem, and so goes with any other A of as many rows. Rows are instances:
//   x_{k+1} = S(x_k + gamma_k (b W_1 - x_k A^T W_2^T W_2) A, theta_k),   x_0 = 0,
// the paper's x - gamma (W_2 A)^T (W_2 A) x + gamma (W_1 A)^T b.
class AdaLista : public l2o::plugins::Layers, public l2o::layers::Layered<AdaLista> {
  public:
    static constexpr l2o::About about{
        .id = "ada_lista",
        .version = "1.0.0",
        .title = "Ada-LISTA: two learned m x m matrices around any A",
        .doc =
            "x <- S(x + gamma_k ((W_1 A)^T b - (W_2 A)^T W_2 A x), theta_k), S the soft threshold; W_1 and "
            "W_2 [m, m], gamma_k and theta_k are learned, or eta_k with theta_k = lambda eta_k. Start "
            "'analytic': W_2 A of unit columns and least coherent, W_1 = W_2^T W_2, gamma = 1, "
            "theta_k = theta_first theta_ratio^k; start 'ista': W = I, gamma = 1 / L, theta = lambda / "
            "L, which is ISTA; start 'reference': W = I, gamma = 1, theta = lambda, as in the authors' "
            "code. Aberdam, Golts & Elad 2021.",
        .needs = "A,b,lambda?"};

    enum class Start { kAnalytic, kIsta, kReference };
    enum class Threshold { kTheta, kEta };
    Start start = Start::kAnalytic;
    Threshold threshold = Threshold::kTheta;

    AdaLista() { theta_ratio = 0.75; }
    static l2o::Options<AdaLista> options() {
        l2o::Options<AdaLista> options = Layers::options<AdaLista>();
        add_start_option(options, &AdaLista::start, {"analytic", "ista", "reference"});
        options.choice(
            "threshold",
            &AdaLista::threshold,
            {"theta", "eta"},
            "learned in every layer: theta_k, or eta_k with theta_k = lambda eta_k, as in the paper");
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers(spec);
        if (start != Start::kAnalytic || threshold == Threshold::kEta) lambda_ = lambda_of(spec);
        spec.flag(L2O_OPTIMIZER_PARAMS_BY_PROBLEM);
        const std::int64_t m = model_.m;
        w1_ = spec.param({.name = "shared.W1", .doc = "of the measurements", .axes = "m,m", .shape = {m, m}});
        w2_ = spec.param({.name = "shared.W2", .doc = "of the iterate", .axes = "m,m", .shape = {m, m}});
        for (std::int64_t k = 0; k < layers; ++k) {
            gamma_.push_back(declare_gamma(spec, k));
            theta_.push_back(
                threshold == Threshold::kEta
                    ? layer_param(spec, k, {.name = "eta", .doc = "threshold in units of lambda"})
                    : declare_theta(spec, k));
        }
        measure(spec);
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>& data, const l2o::ParamsOut<T>& params) const {
        using Square = l2o::numerics::RowMatrix<double>;
        const auto a = matrix(data[model_.a]);
        Square w1 = Square::Identity(model_.m, model_.m), w2 = w1;
        double gamma = 1;
        if (start == Start::kAnalytic) {
            w2 = l2o::numerics::symmetric_transform(a.template cast<double>(), ridge);
            w1.setZero();
            l2o::numerics::add_product_tn<double>(w1, 1, w2, w2);
            gamma = gamma_start;
        } else if (start == Start::kIsta) {
            gamma = 1 / l2o::numerics::lipschitz_constant<T>(a);
        }
        if (const auto to = params[w1_]) matrix(to) = w1.cast<T>();
        if (const auto to = params[w2_]) matrix(to) = w2.cast<T>();
        for (std::int64_t k = 0; k < layers; ++k) {
            set(params, gamma_[k], gamma);
            const bool is_eta = threshold == Threshold::kEta;
            const double lambda = is_eta || start != Start::kAnalytic ? start_lambda(data[lambda_]) : 1;
            const double theta = start == Start::kAnalytic ? analytic_theta(k) : lambda * gamma;
            set(params, theta_[k], is_eta ? theta / lambda : theta);
        }
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        const std::int64_t k = layer(step.t());
        const auto x = k > 0 ? step.x() : l2o::layers::Value<T>{};
        const auto a = step.matrix(model_.a), w2 = step.matrix(w2_);
        const auto s = step.data(model_.b) * step.matrix(w1_) - x * t(a) * t(w2) * w2;
        const auto learned = step.param(theta_[static_cast<std::size_t>(k)]);
        const auto theta = threshold == Threshold::kEta ? used_lambda(step) * learned : learned;
        const auto z = move(x, step.param(gamma_[static_cast<std::size_t>(k)]), s * a);
        step.set_x(soft(z, theta));
    }

  private:
    l2o::Param w1_, w2_;
    std::vector<l2o::Param> gamma_, theta_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<AdaLista>)
