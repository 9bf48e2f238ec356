#include <l2o/numerics/sparse_product.hpp>

#include "coupled.hpp"

namespace {

using l2o::numerics::add_product, l2o::numerics::add_sparse_product;
using l2o::numerics::matrix;
using l2o::numerics::row;

// Liu, Chen, Wang & Yin 2019, "ALISTA: analytic weights are as good as learned weights in LISTA" (ICLR), with
// the support selection of Chen, Liu, Wang & Yin 2018 (arXiv:1808.10038v2):
//   x_{k+1} = SS(x_k + gamma_k (b - x_k A^T) W, theta_k, q_k), W one matrix for all layers, computed from A.
// Deviation: W is the closed form of numerics/analytic_weight.hpp, not the projected gradient of the paper's
// code, which stops short of the same minimum.
//
// W^T A = diag(d) S with S symmetric, and iterates are sparse. So where S is not much larger than A,
//   (b - x_k A^T) W = c - d (x_k S),   c = b W carried in the state,
// at the cost of a row of S for every non-zero entry. With many more unknowns than measurements it is the two
// products of Coupled.
class Alista : public l2o::plugins::Coupled {
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

    Alista() { support_per_layer = 1.2, support_max = 13; }
    static l2o::Options<Alista> options() {
        l2o::Options<Alista> options = Layers::options<Alista>();
        options.choice(
            "start", &Alista::start, {"analytic", "reference"}, "what the parameters are before training");
        add_support_options(options);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers<Work>(spec);
        if (start == Start::kReference) lambda_ = lambda_of(spec);
        const std::int64_t m = model_.m, n = model_.n;
        w_ = spec.param({.name = "const.W",
                         .doc = "analytic weight of A",
                         .axes = "m,n",
                         .shape = {m, n},
                         .flags = L2O_SPEC_DERIVED});
        has_gram_ = n <= kMostUnknowns * m;
        if (has_gram_) {
            s_ = spec.param({.name = "const.S",
                             .doc = "A^T (A A^T + ridge I)^-1 A",
                             .axes = "n,n",
                             .shape = {n, n},
                             .flags = L2O_SPEC_DERIVED});
            d_ = spec.param(
                {.name = "const.d", .doc = "1 / S_jj", .axes = "n", .shape = {n}, .flags = L2O_SPEC_DERIVED});
            c_ = spec.state({.name = "c", .doc = "b W", .axes = "n", .shape = {n}, .batched = true});
        }
        for (std::int64_t k = 0; k < layers; ++k)
            layer_.push_back({.w = w_, .gamma = declare_gamma(spec, k), .theta = declare_theta(spec, k)});
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>& data, const l2o::ParamsOut<T>& params) const {
        const auto a = matrix(data[model_.a]);
        if (has_gram_) {
            const auto parts = l2o::numerics::analytic_gram(a.template cast<double>(), ridge);
            if (params[w_]) matrix(params[w_]) = parts.w.template cast<T>();
            if (params[s_]) matrix(params[s_]) = parts.gram.template cast<T>();
            if (params[d_]) matrix(as_row(params[d_])) = parts.scale.template cast<T>();
        } else if (params[w_]) {
            matrix(params[w_]) = l2o::numerics::analytic_weight(a, ridge).template cast<T>();
        }
        const double theta_reference =
            start == Start::kReference ? start_lambda(data[lambda_]) / l2o::numerics::lipschitz_constant(a)
                                       : 0;
        for (std::int64_t k = 0; k < layers; ++k) {
            if (const auto gamma = params[layer_[k].gamma])
                gamma.scalar() = T(start == Start::kAnalytic ? gamma_start : 1);
            if (const auto theta = params[layer_[k].theta])
                theta.scalar() = T(start == Start::kAnalytic ? analytic_theta(k) : theta_reference);
        }
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        if (!has_gram_) return Coupled::step(in, out);
        const std::int64_t k = layer(in.t());
        l2o::Scratch scratch(in.call);
        const Work<T> work(scratch, in.batch(), model_);
        const T theta = in.param(layer_[k].theta).scalar();
        const l2o::View<T> x_next = out.x(0);
        if (k == 0) {
            weigh_measurements(in, out.state(c_));
        } else {
            l2o::copy(in.state(c_), out.state(c_));
        }
        correction(in, k, read_only(out.state(c_)), x_next);
        pre_activation(in, k, read_only(x_next), x_next);
        for (std::int64_t r = 0; r < in.batch(); ++r)
            l2o::numerics::support_selection<T>(
                row(x_next, r), theta, percent(k), row(x_next, r), {}, work.magnitudes);
    }

