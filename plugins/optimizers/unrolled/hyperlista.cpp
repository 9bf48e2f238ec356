#include <l2o/numerics/pseudo_inverse.hpp>

#include "coupled.hpp"

namespace {

using l2o::numerics::matrix;

// Chen, Liu, Wang & Yin 2021, "Hyperparameter tuning is all you need for LISTA" (NeurIPS, arXiv:2110.15900):
// ALISTA with momentum, whose thresholds, momenta and selections follow from the iterate by three numbers for
// all layers. Rows are instances, r_k = b - x_k A^T, A+ the pseudo-inverse, gamma = 1:
//   theta_k = c_theta |r_k A+^T|_1,   beta_k = c_beta |x_k|_0,
//   p_k = min(max(c_p ln(|b A+^T|_1 / |r_k A+^T|_1), 0), 1), a share of the entries,
//   x_{k+1} = SS(x_k + r_k W + beta_k (x_k - x_{k-1}), theta_k, p_k),   x_0 = x_{-1} = 0.
// p_k only picks how many entries SS leaves alone, so c_p has no derivative: it is searched, not trained.
// |x_k|_0 is computed with x_k and kept in the state: it is piecewise constant, and has none either.
class HyperLista : public l2o::plugins::Coupled, public l2o::layers::Layered<HyperLista> {
  public:
    static constexpr l2o::About about{
        .id = "hyperlista",
        .version = "1.0.0",
        .title = "HyperLISTA: ALISTA with momentum, three numbers for all layers",
        .doc =
            "x <- SS(x + W^T r + beta (x - x_before), theta), r = b - A x, theta = c_theta ||A+ r||_1, beta "
            "= c_beta ||x||_0; SS leaves the share p = c_p ln(||A+ b||_1 / ||A+ r||_1) of the entries "
            "alone. W and A+ are computed from A; c_theta and c_beta are learned; c_p has no derivative "
            "and is searched, by contestants with different start values. Chen, Liu, Wang & Yin 2021 "
            "(arXiv:2110.15900).",
        .needs = "A,b"};

    enum class Weight { kAnalytic, kSymmetric };
    Weight weight = Weight::kAnalytic;
    // Chosen on sparse_recovery at (256, 512), 2 x 2,048 training instances of two matrices A, 16 steps: of
    // the grid c_theta 0.012 .. 0.015, c_beta 0.003 .. 0.005, c_p 0.15 .. 0.25 (4 x 5 x 3, inside a coarser
    // one of 150) the triple 0.014, 0.0035, 0.2 has the best pooled NMSE, -90 and -91 dB; -85 to -88 dB on
    // other instances of three other matrices. |A+ r|_1 and |x|_0 grow with n, so both go with 1 / n: the
    // same 7.2 / n and 1.8 / n give -101 dB at (512, 1024), -88 dB at (250, 500).
    double c_theta_times_n = 7.2, c_beta_times_n = 1.8, c_p = 0.2;

    static l2o::Options<HyperLista> options() {
        l2o::Options<HyperLista> options;
        options
            .choice(
                "weight",
                &HyperLista::weight,
                {"analytic", "symmetric"},
                "that of ALISTA; or M A, M = G^T G chosen so that G A has unit columns of low coherence, for "
                "A of unit columns")
            .real("c_theta_times_n",
                  &HyperLista::c_theta_times_n,
                  "c_theta starts at this / n",
                  l2o::kNonNegative)
            .real(
                "c_beta_times_n", &HyperLista::c_beta_times_n, "c_beta starts at this / n", l2o::kNonNegative)
            .real("c_p", &HyperLista::c_p, "c_p, which stays what it is", l2o::kNonNegative);
        add_ridge_option(options);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers(spec);
        spec.info.max_steps = 0;
        const std::int64_t m = model_.m, n = model_.n;
        layer_.push_back({.w = derived(spec, "const.W", "weight of the residual", "m,n", {m, n})});
        pinv_ = derived(spec, "const.pinv", "A+", "n,m", {n, m});
        layer_[0].theta = spec.param({.name = "c_theta", .doc = "of the thresholds"});
        c_beta_ = spec.param({.name = "c_beta", .doc = "of the momenta"});
        c_p_ = spec.param({.name = "c_p", .doc = "of the shares left alone; has no derivative"});
        before_ = spec.state_like_x("x_before", "x_{k-1}")[0];
        nonzeros_ = spec.state({.name = "nonzeros", .doc = "|x_k|_0", .batched = true});
        size_ = spec.state({.name = "size", .doc = "|b A+^T|_1", .batched = true});
        measure(spec);
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>& data, const l2o::ParamsOut<T>& params) const {
        using Matrix = l2o::numerics::RowMatrix<double>;
        const Matrix a = matrix(data[model_.a]).template cast<double>();
        if (const auto to = params[layer_[0].w]) {
            Matrix w = Matrix::Zero(a.rows(), a.cols());
            if (weight == Weight::kAnalytic) {
                w = l2o::numerics::analytic_weight(a, ridge);
            } else {
                const Matrix g = l2o::numerics::symmetric_transform(a, ridge);
                Matrix g_a = w;
                l2o::numerics::add_product<double>(g_a, 1, g, a);
                l2o::numerics::add_product_tn<double>(w, 1, g, g_a);
            }
            matrix(to) = w.cast<T>();
        }
        if (const auto to = params[pinv_]) matrix(to) = l2o::numerics::pseudo_inverse(a).cast<T>();
        set(params, layer_[0].theta, c_theta_times_n / double(model_.n));
        set(params, c_beta_, c_beta_times_n / double(model_.n));
        set(params, c_p_, c_p);
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        using std::abs, std::clamp, std::log;
        const auto x = step.t() > 0 ? step.x() : l2o::layers::Value<T>{};
        const auto r = residual(step, x);
        const auto left = row_sum([](auto e) { return abs(e); }, r * t(step.matrix(pinv_)));
        const auto size = step.set(size_, step.t() > 0 ? step.state(size_) : stopped(left));
        const auto product = [](auto a, auto b) { return a * b; };
        // 1e-20, as in the authors' code: a row with b = 0 has the quotient 1.
        const auto share = [](auto c, auto of_b, auto of_r) {
            return clamp(c * log((of_b + T(1e-20)) / (of_r + T(1e-20))), T(0), T(1));
        };
        const auto p = stopped(map(share, step.param(c_p_), size, left));
        const auto theta = map(product, step.param(layer_[0].theta), left);
        auto z = x + r * step.matrix(layer_[0].w);
        if (step.t() > 0) {
            const auto beta = map(product, step.param(c_beta_), step.state(nonzeros_));
            const auto momentum = [](auto z_i, auto b, auto x_i, auto before) {
                return z_i + b * (x_i - before);
            };
            z = map(momentum, z, beta, x, step.state(before_));
        }
        constexpr auto kQuantile = l2o::numerics::SupportRule::kQuantile;
        const auto x_next = step.set_x(select(z, theta, {.rule = kQuantile, .amounts = p}));
        const auto is_nonzero = [](auto x_i) { return decltype(x_i)(T(x_i > 0 || x_i < 0)); };
        step.set(nonzeros_, stopped(row_sum(is_nonzero, x_next)));
        step.set(before_, x);
    }

  private:
    l2o::Param pinv_, c_beta_, c_p_;
    l2o::State before_, nonzeros_, size_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<HyperLista>)
