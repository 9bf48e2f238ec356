#include <algorithm>
#include <cmath>
#include <l2o/nets/lstm.hpp>
#include <l2o/nets/net.hpp>

#include "coupled.hpp"

namespace {

using l2o::numerics::matrix, l2o::numerics::row_vector;

// Behrens, Sauder & Jung 2021, "Neurally augmented ALISTA" (ICLR, arXiv:2010.01930): ALISTA whose step and
// threshold an LSTM finds for every instance, from the sizes of the residual. Rows are instances:
//   r = b - x_k A^T,   u = r W,   y = ((|r|_1 - mu1) / s1, (|u|_1 - mu2) / s2),   h, c <- LSTM(y; h, c),
//   (gamma, theta) = softplus(U relu(V c + bV) + bU),   x_{k+1} = SS(x_k + gamma u, theta, p_k),   x_0 = 0.
// SS leaves the entries beyond the p_k-th largest alone. As in the authors' code the cell state c is read,
// not h; mu and s are those of the first batch, at k = 0. Tensors have the names and layouts of torch. The
// first h and c are learned.
class NaAlista : public l2o::plugins::Coupled, public l2o::layers::Layered<NaAlista> {
  public:
    static constexpr l2o::About about{
        .id = "na_alista",
        .version = "1.0.0",
        .title = "NA-ALISTA: an LSTM finds step and threshold per instance",
        .doc =
            "x <- SS(x + gamma W^T r, theta), r = b - A x, W the analytic weight of A; an LSTM reads ||r||_1 "
            "and ||W^T r||_1 and writes gamma and theta of the instance. SS leaves the p_k - 1 largest "
            "entries alone, p_k growing evenly up to support_max percent of the entries. Its start is "
            "random, and needs training. Behrens, Sauder & Jung 2021 (arXiv:2010.01930).",
        .needs = "A,b"};

    std::int64_t hidden = 128;
    NaAlista() { support_max = 12; }
    static l2o::Options<NaAlista> options() {
        l2o::Options<NaAlista> options;
        add_depth_option(options);
        options.integer(
            "hidden", &NaAlista::hidden, "size of the LSTM and of the layer after it", l2o::between(1, 1024));
        options.real("support_max",
                     &NaAlista::support_max,
                     "p_k of the last layer in percent of n: 1.2 times the expected share that is not 0",
                     l2o::between(0, 100));
        add_ridge_option(options);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers(spec);
        w_ = derived(spec, "const.W", "analytic weight of A", "m,n", {model_.m, model_.n});
        net_.part<0>().form = l2o::nets::LstmForm::kTorch, net_.part<0>().reads_cell = true;
        net_.part<0>().declare(spec, {.weights = "lstm", .h = "h", .c = "c"}, 2, hidden, l2o::nets::kPerRow);
        v_ = spec.param({.name = "V", .doc = "layer after the cell", .shape = {hidden, hidden}});
        bv_ = spec.param({.name = "bV", .doc = "its bias", .shape = {hidden}});
        u_ = spec.param({.name = "U", .doc = "read-out of gamma and theta", .shape = {2, hidden}});
        bu_ = spec.param({.name = "bU", .doc = "its bias", .shape = {2}});
        h0_ = spec.param({.name = "h0", .doc = "h at the start", .shape = {hidden}});
        c0_ = spec.param({.name = "c0", .doc = "c at the start", .shape = {hidden}});
        mu1_ = derived(spec, "norm.mu1", "mean of |b|_1"), s1_ = derived(spec, "norm.s1", "its deviation");
        mu2_ = derived(spec, "norm.mu2", "mean of |b W|_1"), s2_ = derived(spec, "norm.s2", "its deviation");
        measure(spec);
    }

