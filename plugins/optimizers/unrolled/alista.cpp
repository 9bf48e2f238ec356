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
// W^T A = diag(d) S with S symmetric, and iterates are sparse. So where S is not much larger than A, the
// state carries c = b W and the correction u_k = (b - x_k A^T) W = c - d (x_k S), at the cost of a row of S
// for every non-zero entry; no product is done twice on the way back. With many more unknowns than
// measurements it is the two products of Coupled.
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
        declare_coupled(spec);
        if (start == Start::kReference) need_lambda(spec.data(kLambda));
        const auto [m, n] = model_;
        w_ = spec.param({.name = "const.W",
                         .doc = "analytic weight of A",
                         .axes = "m,n",
                         .shape = {m, n},
                         .role = L2O_PARAM_BUFFER});
        has_gram_ = n <= kMostUnknowns * m;
        if (has_gram_) {
            s_ = spec.param({.name = "const.S",
                             .doc = "A^T (A A^T + ridge I)^-1 A",
                             .axes = "n,n",
                             .shape = {n, n},
                             .role = L2O_PARAM_BUFFER});
            d_ = spec.param(
                {.name = "const.d", .doc = "1 / S_jj", .axes = "n", .shape = {n}, .role = L2O_PARAM_BUFFER});
            c_ = spec.state({.name = "c", .doc = "b W", .axes = "n", .shape = {n}, .batched = true});
            u_ = spec.state({.name = "u", .doc = "(b - A x) W", .axes = "n", .shape = {n}, .batched = true});
            l2o::Scratch more;
            more.take<double>(n);
            spec.info.scratch_per_row += more.bytes();
        }
        for (std::int64_t k = 0; k < layers; ++k) {
            const std::size_t gamma = declare_gamma(spec, k);
            layer_.push_back({.w = w_, .theta = declare_theta(spec, k), .gamma = gamma});
        }
    }

    template <class T>
    void init_params(const l2o_call&,
                     const l2o::Tensors<const T>& data,
                     const l2o::Tensors<T>& params) const {
        const auto a = matrix(data[kA]);
        if (has_gram_) {
            const auto parts = l2o::numerics::analytic_gram(a.template cast<double>(), ridge);
            if (params[w_]) matrix(params[w_]) = parts.w.template cast<T>();
            if (params[s_]) matrix(params[s_]) = parts.gram.template cast<T>();
            if (params[d_]) matrix(as_row(params[d_])) = parts.scale.template cast<T>();
        } else if (params[w_]) {
            matrix(params[w_]) = l2o::numerics::analytic_weight(a, ridge).template cast<T>();
        }
        const double theta_reference =
            start == Start::kReference ? start_lambda(data[kLambda]) / l2o::numerics::lipschitz_constant(a)
                                       : 0;
        for (std::int64_t k = 0; k < layers; ++k) {
            if (const auto gamma = params[*layer_[k].gamma]) gamma.scalar() = 1;
            if (const auto theta = params[layer_[k].theta])
                theta.scalar() = T(start == Start::kAnalytic ? analytic_theta(k) : theta_reference);
        }
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        if (!has_gram_) return Coupled::step(in, out);
        const std::int64_t k = layer(in.t()), n = model_.n;
        const std::span magnitudes(l2o::Scratch(in.call).take<T>(n), std::size_t(n));
        const T theta = in.param(layer_[k].theta).scalar();
        const l2o::View<T> x_next = out.x(0), c = out.state(c_), u_next = out.state(u_);
        if (k == 0) {
            weigh_measurements(in, c);
        } else {
            l2o::copy(in.state(c_), c);
        }
        pre_activation(in, k, k == 0 ? read_only(c) : in.state(u_), x_next);
        for (std::int64_t r = 0; r < in.batch(); ++r)
            l2o::numerics::support_selection<T>(
                row(x_next, r), theta, percent(k), row(x_next, r), {}, magnitudes);
        l2o::fill(u_next, 0);
        if (k + 1 == layers) return;
        add_sparse_product<T>(matrix(u_next), 1, matrix(x_next), matrix(in.param(s_)));
        for (std::int64_t r = 0; r < in.batch(); ++r)
            l2o::each([](T c_i, T d_i, T& u_i) { u_i = c_i - d_i * u_i; },
                      row_of(c, r),
                      as_row(in.param(d_)),
                      row_of(u_next, r));
    }

    // With G = bar x_{k+1}, U = bar u_{k+1}, C = bar c behind the step and Z = bar z_k:
    //   Z = G - (U d) S passed back through SS,   bar gamma = <Z, u_k>,
    //   bar x_k = Z,   bar u_k = gamma Z,   bar c = C + U.
    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        if (!has_gram_) return Coupled::step_vjp(in, cot, acc);
        const std::int64_t k = layer(in.t()), batch = in.batch(), n = model_.n;
        const T gamma = in.param(*layer_[k].gamma).scalar(), theta = in.param(layer_[k].theta).scalar();
        l2o::Scratch scratch(in.call);
        const std::span magnitudes(scratch.take<T>(n), std::size_t(n));
        const std::span selected(scratch.take<std::uint8_t>(n), std::size_t(n));
        const auto rows = [&] { return l2o::View<T>{scratch.take<T>(batch * n), batch, n, n}; };
        const l2o::View<T> x_next_bar = rows(), z = rows(), z_bar = rows(), u_0 = rows();
        const l2o::View<const T> g = cot.x(0), u_next_bar = cot.state(u_);
        l2o::fill(x_next_bar, 0);
        if (g) l2o::copy(g, x_next_bar);
        if (u_next_bar && k + 1 < layers) {
            for (std::int64_t r = 0; r < batch; ++r)
                l2o::each([](T u_bar, T d, T& scaled) { scaled = u_bar * d; },
                          row_of(u_next_bar, r),
                          as_row(in.param(d_)),
                          row_of(z_bar, r));
            add_sparse_product<T>(matrix(x_next_bar), -1, matrix(z_bar), matrix(in.param(s_)));
        }
        if (k == 0) weigh_measurements(in, u_0);
        const l2o::View<const T> u = k == 0 ? read_only(u_0) : in.state(u_);
        pre_activation(in, k, u, z);

        double theta_bar = 0;
        for (std::int64_t r = 0; r < batch; ++r) {
            l2o::numerics::support_selection<T>(
                row(z, r), theta, percent(k), row(z_bar, r), selected, magnitudes);
            theta_bar += l2o::numerics::support_selection_vjp<T>(
                row(z, r), theta, selected, row(x_next_bar, r), row(z_bar, r));
        }
        if (const auto to = acc.param(layer_[k].theta)) to.scalar() += T(theta_bar);
        if (const auto to = acc.param(*layer_[k].gamma))
            to.scalar() += matrix(z_bar).cwiseProduct(matrix(u)).sum();
        if (k == 0) return;
        const auto add = [](T bar, T& sum) { sum += bar; };
        if (const auto to = acc.x(0)) l2o::each(add, z_bar, to);
        if (const auto to = acc.state(u_))
            l2o::each([gamma](T bar, T& sum) { sum += gamma * bar; }, z_bar, to);
        if (const auto to = acc.state(c_)) {
            if (u_next_bar && k + 1 < layers) l2o::each(add, u_next_bar, to);
            if (const auto c_next_bar = cot.state(c_)) l2o::each(add, c_next_bar, to);
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
    /// c = b W, which is u_0.
    template <class T>
    void weigh_measurements(const l2o::StepIn<T>& in, const l2o::View<T>& c) const {
        l2o::fill(c, 0);
        add_product<T>(matrix(c), 1, matrix(in.data(kB)), matrix(in.param(w_)));
    }
    /// z = x_k + gamma_k u, x_0 = 0.
    template <class T>
    void pre_activation(const l2o::StepIn<T>& in,
                        std::int64_t k,
                        const l2o::View<const T>& u,
                        const l2o::View<T>& z) const {
        const T gamma = in.param(*layer_[k].gamma).scalar();
        if (k == 0) return l2o::each([gamma](T u_i, T& z_i) { z_i = gamma * u_i; }, u, z);
        l2o::each([gamma](T x_i, T u_i, T& z_i) { z_i = x_i + gamma * u_i; }, in.x(0), u, z);
    }

    bool has_gram_ = false;
    std::size_t w_ = 0, s_ = 0, d_ = 0, c_ = 0, u_ = 0;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Alista>)
