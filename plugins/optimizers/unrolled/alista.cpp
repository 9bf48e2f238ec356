#include <l2o/numerics/analytic_weight.hpp>
#include <l2o/numerics/dense.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <l2o/numerics/support_selection.hpp>
#include <l2o/numerics/view.hpp>
#include <l2o/sdk/linear_model.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>
#include <vector>

#include "layers.hpp"

namespace {

using l2o::numerics::matrix;
template <class T>
using Rows = Eigen::Map<l2o::numerics::RowMatrix<T>>;
using l2o::numerics::add_product, l2o::numerics::add_product_nt;

// Liu, Chen, Wang & Yin 2019, "ALISTA: analytic weights are as good as learned weights in LISTA" (ICLR), with
// the support selection of Chen, Liu, Wang & Yin 2018 (arXiv:1808.10038v2). Rows are instances:
//   r_k = b - x_k A^T,   z_k = x_k + gamma_k r_k W,   x_{k+1} = SS(z_k, theta_k, q_k).
// Deviation: W is the closed form of numerics/analytic_weight.hpp, not the projected gradient of the paper's
// code, which stops short of the same minimum.
class Alista : public l2o::plugins::Layers {
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
    double support_per_layer = 1.2, support_max = 13;

    static l2o::Options<Alista> options() {
        l2o::Options<Alista> options = Layers::options<Alista>();
        options
            .choice(
                "start", &Alista::start, {"analytic", "reference"}, "what the parameters are before training")
            .real("support_per_layer",
                  &Alista::support_per_layer,
                  "percent of the entries that every layer adds to those it leaves alone",
                  l2o::between(0, 100))
            .real(
                "support_max", &Alista::support_max, "upper bound of that percentage", l2o::between(0, 100));
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        model_ = l2o::linear_model(spec);
        if (start == Start::kReference) need_lambda(spec.data(kLambda));
        declare_layers(spec);
        const auto [m, n] = model_;
        w_ = spec.param({.name = "const.W",
                         .doc = "analytic weight of A",
                         .axes = "m,n",
                         .shape = {m, n},
                         .role = L2O_PARAM_BUFFER});
        for (std::int64_t k = 0; k < layers; ++k) {
            const auto layer = static_cast<std::int32_t>(k);
            gamma_.push_back(spec.param({.name = layer_name(k, "gamma"), .doc = "step", .layer = layer}));
            theta_.push_back(
                spec.param({.name = layer_name(k, "theta"), .doc = "threshold", .layer = layer}));
        }
        l2o::Scratch fixed, row;
        fixed.take<double>(n), fixed.take<std::uint8_t>(n);
        row.take<double>(m), row.take<double>(n), row.take<double>(n), row.take<double>(n);
        spec.info.scratch_fixed = fixed.bytes();
        spec.info.scratch_per_row = row.bytes();
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
            if (params[gamma_[k]]) params[gamma_[k]].scalar() = 1;
            if (params[theta_[k]])
                params[theta_[k]].scalar() =
                    T(start == Start::kAnalytic ? analytic_theta(k) : theta_reference);
        }
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const std::int64_t k = layer(in.t());
        l2o::Scratch scratch(in.call);
        Workspace<T> w(scratch, in.batch(), model_);
        const l2o::View<T> x_next = out.x(0);
        auto z = matrix(x_next);
        residual_product(in, k, w, z);
        const T gamma = in.param(gamma_[k]).scalar();
        if (k == 0)
            z *= gamma;
        else
            z = matrix(in.x(0)) + gamma * z;
        for (std::int64_t r = 0; r < in.batch(); ++r)
            l2o::numerics::support_selection<T>(l2o::numerics::row(x_next, r),
                                                in.param(theta_[k]).scalar(),
                                                percent(k),
                                                l2o::numerics::row(x_next, r),
                                                {},
                                                w.magnitudes);
    }

    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        const l2o::View<const T> x_next_bar = cot.x(0);
        if (!x_next_bar) return;
        const std::int64_t k = layer(in.t()), batch = in.batch(), n = model_.n;
        const T gamma = in.param(gamma_[k]).scalar(), theta = in.param(theta_[k]).scalar();
        l2o::Scratch scratch(in.call);
        Workspace<T> w(scratch, batch, model_);
        Rows<T> u(scratch.take<T>(batch * n), batch, n), z(scratch.take<T>(batch * n), batch, n);
        Rows<T> z_bar(scratch.take<T>(batch * n), batch, n);
        const std::span selected(scratch.take<std::uint8_t>(n), std::size_t(n));
        residual_product(in, k, w, u);
        z = gamma * u;
        if (k > 0) z += matrix(in.x(0));

        double theta_bar = 0;
        for (std::int64_t r = 0; r < batch; ++r) {
            const std::span<const T> z_row(z.row(r).data(), std::size_t(n));
            const std::span<T> z_bar_row(z_bar.row(r).data(), std::size_t(n));
            l2o::numerics::support_selection<T>(z_row, theta, percent(k), z_bar_row, selected, w.magnitudes);
            theta_bar += l2o::numerics::support_selection_vjp<T>(
                z_row, theta, selected, l2o::numerics::row(x_next_bar, r), z_bar_row);
        }
        if (const auto to = acc.param(theta_[k])) to.scalar() += T(theta_bar);
        if (const auto to = acc.param(gamma_[k])) to.scalar() += z_bar.cwiseProduct(u).sum();
        if (k == 0) return;
        if (const auto to = acc.x(0)) {
            w.residual.setZero();
            add_product_nt<T>(w.residual, 1, z_bar, matrix(in.param(w_)));
            matrix(to) += z_bar;
            add_product<T>(matrix(to), -gamma, w.residual, matrix(in.data(kA)));
        }
    }

  private:
    enum Need { kA, kB, kLambda };

    template <class T>
    struct Workspace {
        Workspace(l2o::Scratch& scratch, std::int64_t batch, const l2o::LinearModel& model)
            : magnitudes(scratch.take<T>(model.n), std::size_t(model.n)),
              residual(scratch.take<T>(batch * model.m), batch, model.m) {}
        std::span<T> magnitudes;
        Rows<T> residual;
    };

    /// u = (b - x_k A^T) W; x_0 = 0 is not multiplied.
    template <class T, class Out>
    void residual_product(const l2o::StepIn<T>& in, std::int64_t k, Workspace<T>& w, Out&& u) const {
        w.residual = matrix(in.data(kB));
        if (k > 0) add_product_nt<T>(w.residual, -1, matrix(in.x(0)), matrix(in.data(kA)));
        u.setZero();
        add_product<T>(u, 1, w.residual, matrix(in.param(w_)));
    }
    [[nodiscard]] double percent(std::int64_t k) const {
        return l2o::numerics::support_percent(k, support_per_layer, support_max);
    }

    l2o::LinearModel model_;
    std::size_t w_ = 0;
    std::vector<std::size_t> gamma_, theta_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Alista>)
