#include <cmath>
#include <l2o/numerics/dense.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <l2o/numerics/soft_threshold.hpp>
#include <l2o/numerics/view.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>
#include <vector>

#include "layers.hpp"

namespace {

using l2o::numerics::add_product, l2o::numerics::add_product_nt, l2o::numerics::add_product_tn;
using l2o::numerics::matrix;

// Moreau & Bruna 2017, "Understanding trainable sparse coding via matrix factorization" (ICLR), L-FISTA, as
// Chen et al. 2021 (arXiv:2103.12828) train it. Rows are instances:
//   x_{k+1} = S(b We^T + x_k Wg_k^T + x_{k-1} Wm_k^T, theta_k),   x_0 = x_{-1} = 0.
// c = b We^T is computed in the first layer and carried in the state.
class LFista : public l2o::plugins::Layers {
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
        options.choice("start",
                       &LFista::start,
                       {"analytic", "fista", "reference"},
                       "what the parameters are before training");
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers<Work>(spec);
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
        add_product<double>(s, -1, we, a);
        if (params[we_]) matrix(params[we_]) = we.cast<T>();
        double t = 1;  // Beck & Teboulle 2009: t_1 = 1
        for (std::int64_t k = 0; k < layers; ++k) {
            const Layer& layer = layer_[k];
            if (params[layer.theta])
                params[layer.theta].scalar() = T(start == Start::kAnalytic ? analytic_theta(k) : theta);
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
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const std::int64_t k = layer(in.t());
        const T theta = in.param(layer_[k].theta).scalar();
        auto z = matrix(out.x(0));
        if (k == 0)
            weigh_measurements(in, matrix(out.state(c_)));
        else
            l2o::copy(in.state(c_), out.state(c_));
        pre_activation(in, k, out.state(c_), z);
        l2o::each([theta](T& z_i) { z_i = l2o::numerics::soft_threshold(z_i, theta); }, out.x(0));
        if (k == 0)
            l2o::fill(out.state(x_before_), 0);
        else
            l2o::copy(in.x(0), out.state(x_before_));
    }

    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        const std::int64_t k = layer(in.t());
        if (const auto kept = cot.state(x_before_); kept && k > 0)
            if (const auto to = acc.x(0)) matrix(to) += matrix(kept);
        const l2o::View<const T> x_next_bar = cot.x(0), c_bar = cot.state(c_);
        l2o::Scratch scratch(in.call);
        Work<T> work(scratch, in.batch(), model_);
        Rows<T>& z_bar = work.z_bar;
        z_bar.setZero();
        if (x_next_bar) {
            const T theta = in.param(layer_[k].theta).scalar();
            const double theta_bar = threshold_vjp<T>(in.x_out(0), theta, x_next_bar, work, [&](Rows<T>& z) {
                if (k == 0)
                    weigh_measurements(in, z);
                else
                    pre_activation(in, k, in.state(c_), z);
            });
            if (const auto to = acc.param(layer_[k].theta)) to.scalar() += T(theta_bar);
            if (k > 0) product_vjp<T>(in, z_bar, in.x(0), layer_[k].wg, acc, acc.x(0));
            if (k > 1)
                product_vjp<T>(in, z_bar, in.state(x_before_), layer_[k].wm, acc, acc.state(x_before_));
        }
        if (c_bar) z_bar += matrix(c_bar);
        if (k > 0) {
            if (const auto to = acc.state(c_)) matrix(to) += z_bar;
        } else if (const auto to = acc.param(we_)) {
            add_product_tn<T>(matrix(to), 1, z_bar, matrix(in.data(model_.b)));
        }
    }

  private:
    struct Layer {
        l2o::Param wg, wm, theta;
    };

    /// c = b We^T
    template <class T, class Out>
    void weigh_measurements(const l2o::StepIn<T>& in, Out&& c) const {
        c.setZero();
        add_product_nt<T>(c, 1, matrix(in.data(model_.b)), matrix(in.param(we_)));
    }
    /// x_0 = x_{-1} = 0 are not multiplied.
    template <class T, class C, class Z>
    void pre_activation(const l2o::StepIn<T>& in, std::int64_t k, const C& c, Z& z) const {
        z = matrix(c);
        if (k > 0) add_product_nt<T>(z, 1, matrix(in.x(0)), matrix(in.param(layer_[k].wg)));
        if (k > 1) add_product_nt<T>(z, 1, matrix(in.state(x_before_)), matrix(in.param(layer_[k].wm)));
    }
    /// Back through y W^T: bar W += Z^T y, bar y += Z W.
    template <class T>
    static void product_vjp(const l2o::StepIn<T>& in,
                            const Rows<T>& z_bar,
                            const l2o::View<const T>& y,
                            const l2o::Param& w,
                            const l2o::StepAcc<T>& acc,
                            const l2o::View<T>& y_bar) {
        if (const auto to = acc.param(w)) add_product_tn<T>(matrix(to), 1, z_bar, matrix(y));
        if (y_bar) add_product<T>(matrix(y_bar), 1, z_bar, matrix(in.param(w)));
    }

    l2o::Param we_;
    l2o::State x_before_, c_;
    std::vector<Layer> layer_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<LFista>)
