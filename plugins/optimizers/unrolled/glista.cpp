#include <algorithm>
#include <cmath>
#include <vector>

#include "coupled.hpp"
#include "glista_gates.hpp"

namespace {

using l2o::layers::Value;
using l2o::plugins::Gate;

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
    enum class FormName { kReference, kOriginal };
    Start start = Start::kAnalytic;
    FormName form = FormName::kReference;
    Gate gate = Gate::kRelu;
    std::int64_t switch_layer = 8;
    double gain_start = 0, overshoot_start = 0, alti = 5;
    bool gains = false;

    Glista() { support_per_layer = 1.2, support_max = 13; }
    static l2o::Options<Glista> options() {
        l2o::Options<Glista> options = Layers::options<Glista>();
        add_start_option(options, &Glista::start, {"analytic", "reference"});
        options
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
            .integer(
                "switch_layer", &Glista::switch_layer, "combine: first layer with inv", l2o::kNonNegative)
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
        const auto row = [n](const char* name, const char* doc) {
            return l2o::TensorSpec{.name = name, .doc = doc, .axes = "n", .shape = {n}};
        };
        for (std::int64_t k = 0; k < layers; ++k) {
            Layer& of = layer_.emplace_back(Layer{.w = layer_param(spec, k, w)});
            if (gains) of.gamma = declare_gamma(spec, k);
            of.theta = form_of().has_thetas ? layer_param(spec, k, row("theta", "thresholds"))
                                            : declare_theta(spec, k);
            gates_.push_back({.a = layer_param(spec, k, {.name = "a", .doc = "gain"}),
                              .ao = layer_param(spec, k, {.name = "ao", .doc = "overshoot"}),
                              .d = layer_param(spec, k, row("D", "size of x that the gain looks at"))});
        }
        measure(spec);
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>& data, const l2o::ParamsOut<T>& params) const {
        const bool is_analytic = start == Start::kAnalytic;
        init_layers(data, params, is_analytic);
        for (const Gates& gates : gates_) {
            set(params, gates.a, is_analytic ? gain_start : alti);
            set(params, gates.ao, is_analytic ? overshoot_start : alti);
            set(params, gates.d, 1);
        }
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        const std::int64_t k = layer(step.t()), k_of_o = std::max<std::int64_t>(k - form_of().layers_back, 0);
        const Layer& of = layer_[k];
        const auto x = k > 0 ? step.x() : Value<T>{};
        const auto a = step.param(gates_[k].a), ao = step.param(gates_[k].ao), d = step.param(gates_[k].d);
        const Gate h = gate != Gate::kCombine ? gate : k < switch_layer ? Gate::kRelu : Gate::kInv;
        const auto u = magnified(x, h, a, d), correction = residual(step, u) * step.matrix(of.w);
        const auto z = of.gamma ? move(u, step.param(of.gamma), correction) : u + correction;
        const auto x_tilde =
            select(z, step.param(of.theta), {.amount = percent(k), .unselected = step.room_of(unselected_)});
        const auto overshoot = [](auto tilde, auto x_i, auto unselected, auto theta, auto ao_k) {
            using std::abs;
            const auto by = tilde - x_i;
            return x_i + (1 - ao_k * theta * unselected / (abs(by) + T(0.1))) * by;
        };
        const auto from = k > 0 ? x : step.constant(0);
        const auto unselected = k > 0 ? step.state(unselected_) : step.constant(1);
        step.set_x(map(overshoot, x_tilde, from, unselected, step.param(layer_[k_of_o].theta), ao));
    }

  private:
    struct Gates {
        l2o::Param a, ao, d;
    };

    [[nodiscard]] const l2o::plugins::GlistaForm& form_of() const {
        return l2o::plugins::kGlistaForms[std::size_t(form)];
    }
    l2o::State unselected_;
    std::vector<Gates> gates_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Glista>)
