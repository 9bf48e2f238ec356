#include <cmath>
#include <l2o/layers/layered.hpp>
#include <l2o/layers/product.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <vector>

#include "layers.hpp"

namespace {

using l2o::numerics::matrix;

// Moreau & Bruna 2017, "Understanding trainable sparse coding via matrix factorization" (ICLR), L-FISTA, as
// Chen et al. 2021 (arXiv:2103.12828) train it. Rows are instances:
//   x_{k+1} = S(b We^T + x_k Wg_k^T + x_{k-1} Wm_k^T, theta_k),   x_0 = x_{-1} = 0.
// c = b We^T is computed in the first layer and carried in the state.
class LFista : public l2o::plugins::Layers, public l2o::layers::Layered<LFista> {
  public:
    static constexpr l2o::About about{
        .id = "lfista",
        .version = "1.0.0",
        .title = "LFISTA: learned FISTA, two matrices per layer",
        .doc =
            "x_{k+1} = S(We b + Wg_k x_k + Wm_k x_{k-1}, theta_k), S the soft threshold; We [n, m] for "
            "all layers, Wg_k, Wm_k [n, n] and theta_k are learned. Start 'analytic': We = W^T with "
            "the analytic weight W of A, Wg = I - W^T A, Wm = 0; start 'fista': exactly FISTA; start "
            "'reference': the momentum of FISTA one layer early, as in Open-L2O. Moreau & Bruna 2017.",
        .needs = "A,b,lambda?"};

    enum class Start { kAnalytic, kFista, kReference };
    Start start = Start::kAnalytic;

    LFista() { theta_ratio = 0.75; }
    static l2o::Options<LFista> options() {
        l2o::Options<LFista> options = Layers::options<LFista>();
        add_start_option(options, &LFista::start, {"analytic", "fista", "reference"});
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers(spec);
        if (start != Start::kAnalytic) lambda_ = lambda_of(spec);
        const std::int64_t m = model_.m, n = model_.n;
        x_before_ = spec.state_like_x("x_before", "x_{k-1}")[0];
        c_ = spec.state({.name = "c", .doc = "b We^T", .axes = "n", .shape = {n}, .batched = true});
        we_ = spec.param({.name = "shared.We", .doc = "from the data", .axes = "n,m", .shape = {n, m}});
        const auto square = [&](std::int64_t k, const char* name, const char* doc) {
            return layer_param(spec, k, {.name = name, .doc = doc, .axes = "n,n", .shape = {n, n}});
        };
        for (std::int64_t k = 0; k < layers; ++k) {
            Layer layer{};
            if (k > 0) layer.wg = square(k, "Wg", "from the iterate");
            if (k > 0) layer.wm = square(k, "Wm", "from the iterate before; without effect in layer 1");
            layer.theta = declare_theta(spec, k);
            layer_.push_back(layer);
        }
        measure(spec);
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>& data, const l2o::ParamsOut<T>& params) const {
        using Matrix = l2o::numerics::RowMatrix<double>;
        const Matrix a = matrix(data[model_.a]).template cast<double>();
        const double l = start == Start::kAnalytic ? 0 : l2o::numerics::lipschitz_constant(a);
        const double theta = start == Start::kAnalytic ? 0 : start_lambda(data[lambda_]) / l;
        const Matrix we =
            start == Start::kAnalytic ? Matrix(start_weight(a).transpose()) : Matrix(a.transpose() / l);
        Matrix s = Matrix::Identity(model_.n, model_.n);
        l2o::numerics::add_product<double>(s, -1, we, a);
        if (params[we_]) matrix(params[we_]) = we.cast<T>();
        double t = 1;  // Beck & Teboulle 2009: t_1 = 1
        for (std::int64_t k = 0; k < layers; ++k) {
            const Layer& layer = layer_[k];
            set(params, layer.theta, start == Start::kAnalytic ? analytic_theta(k) : theta);
            const auto next = [](double t_k) { return (1 + std::sqrt(1 + 4 * t_k * t_k)) / 2; };
            double momentum = 0;
            if (start == Start::kFista && k > 0) {
                momentum = (t - 1) / next(t);
                t = next(t);
            } else if (start == Start::kReference && k > 0) {
                t = next(t);
                momentum = (t - 1) / next(t);
            }
            if (k == 0) continue;
            if (params[layer.wg]) matrix(params[layer.wg]) = ((1 + momentum) * s).cast<T>();
            if (params[layer.wm]) matrix(params[layer.wm]) = (-momentum * s).cast<T>();
        }
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        const std::int64_t k = layer(step.t());
        const Layer& of = layer_[static_cast<std::size_t>(k)];
        const auto c = step.set(c_, k == 0 ? step.data(model_.b) * t(step.matrix(we_)) : step.state(c_));
        const l2o::layers::Value<T> none, x = k > 0 ? step.x() : none;
        const l2o::layers::Value<T> x_before = k > 1 ? step.state(x_before_) : none;
        auto z = c;
        if (k > 0) z = z + x * t(step.matrix(of.wg)) + x_before * t(step.matrix(of.wm));
        step.set_x(soft(z, step.param(of.theta)));
        step.set(x_before_, x);
    }

  private:
    struct Layer {
        l2o::Param wg, wm, theta;
    };

    l2o::Param we_;
    l2o::State x_before_, c_;
    std::vector<Layer> layer_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<LFista>)
