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
class Glista : public l2o::plugins::Coupled {
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
        declare_layers<Work>(spec);
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
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const std::int64_t k = layer(in.t());
        l2o::Scratch scratch(in.call);
        Work<T> work(scratch, in.batch(), model_);
        const l2o::View<const T> u = magnified(in, k, work);
        const l2o::View<T> unselected = out.state(unselected_);
        auto z = matrix(out.x(0));
        correction(in, k, u, work.residual, z);
        pre_activation(in, k, u, z, z);
        for (std::int64_t r = 0; r < in.batch(); ++r) {
            const std::span x_next = l2o::numerics::row(out.x(0), r);
            select<T>(in, k, x_next, x_next, work);
            const Overshoot<T> overshoot = overshoot_of(in, k, r);
            for (std::size_t i = 0; i < x_next.size(); ++i) {
                const Reach<T> to = overshoot.at(i, x_next[i]);
                x_next[i] = overshoot.x_at(i) + to.o * to.d;
                unselected(r, std::int64_t(i)) = T(1 - work.selected[i]);
            }
        }
    }

    // With G = bar x_{k+1}, d = x~ - x_k, P = 1 / (|d| + 0.1), c = 1 - sel_{k-1}: bar o = G d, bar ao = -sum
    // bar o P theta c, bar (theta c) = -bar o ao P, bar x~ = G o + bar o ao theta c P^2 sign(d), bar x_k = G
    // - bar x~ and what comes back through u.
    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        const l2o::View<const T> x_next_bar = cot.x(0);
        if (!x_next_bar) return;
        const l2o::View<T> x_bar = acc.x(0), unselected_bar = acc.state(unselected_);
        const std::int64_t k = layer(in.t()), batch = in.batch();
        l2o::Scratch scratch(in.call);
        Work<T> work(scratch, batch, model_);
        const l2o::View<const T> u = magnified(in, k, work);
        correction(in, k, u, work.residual, work.u);
        pre_activation(in, k, u, work.u, work.z);

        std::ranges::fill(work.theta_bar, 0), std::ranges::fill(work.over_bar, 0);
        double ao_bar = 0;
        for (std::int64_t r = 0; r < batch; ++r) {
            const std::span<T> z = row_of(work.z, r), z_bar = row_of(work.z_bar, r);
            select<T>(in, k, z, work.x_tilde, work);
            const Overshoot<T> overshoot = overshoot_of(in, k, r);
            for (std::size_t i = 0; i < z.size(); ++i) {
                const Reach<T> to = overshoot.at(i, work.x_tilde[i]);
                const T g = x_next_bar(r, std::int64_t(i)), o_bar = g * to.d;
                const T slope = overshoot.ao * to.p * to.p * to.theta * to.c;
                const T reach_bar = -o_bar * overshoot.ao * to.p;  // of theta c
                z_bar[i] = g * to.o + o_bar * (to.d < 0 ? -slope : slope);
                ao_bar -= double(o_bar * to.p * to.theta * to.c);
                work.over_bar[overshoot.theta_at(i)] += double(reach_bar * to.c);
                if (k == 0) continue;
                if (x_bar) x_bar(r, std::int64_t(i)) += g - z_bar[i];
                if (unselected_bar) unselected_bar(r, std::int64_t(i)) += reach_bar * to.theta;
            }
            select_vjp<T>(in, k, z, z_bar, work);
        }
        if (const auto to = acc.param(gates_[k].ao)) to.scalar() += T(ao_bar);
        add(work.theta_bar, acc.param(layer_[k].theta));
        add(work.over_bar, acc.param(layer_[over_layer(k)].theta));
        work.z.setZero();
        const l2o::View<T> u_bar = k == 0 ? l2o::View<T>{} : view_of(work.z);
        correction_vjp(in, k, work, acc, u_bar);
        if (u_bar) magnified_vjp(in, k, u_bar, acc);
    }

  private:
    struct Gates {
        l2o::Param a, ao, d;
    };
    template <class T>
    struct Work : Coupled::Work<T> {
        Rows<T> magnified;
        std::span<T> x_tilde;
        std::span<double> theta_bar, over_bar;

        Work(l2o::Scratch& scratch, std::int64_t batch, const l2o::LinearModel& model)
            : Coupled::Work<T>(scratch, batch, model),
              magnified(take_rows<T>(scratch, batch, model.n)),
              x_tilde(take_row<T>(scratch, model.n)),
              theta_bar(take_row<double>(scratch, model.n)),
              over_bar(take_row<double>(scratch, model.n)) {}
    };
    template <class T>
    struct Gain {
        T value, slope;
    };
    /// The way from x_k to x~ at one entry, and its factors: p = 1 / (|d| + 0.1), c = 1 - sel_{k-1}.
    template <class T>
    struct Reach {
        T d, p, theta, c, o;
    };
    template <class T>
    struct Overshoot {
        const T *x, *unselected;  // NULL: 0, and 1
        std::span<const T> theta;
        T ao;

        [[nodiscard]] T x_at(std::size_t i) const { return x == nullptr ? T(0) : x[i]; }
        [[nodiscard]] std::size_t theta_at(std::size_t i) const { return theta.size() == 1 ? 0 : i; }
        [[nodiscard]] Reach<T> at(std::size_t i, T x_tilde) const {
            const T d = x_tilde - x_at(i), p = 1 / (std::abs(d) + T(0.1));
            const T c = unselected == nullptr ? T(1) : unselected[i], t = theta[theta_at(i)];
            return {d, p, t, c, 1 - ao * p * t * c};
        }
    };

    /// H(q) and its slope.
    template <class T>
    [[nodiscard]] Gain<T> gain(std::int64_t k, T q) const {
        switch (gate != Gate::kCombine ? gate : k < switch_layer ? Gate::kRelu : Gate::kInv) {
            case Gate::kRelu:
                return {std::max(1 - std::max(q, T(0)), T(0)), q > 0 && q < 1 ? T(-1) : T(0)};
            case Gate::kInv: {
                const T inverse = 1 / (T(0.001) + std::abs(q));
                return {T(0.2) * inverse, std::copysign(T(0.2) * inverse * inverse, -q)};
            }
            case Gate::kExp:
                return {std::exp(-q), -std::exp(-q)};
            case Gate::kSigm: {
                const T h = 1 / (1 + std::exp(q));
                return {h, -h * (1 - h)};
            }
            case Gate::kNone:
            case Gate::kCombine:
                break;
        }
        return {0, 0};
    }
    /// u = x_k (1 + a_k H(D_k |x_k|)), in work; empty for x_0 = 0.
    template <class T>
    [[nodiscard]] l2o::View<const T> magnified(const l2o::StepIn<T>& in,
                                               std::int64_t k,
                                               Work<T>& work) const {
        if (k == 0) return {};
        const l2o::View<T> u = view_of(work.magnified);
        const T a = in.param(gates_[k].a).scalar(), *d = in.param(gates_[k].d).data;
        for (std::int64_t r = 0; r < in.batch(); ++r)
            for (std::int64_t i = 0; i < model_.n; ++i) {
                const T x = in.x(0)(r, i);
                u(r, i) = x * (1 + a * gain(k, d[i] * std::abs(x)).value);
            }
        return {u.data, u.rows, u.cols, u.stride};
    }
    template <class T>
    void magnified_vjp(const l2o::StepIn<T>& in,
                       std::int64_t k,
                       const l2o::View<T>& u_bar,
                       const l2o::StepAcc<T>& acc) const {
        const T a = in.param(gates_[k].a).scalar(), *d = in.param(gates_[k].d).data;
        const l2o::View<T> x_bar = acc.x(0), d_bar = acc.param(gates_[k].d);
        double a_bar = 0;
        for (std::int64_t r = 0; r < in.batch(); ++r)
            for (std::int64_t i = 0; i < model_.n; ++i) {
                const T x = in.x(0)(r, i), size = std::abs(x), bar = u_bar(r, i);
                const Gain<T> h = gain(k, d[i] * size);
                a_bar += double(bar * x * h.value);
                if (d_bar) d_bar[i] += bar * x * a * h.slope * size;
                if (x_bar) x_bar(r, i) += bar * (1 + a * (h.value + d[i] * size * h.slope));
            }
        if (const auto to = acc.param(gates_[k].a)) to.scalar() += T(a_bar);
    }

    template <class T>
    [[nodiscard]] std::span<const T> thresholds(const l2o::StepIn<T>& in, std::int64_t k) const {
        return {in.param(layer_[k].theta).data, form == Form::kOriginal ? std::size_t(model_.n) : 1};
    }
    /// The layer whose threshold is in o.
    [[nodiscard]] std::int64_t over_layer(std::int64_t k) const {
        return form == Form::kOriginal && k > 0 ? k - 1 : k;
    }
    template <class T>
    [[nodiscard]] Overshoot<T> overshoot_of(const l2o::StepIn<T>& in, std::int64_t k, std::int64_t r) const {
        return {k == 0 ? nullptr : in.x(0).row(r),
                k == 0 ? nullptr : in.state(unselected_).row(r),
                thresholds(in, over_layer(k)),
                in.param(gates_[k].ao).scalar()};
    }
    template <class T>
    void select(const l2o::StepIn<T>& in,
                std::int64_t k,
                std::span<const T> z,
                std::span<T> x_tilde,
                const Work<T>& work) const {
        const std::span<const T> theta = thresholds(in, k);
        if (form == Form::kOriginal)
            l2o::numerics::support_selection<T>(
                z, theta, percent(k), x_tilde, work.selected, work.magnitudes);
        else
            l2o::numerics::support_selection<T>(
                z, theta[0], percent(k), x_tilde, work.selected, work.magnitudes);
    }
    /// z_bar: bar x~ on entry, bar z on return. work.theta_bar is added to.
    template <class T>
    void select_vjp(const l2o::StepIn<T>& in,
                    std::int64_t k,
                    std::span<const T> z,
                    std::span<T> z_bar,
                    const Work<T>& work) const {
        const std::span<const T> theta = thresholds(in, k);
        if (form == Form::kOriginal)
            l2o::numerics::support_selection_vjp<T>(z, theta, work.selected, z_bar, z_bar, work.theta_bar);
        else
            work.theta_bar[0] +=
                l2o::numerics::support_selection_vjp<T>(z, theta[0], work.selected, z_bar, z_bar);
    }
    template <class T>
    static void add(std::span<const double> sums, const l2o::View<T>& to) {
        if (!to) return;
        for (std::int64_t i = 0; i < to.rows; ++i) to[i] += T(sums[std::size_t(i)]);
    }

    l2o::State unselected_;
    std::vector<Gates> gates_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Glista>)
