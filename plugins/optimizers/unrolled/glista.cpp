#include <cmath>
#include <string>

#include "coupled.hpp"

namespace {

using l2o::numerics::matrix;

// Wu, Guo, Li & Zhang 2020, "Sparse coding with gated learned ISTA" (ICLR): LISTA-CPSS whose layers start
// from a magnified point and weigh how far they go. Rows are instances:
//   u = x_k (1 + a_k H(D_k |x_k|)),   z = u + gamma_k (b - u A^T) W_k,   x~ = SS(z, theta_k, q_k),
//   x_{k+1} = x_k + o (x~ - x_k),   o = 1 - ao_k theta_k (1 - sel_{k-1}) / (|x~ - x_k| + 0.1),
// sel_k = 1 where SS left an entry alone, sel_{-1} = 0. The form 'reference' is that of Open-L2O; in
// 'original', that of the authors' code, theta_k is a vector, and o has the threshold of layer k - 1, whose
// selection it is. An ao > 0 makes steps shorter: "overshoot" is what its training may make of it.
class Glista : public l2o::plugins::Coupled, public l2o::layers::Layered<Glista> {
  public:
    static constexpr l2o::About about{
        .id = "glista",
        .version = "1.0.0",
        .title = "GLISTA: LISTA-CPSS with gates for gain and overshoot",
        .doc =
            "u <- x (1 + a_k H(D_k |x|)), x~ <- SS(u + W_k^T (b - A u), theta_k), x <- x + o (x~ - x), "
            "o = 1 - ao_k theta_k (1 - sel) / (|x~ - x| + 0.1), sel what SS left alone in the layer "
            "before; W_k [m, n], theta_k, a_k, ao_k and D_k [n] are learned. Start 'analytic': W the "
            "analytic weight, theta_k = theta_first theta_ratio^k, a = gain_start, ao = "
            "overshoot_start: LISTA-CPSS if both are 0; start 'reference': W = A / L, theta = lambda / "
            "L, a = ao = alti. Wu, Guo, Li & Zhang 2020.",
        .needs = "A,b,lambda?"};

    enum class Start { kAnalytic, kReference };
    enum class Form { kReference, kOriginal };
    enum class Gate { kRelu, kInv, kExp, kSigm, kNone, kCombine };
    Start start = Start::kAnalytic;
    Form form = Form::kReference;
    Gate gate = Gate::kRelu;
    std::int64_t switch_layer = 8;
    double gain_start = 0, overshoot_start = 0, alti = 5;
    bool gains = false;

