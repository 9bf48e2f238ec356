#include <l2o/numerics/analytic_weight.hpp>
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

using l2o::numerics::add_product, l2o::numerics::add_product_nt, l2o::numerics::add_product_tn;
using l2o::numerics::matrix;

// Aberdam, Golts & Elad 2021, "Ada-LISTA: learned solvers adaptive to varying models" (IEEE TPAMI): what is
// learned multiplies the A of the problem, and so goes with any other A of as many rows. Rows are instances:
//   x_{k+1} = S(x_k + gamma_k (b W_1 - x_k A^T W_2^T W_2) A, theta_k),   x_0 = 0,
// the paper's x - gamma (W_2 A)^T (W_2 A) x + gamma (W_1 A)^T b.
class AdaLista : public l2o::plugins::Layers {
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
        options
            .choice("start",
                    &AdaLista::start,
                    {"analytic", "ista", "reference"},
                    "what the parameters are before training")
            .choice("threshold",
                    &AdaLista::threshold,
                    {"theta", "eta"},
                    "learned in every layer: theta_k, or eta_k with theta_k = lambda eta_k, as in the paper");
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers<Work>(spec);
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
            add_product_tn<double>(w1, 1, w2, w2);
            gamma = gamma_start;
        } else if (start == Start::kIsta) {
            gamma = 1 / l2o::numerics::lipschitz_constant<T>(a);
        }
        if (const auto to = params[w1_]) matrix(to) = w1.cast<T>();
        if (const auto to = params[w2_]) matrix(to) = w2.cast<T>();
        for (std::int64_t k = 0; k < layers; ++k) {
            if (const auto to = params[gamma_[k]]) to.scalar() = T(gamma);
            const auto to = params[theta_[k]];
            if (!to) continue;
            const bool is_eta = threshold == Threshold::kEta;
            const double lambda = is_eta || start != Start::kAnalytic ? start_lambda(data[lambda_]) : 1;
            const double theta = start == Start::kAnalytic ? analytic_theta(k) : lambda * gamma;
            to.scalar() = T(is_eta ? theta / lambda : theta);
        }
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const std::int64_t k = layer(in.t());
        l2o::Scratch scratch(in.call);
        Work<T> work(scratch, in.batch(), model_);
        auto z = matrix(out.x(0));
        correction(in, k, work, z);
        z *= in.param(gamma_[k]).scalar();
        if (k > 0) z += matrix(in.x(0));
        const T theta = unit<T>(in) * in.param(theta_[k]).scalar();
        l2o::each([theta](T& z_i) { z_i = l2o::numerics::soft_threshold(z_i, theta); }, out.x(0));
    }

    // With Z = bar z and s = b W_1 - y W_2, y = v W_2^T, v = x A^T: bar gamma = <Z, s A>, bar s = gamma Z
    // A^T, bar W_1 = b^T bar s, bar y = -bar s W_2^T, bar W_2 = -y^T bar s + bar y^T v, bar x = Z + bar y W_2
    // A.
    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        const l2o::View<const T> x_next_bar = cot.x(0);
        if (!x_next_bar) return;
        const std::int64_t k = layer(in.t());
        l2o::Scratch scratch(in.call);
        Work<T> work(scratch, in.batch(), model_);
        auto& [v, y, s, y_bar, u, z, z_bar] = work;
        correction(in, k, work, u);
        const T gamma = in.param(gamma_[k]).scalar(), lambda = unit<T>(in);
        z = gamma * u;
        if (k > 0) z += matrix(in.x(0));
        const double theta_bar =
            threshold_vjp<T>(z, lambda * in.param(theta_[k]).scalar(), x_next_bar, z_bar);
        if (const auto to = acc.param(theta_[k])) to.scalar() += lambda * T(theta_bar);
        if (const auto to = acc.param(gamma_[k])) to.scalar() += z_bar.cwiseProduct(u).sum();

        const auto a = matrix(in.data(model_.a)), w2 = matrix(in.param(w2_));
        Rows<T>& s_bar = s;
        s_bar.setZero();
        add_product_nt<T>(s_bar, gamma, z_bar, a);
        if (const auto to = acc.param(w1_))
            add_product_tn<T>(matrix(to), 1, matrix(in.data(model_.b)), s_bar);
        if (k == 0) return;
        y_bar.setZero();
        add_product_nt<T>(y_bar, -1, s_bar, w2);
        if (const auto to = acc.param(w2_)) {
            add_product_tn<T>(matrix(to), -1, y, s_bar);
            add_product_tn<T>(matrix(to), 1, y_bar, v);
        }
        if (const auto to = acc.x(0)) {
            v.setZero();
            add_product<T>(v, 1, y_bar, w2);
            matrix(to) += z_bar;
            add_product<T>(matrix(to), 1, v, a);
        }
    }

  private:
    template <class T>
    struct Work {
        Rows<T> v, y, s, y_bar, u, z, z_bar;

        Work(l2o::Scratch& scratch, std::int64_t batch, const l2o::LinearModel& model)
            : v(take_rows<T>(scratch, batch, model.m)),
              y(take_rows<T>(scratch, batch, model.m)),
              s(take_rows<T>(scratch, batch, model.m)),
              y_bar(take_rows<T>(scratch, batch, model.m)),
              u(take_rows<T>(scratch, batch, model.n)),
              z(take_rows<T>(scratch, batch, model.n)),
              z_bar(take_rows<T>(scratch, batch, model.n)) {}
    };

    /// u = s A; x_0 = 0 is not multiplied.
    template <class T, class Out>
    void correction(const l2o::StepIn<T>& in, std::int64_t k, Work<T>& work, Out& u) const {
        const auto a = matrix(in.data(model_.a)), w2 = matrix(in.param(w2_));
        work.s.setZero();
        add_product<T>(work.s, 1, matrix(in.data(model_.b)), matrix(in.param(w1_)));
        if (k > 0) {
            work.v.setZero(), work.y.setZero();
            add_product_nt<T>(work.v, 1, matrix(in.x(0)), a);
            add_product_nt<T>(work.y, 1, work.v, w2);
            add_product<T>(work.s, -1, work.y, w2);
        }
        u.setZero();
        add_product<T>(u, 1, work.s, a);
    }
    /// What the learned threshold is a multiple of.
    template <class T>
    [[nodiscard]] T unit(const l2o::StepIn<T>& in) const {
        return threshold == Threshold::kEta ? T(start_lambda(in.data(lambda_))) : T(1);
    }

    l2o::Param w1_, w2_;
    std::vector<l2o::Param> gamma_, theta_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<AdaLista>)
