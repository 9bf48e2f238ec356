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
class HyperLista : public l2o::plugins::Coupled {
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
            .real("c_p", &HyperLista::c_p, "c_p, which stays what it is", l2o::kNonNegative)
            .real("ridge",
                  &HyperLista::ridge,
                  "added to the diagonal of A A^T in W; needed if A has dependent rows",
                  l2o::kNonNegative);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers<Work>(spec);
        spec.info.max_steps = 0;
        const std::int64_t m = model_.m, n = model_.n;
        const auto buffer = [&](const char* name, const char* doc, const char* axes, l2o::Shape shape) {
            return spec.param({.name = name,
                               .doc = doc,
                               .axes = axes,
                               .shape = std::move(shape),
                               .flags = L2O_SPEC_DERIVED});
        };
        layer_.push_back({.w = buffer("const.W", "weight of the residual", "m,n", {m, n})});
        pinv_ = buffer("const.pinv", "A+", "n,m", {n, m});
        layer_[0].theta = spec.param({.name = "c_theta", .doc = "of the thresholds"});
        c_beta_ = spec.param({.name = "c_beta", .doc = "of the momenta"});
        c_p_ = spec.param({.name = "c_p", .doc = "of the shares left alone; has no derivative"});
        before_ = spec.state_like_x("x_before", "x_{k-1}")[0];
        nonzeros_ = spec.state({.name = "nonzeros", .doc = "|x_k|_0", .batched = true});
        size_ = spec.state({.name = "size", .doc = "|b A+^T|_1", .batched = true});
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
        if (const auto to = params[layer_[0].theta]) to.scalar() = T(c_theta_times_n / double(model_.n));
        if (const auto to = params[c_beta_]) to.scalar() = T(c_beta_times_n / double(model_.n));
        if (const auto to = params[c_p_]) to.scalar() = T(c_p);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        l2o::Scratch scratch(in.call);
        Work<T> work(scratch, in.batch(), model_);
        auto z = matrix(out.x(0));
        before_threshold(in, work, z);
        for (std::int64_t r = 0; r < in.batch(); ++r) {
            const auto [theta, beta, share, size] = rule(in, r, work.error);
            const auto z_row = l2o::numerics::row(out.x(0), r);
            l2o::numerics::support_selection<T>(z_row, theta, kRule, share, z_row, {}, work.magnitudes);
            out.state(nonzeros_)[r] = T(z_row.size() - std::size_t(std::ranges::count(z_row, T(0))));
            out.state(size_)[r] = size;
        }
        if (in.t() > 0)
            copy(in.x(0), out.state(before_));
        else
            fill(out.state(before_), 0);
    }

    // With Z = bar of what goes into SS, t = bar theta_k: bar c_theta = sum t |r A+^T|_1, bar c_beta = sum
    // |x_k|_0 <Z, x_k - x_{k-1}>, bar r = Z W^T + c_theta t sign(r A+^T) A+, bar x_k = (1 + beta) Z - bar r
    // A, bar x_{k-1} = -beta Z.
    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        const std::int64_t batch = in.batch(), n = model_.n;
        const l2o::View<T> x_bar = in.t() > 0 ? acc.x(0) : l2o::View<T>{};
        if (in.t() > 0) {
            if (x_bar && cot.state(before_)) matrix(x_bar) += matrix(cot.state(before_));
            if (acc.state(size_) && cot.state(size_)) matrix(acc.state(size_)) += matrix(cot.state(size_));
        }
        const l2o::View<const T> x_next_bar = cot.x(0);
        if (!x_next_bar) return;
        l2o::Scratch scratch(in.call);
        Work<T> work(scratch, batch, model_);
        before_threshold(in, work, work.z);

        const T c_theta_now = in.param(layer_[0].theta).scalar(), c_beta_now = in.param(c_beta_).scalar();
        double c_theta_bar = 0, c_beta_bar = 0;
        for (std::int64_t r = 0; r < batch; ++r) {
            const auto [theta, beta, share, size] = rule(in, r, work.error);
            const std::span<T> z = row_of(work.z, r), z_bar = row_of(work.z_bar, r);
            l2o::numerics::support_selection<T>(
                z, theta, kRule, share, z_bar, work.selected, work.magnitudes);
            const double theta_bar = l2o::numerics::support_selection_vjp<T>(
                z, theta, work.selected, l2o::numerics::row(x_next_bar, r), z_bar);
            c_theta_bar += theta_bar * double(work.error.row(r).template lpNorm<1>());
            work.error.row(r) = T(theta_bar) * c_theta_now * work.error.row(r).array().sign();
            if (in.t() == 0) continue;
            const auto x = l2o::numerics::row_vector(in.x(0).row(r), n);
            const T beta_bar =
                work.z_bar.row(r).dot(x - l2o::numerics::row_vector(in.state(before_).row(r), n));
            c_beta_bar += double(beta_bar * in.state(nonzeros_)[r]);
            if (const auto to = acc.state(nonzeros_)) to[r] += c_beta_now * beta_bar;
            if (x_bar) matrix(x_bar).row(r) += beta * work.z_bar.row(r);
            if (const auto to = acc.state(before_)) matrix(to).row(r) -= beta * work.z_bar.row(r);
        }
        if (const auto to = acc.param(layer_[0].theta)) to.scalar() += T(c_theta_bar);
        if (const auto to = acc.param(c_beta_)) to.scalar() += T(c_beta_bar);
        work.residual_bar.setZero();
        l2o::numerics::add_product<T>(work.residual_bar, 1, work.error, matrix(in.param(pinv_)));
        correction_vjp(in, 0, work, acc, x_bar, &work.residual_bar);
    }

  private:
    static constexpr auto kRule = l2o::numerics::SupportRule::kQuantile;
    template <class T>
    struct Rule {
        T theta, beta;
        double share;
        T size;  // |b A+^T|_1
    };
    template <class T>
    struct Work : Coupled::Work<T> {
        Rows<T> error, residual_bar;

        Work(l2o::Scratch& scratch, std::int64_t batch, const l2o::LinearModel& model)
            : Coupled::Work<T>(scratch, batch, model),
              error(take_rows<T>(scratch, batch, model.n)),
              residual_bar(take_rows<T>(scratch, batch, model.m)) {}
    };

    /// work.residual = r_k, u = r_k W, error = r_k A+^T, z = what goes into SS. x_0 = x_{-1} = 0 are not
    /// looked at.
    template <class T, class Out>
    void before_threshold(const l2o::StepIn<T>& in, Work<T>& work, Out& z) const {
        const l2o::View<const T> x = point(in, in.t());
        correction(in, 0, x, work.residual, work.u);
        pre_activation(in, 0, x, work.u, z);
        work.error.setZero();
        l2o::numerics::add_product_nt<T>(work.error, 1, work.residual, matrix(in.param(pinv_)));
        if (!x) return;
        for (std::int64_t r = 0; r < in.batch(); ++r)
            z.row(r) += beta(in, r) * (matrix(x).row(r) - matrix(in.state(before_)).row(r));
    }
    template <class T>
    T beta(const l2o::StepIn<T>& in, std::int64_t r) const {
        return in.t() > 0 ? in.param(c_beta_).scalar() * in.state(nonzeros_)[r] : T(0);
    }
    template <class T>
    Rule<T> rule(const l2o::StepIn<T>& in, std::int64_t r, const Rows<T>& error) const {
        const T left = error.row(r).template lpNorm<1>(), size = in.t() > 0 ? in.state(size_)[r] : left;
        // 1e-20, as in the authors' code: a row with b = 0 has the quotient 1.
        const double ratio = (double(size) + 1e-20) / (double(left) + 1e-20);
        return {in.param(layer_[0].theta).scalar() * left,
                beta(in, r),
                std::clamp(double(in.param(c_p_).scalar()) * std::log(ratio), 0.0, 1.0),
                size};
    }

    l2o::Param pinv_, c_beta_, c_p_;
    l2o::State before_, nonzeros_, size_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<HyperLista>)