    template <class T>
    void init_params(const l2o_call& call,
                     const l2o::NeedsIn<T>& data,
                     const l2o::ParamsOut<T>& params) const {
        using Matrix = l2o::numerics::RowMatrix<double>;
        const Matrix w = l2o::numerics::analytic_weight(matrix(data[model_.a]), ridge);
        if (const auto to = params[w_]) matrix(to) = w.cast<T>();
        net_.init_params(call, params);
        for (const l2o::Param& param : {v_, bv_, u_, bu_})  // as torch.nn.Linear
            l2o::nets::fill_uniform(params, param, 1 / std::sqrt(double(hidden)), call);
        for (const l2o::Param& param : {h0_, c0_}) l2o::nets::fill_normal(params, param, 1, call);
        const auto b = matrix(data[model_.b]).template cast<double>().eval();
        auto bw = Matrix::Zero(b.rows(), w.cols()).eval();
        l2o::numerics::add_product<double>(bw, 1, b, w);
        normalise<T>(b.rowwise().template lpNorm<1>(), params[mu1_], params[s1_]);
        normalise<T>(bw.rowwise().template lpNorm<1>(), params[mu2_], params[s2_]);
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        for (const auto& [to, from] : {std::pair{lstm().h(), h0_}, std::pair{lstm().c(), c0_}})
            matrix(state[to]).rowwise() = row_vector(in.param(from).data, hidden);
    }
    template <class T>
    void init_state_vjp(const l2o::StepIn<T>&,
                        const l2o::StatesCot<T>& cot,
                        const l2o::StepAcc<T>& acc) const {
        for (const auto& [from, to] : {std::pair{lstm().h(), h0_}, std::pair{lstm().c(), c0_}})
            if (cot[from] && acc.param(to))
                row_vector(acc.param(to).data, hidden) += matrix(cot[from]).colwise().sum();
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        using std::abs, std::exp, std::log1p, std::max;
        const std::int64_t k = layer(step.t());
        const auto x = k > 0 ? step.x() : l2o::layers::Value<T>{};
        const auto r = residual(step, x), u = r * step.matrix(w_);
        const auto size = [](auto e) { return abs(e); };
        const auto normal = [](auto e, auto mu, auto s) { return (e - mu) / s; };
        const auto y1 = map(normal, row_sum(size, r), step.param(mu1_), step.param(s1_));
        const auto y2 = map(normal, row_sum(size, u), step.param(mu2_), step.param(s2_));
        l2o::nets::Running net(net_, step);
        const auto c_next = step.set(lstm().c(), net.outputs(0, y1, y2));
        const auto relu = [](auto z, auto bias) { return max(z + bias, decltype(bias)(T(0))); };
        const auto softplus = [](auto z, auto bias) {
            const auto o = z + bias;
            return max(o, decltype(o)(T(0))) + log1p(exp(-abs(o)));
        };
        const auto after = map(relu, c_next * t(step.matrix(v_)), step.param(bv_));
        const auto out = map(softplus, after * t(step.matrix(u_)), step.param(bu_));
        const auto gamma = columns(out, 0, 1), theta = columns(out, 1, 1);
        const auto z = x + map([](auto g, auto u_i) { return g * u_i; }, gamma, u);
        step.set_x(select(z, theta, {.rule = l2o::numerics::SupportRule::kCount, .amount = count(k)}));
    }

  private:
    /// Mean and deviation (n - 1); of one number alone, or of equal ones, the mean serves as deviation too.
    template <class T>
    static void normalise(const Eigen::VectorXd& sizes, const l2o::View<T>& mu, const l2o::View<T>& s) {
        const double mean = sizes.mean(), squares = (sizes.array() - mean).square().sum();
        if (mu) mu.scalar() = T(mean);
        if (s)
            s.scalar() = T(squares > 0 ? std::sqrt(squares / double(sizes.size() - 1)) : mean > 0 ? mean : 1);
    }
    /// p_k: from a K-th of the last one in even steps, rounded down, as numpy.linspace(...).astype(int) does.
    [[nodiscard]] double count(std::int64_t k) const {
        const double last = support_max * double(model_.n) / 100, first = std::floor(last / double(layers));
        if (k + 1 == layers && layers > 1) return std::floor(last);
        return std::floor(first +
                          double(k) * ((last - first) / double(std::max<std::int64_t>(layers - 1, 1))));
    }
    [[nodiscard]] const l2o::nets::Lstm& lstm() const { return net_.part<0>(); }

    l2o::nets::Net<l2o::nets::Lstm> net_;
    l2o::Param w_, v_, bv_, u_, bu_, h0_, c0_, mu1_, s1_, mu2_, s2_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<NaAlista>)
