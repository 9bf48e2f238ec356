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

// Gregor & LeCun 2010, "Learning fast approximations of sparse coding", section 3; the untied form, with an S
// of its own in every layer, of Chen, Liu, Wang & Yin 2018, equation 4 (arXiv:1808.10038v2). Rows are
// instances:
//   z_k = b B^T + x_k S_k^T,   x_{k+1} = sign(z_k) max(|z_k| - theta_k, 0).
// c = b B^T is computed in the first layer and carried in the state. x_0 = 0, so there is no S_0. A threshold
// is free: it may be learned to be negative.
class Lista : public l2o::plugins::Layers {
  public:
    static constexpr l2o::About about{
        .id = "lista",
        .version = "1.0.0",
        .title = "LISTA: learned ISTA, one matrix per layer",
        .doc =
            "x <- S(B b + S_k x, theta_k), S the soft threshold; learns B, S_k and theta_k. Start "
            "'analytic': B = W^T with the analytic weight W of ALISTA, S_k = I - B A, theta_k = "
            "theta_first theta_ratio^k; start 'ista': B = A^T / L, theta = lambda / L, with which it "
            "is ISTA exactly. Gregor & LeCun 2010, section 3; untied form of Chen, Liu, Wang & Yin "
            "2018, equation 4.",
        .needs = "A,b,lambda?"};

    enum class Start { kAnalytic, kIsta };
    Start start = Start::kAnalytic;

    // Untrained, after 16 layers on sparse_recovery at (256, 512): start analytic -30.7 dB with this ratio,
    // start ista -5.3 dB.
    Lista() { theta_ratio = 0.75; }
    static l2o::Options<Lista> options() {
        l2o::Options<Lista> options = Layers::options<Lista>();
        options.choice(
            "start", &Lista::start, {"analytic", "ista"}, "what the parameters are before training");
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers<Work>(spec);
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
        add_product<double>(s, -1, b, a);
        if (params[b_]) matrix(params[b_]) = b.cast<T>();
        for (std::int64_t k = 0; k < layers; ++k) {
            if (k > 0 && params[s_[k]]) matrix(params[s_[k]]) = s.cast<T>();
            if (params[theta_[k]])
                params[theta_[k]].scalar() = T(start == Start::kIsta ? theta_ista : analytic_theta(k));
        }
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const std::int64_t k = layer(in.t());
        const T theta = in.param(theta_[k]).scalar();
        if (k == 0)
            weigh_measurements(in, matrix(out.state(c_)));
        else
            l2o::copy(in.state(c_), out.state(c_));
        pre_activation(in, k, out.state(c_), matrix(out.x(0)));
        l2o::each([theta](T& z) { z = l2o::numerics::soft_threshold(z, theta); }, out.x(0));
    }

    // With G = bar x_{k+1}, C = bar c behind the step and Z = G [x_{k+1} != 0]: bar theta_k = -<G, sign
    // x_{k+1}>, bar S_k = Z^T x_k, bar x_k = Z S_k, bar c = C + Z, and in the first layer bar B = (C + Z)^T
    // b.
    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        const std::int64_t k = layer(in.t());
        l2o::Scratch scratch(in.call);
        Work<T> work(scratch, in.batch(), model_);
        Rows<T>& z_bar = work.z_bar;
        const l2o::View<const T> x_next_bar = cot.x(0), c_bar = cot.state(c_);
        z_bar.setZero();
        if (x_next_bar) {
            const T theta = in.param(theta_[k]).scalar();
            const double theta_bar = threshold_vjp<T>(in.x_out(0), theta, x_next_bar, work, [&](Rows<T>& z) {
                if (k == 0)
                    weigh_measurements(in, z);
                else
                    pre_activation(in, k, in.state(c_), z);
            });
            if (const auto to = acc.param(theta_[k])) to.scalar() += T(theta_bar);
            if (k > 0) {
                if (const auto to = acc.param(s_[k]))
                    add_product_tn<T>(matrix(to), 1, z_bar, matrix(in.x(0)));
                if (const auto to = acc.x(0)) add_product<T>(matrix(to), 1, z_bar, matrix(in.param(s_[k])));
            }
        }
        if (c_bar) z_bar += matrix(c_bar);
        if (k > 0) {
            if (const auto to = acc.state(c_)) matrix(to) += z_bar;
        } else if (const auto to = acc.param(b_)) {
            add_product_tn<T>(matrix(to), 1, z_bar, matrix(in.data(model_.b)));
        }
    }

  private:
    /// c = b B^T
    template <class T, class Out>
    void weigh_measurements(const l2o::StepIn<T>& in, Out&& c) const {
        c.setZero();
        add_product_nt<T>(c, 1, matrix(in.data(model_.b)), matrix(in.param(b_)));
    }
    template <class T, class C, class Out>
    void pre_activation(const l2o::StepIn<T>& in, std::int64_t k, const C& c, Out&& z) const {
        z = matrix(c);
        if (k > 0) add_product_nt<T>(z, 1, matrix(in.x(0)), matrix(in.param(s_[k])));
    }

    l2o::Param b_;
    l2o::State c_;
    std::vector<l2o::Param> s_, theta_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Lista>)