    Glista() { support_per_layer = 1.2, support_max = 13; }
    static l2o::Options<Glista> options() {
        l2o::Options<Glista> options = Layers::options<Glista>();
        options
            .choice(
                "start", &Glista::start, {"analytic", "reference"}, "what the parameters are before training")
            .choice("form",
                    &Glista::form,
                    {"reference", "original"},
                    "of the threshold: one per layer, that of the layer in o; or one per entry, that of the "
                    "layer before in o")
            .choice("gate",
                    &Glista::gate,
                    {"relu", "inv", "exp", "sigm", "none", "combine"},
                    "H(q): max(0, 1 - max(0, q)), 0.2 / (0.001 + |q|), exp(-q), 1 / (1 + exp(q)), 0; combine "
                    "is relu, and inv from switch_layer on")
            .integer("switch_layer",
                     &Glista::switch_layer,
                     "gate combine: the first layer, from 0, with inv",
                     l2o::kNonNegative)
            .real("gain_start", &Glista::gain_start, "start analytic: a_k")
            .real("overshoot_start", &Glista::overshoot_start, "start analytic: ao_k")
            .real("alti", &Glista::alti, "start reference: a_k and ao_k")
            .flag("gains", &Glista::gains, "a learned gamma_k in every layer, from 1, beside W_k");
        add_support_options(options);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers(spec);
        spec.flag(L2O_OPTIMIZER_PARAMS_BY_PROBLEM);
        if (start == Start::kReference) lambda_ = lambda_of(spec);
        const std::int64_t m = model_.m, n = model_.n;
        unselected_ = spec.state_like_x("unselected", "1 where the layer before has thresholded, else 0")[0];
        const l2o::TensorSpec w{.name = "W", .doc = "weight of the residual", .axes = "m,n", .shape = {m, n}};
        const l2o::TensorSpec thetas{.name = "theta", .doc = "thresholds", .axes = "n", .shape = {n}};
        const l2o::TensorSpec sizes{
            .name = "D", .doc = "size of x that the gain looks at", .axes = "n", .shape = {n}};
        for (std::int64_t k = 0; k < layers; ++k) {
            Layer layer{.w = layer_param(spec, k, w)};
            if (gains) layer.gamma = declare_gamma(spec, k);
            layer.theta = form == Form::kOriginal ? layer_param(spec, k, thetas) : declare_theta(spec, k);
            layer_.push_back(layer);
            gates_.push_back({.a = layer_param(spec, k, {.name = "a", .doc = "gain"}),
                              .ao = layer_param(spec, k, {.name = "ao", .doc = "overshoot"}),
                              .d = layer_param(spec, k, sizes)});
        }
        measure(spec);
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>& data, const l2o::ParamsOut<T>& params) const {
        const bool is_analytic = start == Start::kAnalytic;
        l2o::numerics::RowMatrix<double> w = matrix(data[model_.a]).template cast<double>();
        double theta = 0;
        if (is_analytic) {
            w = gains ? l2o::numerics::analytic_weight(w, ridge) : start_weight(w);
        } else {
            const double l = l2o::numerics::lipschitz_constant(w);
            theta = start_lambda(data[lambda_]) / l;
            w /= l;
        }
        for (std::int64_t k = 0; k < layers; ++k) {
            const auto set = [&](const l2o::Param& param, double value) {
                if (params[param]) fill(params[param], T(value));
            };
            if (const auto to = params[layer_[k].w]) matrix(to) = w.cast<T>();
            if (layer_[k].gamma) set(layer_[k].gamma, is_analytic ? gamma_start : 1);
            set(layer_[k].theta, is_analytic ? analytic_theta(k) : theta);
            set(gates_[k].a, is_analytic ? gain_start : alti);
            set(gates_[k].ao, is_analytic ? overshoot_start : alti);
            set(gates_[k].d, 1);
        }
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        const std::int64_t k = layer(step.t());
        const Layer& of = layer_[static_cast<std::size_t>(k)];
        const Gates& gates = gates_[static_cast<std::size_t>(k)];
        const auto x = k > 0 ? step.x() : l2o::layers::Value<T>{};
        const auto u = magnified(step, gates, x);
        const auto correction = residual(step, u) * step.matrix(of.w);
        const auto z = of.gamma ? move(u, step.param(of.gamma), correction) : u + correction;
        const auto x_tilde =
            select(z, step.param(of.theta), {.amount = percent(k), .unselected = step.room_of(unselected_)});

        const auto overshoot = [](auto tilde, auto x_i, auto unselected, auto theta, auto ao) {
            using std::abs;
            const auto d = tilde - x_i;
            return x_i + (1 - ao * theta * unselected / (abs(d) + T(0.1))) * d;
        };
        const auto theta = step.param(layer_[static_cast<std::size_t>(over_layer(k))].theta);
        const auto ao = step.param(gates.ao);
        if (k > 0) {
            step.set_x(map(overshoot, x_tilde, x, step.state(unselected_), theta, ao));
        } else {
            const auto from_0 = [overshoot](auto tilde, auto theta_i, auto ao_0) {
                return overshoot(tilde, decltype(tilde)(T(0)), decltype(tilde)(T(1)), theta_i, ao_0);
            };
            step.set_x(map(from_0, x_tilde, theta, ao));
        }
    }

  private:
    struct Gates {
        l2o::Param a, ao, d;
    };

    /// u = x (1 + a H(D |x|)), with the H of this layer.
    template <class T>
    [[nodiscard]] l2o::layers::Value<T> magnified(l2o::layers::Step<T>& step,
                                                  const Gates& gates,
                                                  l2o::layers::Value<T> x) const {
        using std::abs, std::exp, std::max;
        const auto by = [&](const auto& h) {
            const auto gain = [h](auto x_i, auto a, auto d) { return x_i * (1 + a * h(d * abs(x_i))); };
            return map(gain, x, step.param(gates.a), step.param(gates.d));
        };
        if (!x) return x;
        switch (gate != Gate::kCombine ? gate : step.t() < switch_layer ? Gate::kRelu : Gate::kInv) {
            case Gate::kRelu:
                return by([](auto q) { return max(1 - max(q, decltype(q)(T(0))), decltype(q)(T(0))); });
            case Gate::kInv:
                return by([](auto q) { return T(0.2) / (T(0.001) + abs(q)); });
            case Gate::kExp:
                return by([](auto q) { return exp(-q); });
            case Gate::kSigm:
                return by([](auto q) { return 1 / (1 + exp(q)); });
            case Gate::kNone:
            case Gate::kCombine:
                break;
        }
        return x;
    }
    /// The layer whose threshold is in o.
    [[nodiscard]] std::int64_t over_layer(std::int64_t k) const {
        return form == Form::kOriginal && k > 0 ? k - 1 : k;
    }

    l2o::State unselected_;
    std::vector<Gates> gates_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Glista>)