    // With G = bar x_{k+1}, C = bar c behind the step, u = c - d (x_k S) and Z = bar z_k: bar gamma = <Z, u>,
    // bar x_k = Z - gamma (Z d) S, bar c = C + gamma Z.
    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        if (!has_gram_) return Coupled::step_vjp(in, cot, acc);
        const std::int64_t k = layer(in.t()), batch = in.batch();
        const l2o::View<const T> x_next_bar = cot.x(0), c_bar = cot.state(c_);
        const auto add = [](T bar, T& sum) { sum += bar; };
        if (const auto to = acc.state(c_); to && c_bar && k > 0) l2o::each(add, c_bar, to);
        if (!x_next_bar) return;
        const T gamma = in.param(layer_[k].gamma).scalar(), theta = in.param(layer_[k].theta).scalar();
        l2o::Scratch scratch(in.call);
        Work<T> work(scratch, batch, model_);
        const l2o::View<T> u = view_of(work.u), z = view_of(work.z), z_bar = view_of(work.z_bar);
        if (k == 0) {
            weigh_measurements(in, u);
        } else {
            correction(in, k, in.state(c_), u);
        }
        pre_activation(in, k, read_only(u), z);

        double theta_bar = 0;
        for (std::int64_t r = 0; r < batch; ++r) {
            l2o::numerics::support_selection<T>(
                row(z, r), theta, percent(k), row(z_bar, r), work.selected, work.magnitudes);
            theta_bar += l2o::numerics::support_selection_vjp<T>(
                row(z, r), theta, work.selected, row(x_next_bar, r), row(z_bar, r));
        }
        if (const auto to = acc.param(layer_[k].theta)) to.scalar() += T(theta_bar);
        if (const auto to = acc.param(layer_[k].gamma))
            to.scalar() += matrix(z_bar).cwiseProduct(matrix(u)).sum();
        if (k == 0) return;
        if (const auto to = acc.state(c_))
            l2o::each([gamma](T bar, T& sum) { sum += gamma * bar; }, z_bar, to);
        if (const auto to = acc.x(0)) {
            l2o::each(add, z_bar, to);
            for (std::int64_t r = 0; r < batch; ++r)
                l2o::each([](T d, T& bar) { bar *= d; }, as_row(in.param(d_)), row_of(z_bar, r));
            add_sparse_product<T>(matrix(to), -gamma, matrix(z_bar), matrix(in.param(s_)));
        }
    }

  private:
    static constexpr std::int64_t kMostUnknowns = 4;  // per measurement: S is at most so much larger than A

    template <class T>
    static l2o::View<const T> read_only(const l2o::View<T>& v) {
        return {v.data, v.rows, v.cols, v.stride};
    }
    template <class T>
    static l2o::View<T> row_of(const l2o::View<T>& v, std::int64_t r) {
        return {v.row(r), 1, v.cols, v.stride};
    }
    /// A vector [n] as one row.
    template <class T>
    static l2o::View<T> as_row(const l2o::View<T>& v) {
        return {v.data, 1, v.rows, v.rows};
    }
    /// c = b W
    template <class T>
    void weigh_measurements(const l2o::StepIn<T>& in, const l2o::View<T>& c) const {
        l2o::fill(c, 0);
        add_product<T>(matrix(c), 1, matrix(in.data(model_.b)), matrix(in.param(w_)));
    }
    /// u = c - d (x_k S); x_0 = 0 is not multiplied.
    template <class T>
    void correction(const l2o::StepIn<T>& in,
                    std::int64_t k,
                    const l2o::View<const T>& c,
                    const l2o::View<T>& u) const {
        if (k == 0) return l2o::copy(c, u);
        l2o::fill(u, 0);
        add_sparse_product<T>(matrix(u), 1, matrix(in.x(0)), matrix(in.param(s_)));
        for (std::int64_t r = 0; r < in.batch(); ++r)
            l2o::each([](T c_i, T d_i, T& u_i) { u_i = c_i - d_i * u_i; },
                      row_of(c, r),
                      as_row(in.param(d_)),
                      row_of(u, r));
    }
    /// z = x_k + gamma_k u; u may be the memory of z.
    template <class T>
    void pre_activation(const l2o::StepIn<T>& in,
                        std::int64_t k,
                        const l2o::View<const T>& u,
                        const l2o::View<T>& z) const {
        const T gamma = in.param(layer_[k].gamma).scalar();
        if (k == 0) return l2o::each([gamma](T u_i, T& z_i) { z_i = gamma * u_i; }, u, z);
        l2o::each([gamma](T x_i, T u_i, T& z_i) { z_i = x_i + gamma * u_i; }, in.x(0), u, z);
    }

    bool has_gram_ = false;
    l2o::Param w_, s_, d_;
    l2o::State c_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Alista>)
