#include <l2o/numerics/dense.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <l2o/numerics/soft_threshold.hpp>
#include <l2o/numerics/view.hpp>
#include <l2o/sdk/linear_model.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>
#include <vector>

#include "layers.hpp"

namespace {

using l2o::numerics::add_product, l2o::numerics::add_product_nt;
using l2o::numerics::matrix;

// Ablin, Moreau, Massias & Gramfort 2019, "Learning step sizes for unfolded sparse coding" (NeurIPS): ISTA
// whose step is learned, and its threshold with it. Rows are instances, u_k = (b - x_k A^T) A:
//   x_{k+1} = S(x_k + gamma_k u_k, lambda gamma_k).
class StepLista : public l2o::plugins::Layers {
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
        declare_layers<Work>(spec);
        lambda_ = lambda_of(spec);
        for (std::int64_t k = 0; k < layers; ++k) gamma_.push_back(declare_gamma(spec, k));
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>& data, const l2o::ParamsOut<T>& params) const {
        const double l = l2o::numerics::lipschitz_constant<T>(matrix(data[model_.a]));
        for (const l2o::Param& gamma : gamma_)
            if (params[gamma]) params[gamma].scalar() = T(1 / l);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const std::int64_t k = layer(in.t());
        l2o::Scratch scratch(in.call);
        Work<T> work(scratch, in.batch(), model_);
        const T gamma = in.param(gamma_[k]).scalar(), theta = T(start_lambda(in.data(lambda_))) * gamma;
        auto z = matrix(out.x(0));
        correction(in, k, work.residual, z);
        z *= gamma;
        if (k > 0) z += matrix(in.x(0));
        l2o::each([theta](T& z_i) { z_i = l2o::numerics::soft_threshold(z_i, theta); }, out.x(0));
    }

    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        const l2o::View<const T> x_next_bar = cot.x(0);
        if (!x_next_bar) return;
        const std::int64_t k = layer(in.t());
        l2o::Scratch scratch(in.call);
        Work<T> work(scratch, in.batch(), model_);
        auto& [residual, u, z, z_bar] = work;
        const T lambda = T(start_lambda(in.data(lambda_))), gamma = in.param(gamma_[k]).scalar();
        correction(in, k, residual, u);
        z = gamma * u;
        if (k > 0) z += matrix(in.x(0));
        const double theta_bar = threshold_vjp<T>(z, lambda * gamma, x_next_bar, z_bar);
        if (const auto to = acc.param(gamma_[k]))
            to.scalar() += z_bar.cwiseProduct(u).sum() + lambda * T(theta_bar);
        if (k == 0) return;
        if (const auto to = acc.x(0)) {
            residual.setZero();
            add_product_nt<T>(residual, 1, z_bar, matrix(in.data(model_.a)));
            matrix(to) += z_bar;
            add_product<T>(matrix(to), -gamma, residual, matrix(in.data(model_.a)));
        }
    }

  private:
    template <class T>
    struct Work {
        Rows<T> residual, u, z, z_bar;

        Work(l2o::Scratch& scratch, std::int64_t batch, const l2o::LinearModel& model)
            : residual(take_rows<T>(scratch, batch, model.m)),
              u(take_rows<T>(scratch, batch, model.n)),
              z(take_rows<T>(scratch, batch, model.n)),
              z_bar(take_rows<T>(scratch, batch, model.n)) {}
    };

    /// u = (b - x_k A^T) A; x_0 = 0 is not multiplied.
    template <class T, class Out>
    void correction(const l2o::StepIn<T>& in, std::int64_t k, Rows<T>& residual, Out& u) const {
        residual = matrix(in.data(model_.b));
        if (k > 0) add_product_nt<T>(residual, -1, matrix(in.x(0)), matrix(in.data(model_.a)));
        u.setZero();
        add_product<T>(u, 1, residual, matrix(in.data(model_.a)));
    }

    std::vector<l2o::Param> gamma_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<StepLista>)
