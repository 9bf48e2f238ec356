// Lv, Jiang & Li 2017, "Learning gradient descent: better generalization and longer horizons"
// (arXiv:1703.03633): the network of L2O-DM reads the gradient and its mean, both divided by a
// mean size. Symbols as there, g~ and m~ written g_in and m_in; t counts steps from 1 over the whole run.
// Deviations from the paper: x' = x + ... (the sign is learned); eps beside the root, as in their code.
#include "coordinate_wise.hpp"

namespace {

using l2o::numerics::Block;
using l2o::numerics::kLanes;
using l2o::numerics::load_lanes;
using l2o::numerics::store_lanes;
using l2o::recurrent::Index;
using l2o::recurrent::kTile;
using l2o::recurrent::Tile;

class L2oRnnprop : public l2o::recurrent::CoordinateWise<L2oRnnprop> {
  public:
    static constexpr l2o::About about{
        .id = "l2o_rnnprop",
        .version = "1.0.0",
        .title = "L2O-RNNProp: an LSTM that reads normalised gradients, with a bounded update",
        .doc =
            "Lv, Jiang & Li 2017 (arXiv:1703.03633). m, v are means of g and g^2 as in Adam, "
            "both corrected for their start; the network reads g / sqrt(v) and m / sqrt(v), so that the "
            "scale of the objective does not matter, and moves a coordinate by output_scale tanh(its "
            "output). "
            "The survey's benchmark has feature_order m_g and output_scale 0.01, the original g_m and 0.1"};
    static constexpr const char* tags[] = {"coordinate-wise"};

    static l2o::Options<L2oRnnprop> options() {
        l2o::Options<L2oRnnprop> o;
        o.choice("feature_order",
                 &L2oRnnprop::feature_order_,
                 {"g_m", "m_g"},
                 "rows of input_projection/w: gradient before mean (the original), or mean before gradient");
        o.real("beta1", &L2oRnnprop::beta1_, "decay of the mean of g", l2o::kFraction);
        o.real("beta2", &L2oRnnprop::beta2_, "decay of the mean of g^2", l2o::kFraction);
        o.real("epsilon", &L2oRnnprop::epsilon_, "keeps the quotients finite", l2o::kPositive);
        o.real("output_scale", &L2oRnnprop::output_scale_, "largest update", l2o::kPositive);
        o.integer("hidden",
                  &L2oRnnprop::hidden_,
                  "size of the input projection and of each of the two layers",
                  l2o::between(1, 1024));
        return o;
    }

    void declare(l2o::OptimizerSpec& spec) {
        const char* order = feature_order_ == FeatureOrder::kGradientMean ? "rows: g, m" : "rows: m, g";
        projection_ = {
            spec.param({.name = "input_projection/w", .doc = order, .shape = {2, hidden_}}),
            spec.param({.name = "input_projection/b", .doc = "under the ELU", .shape = {hidden_}})};
        net_.declare(spec, hidden_, hidden_);
        m_ = spec.state_like_x("m", "mean of g");
        v_ = spec.state_like_x("v", "mean of g^2");
        spec.coordinatewise().reads_g().minimises();
        reserve_scratch(spec);
    }

    template <class T>
    void init_params(const l2o_call& call, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        const auto& [w, b] = projection_;
        l2o::recurrent::fill_truncated_normal(params, w, std::sqrt(0.5), call);
        if (params[b]) l2o::fill(params[b], T(0));
        net_.init_params(call, params);
    }

    static constexpr bool kBounded = true;

    /// Moments, normalised features and their projection e = ELU([g_in m_in] W + b).
    template <class T>
    struct Front {
        using Lanes = l2o::numerics::Lanes<T>;
        const L2oRnnprop& method;
        T *g, *m, *v;         // moments of before the step, then of after it
        T *root, *inverse;    // sqrt(v^), 1 / (sqrt(v^) + eps)
        Block<T> in, in_bar;  // g_in, m_in
        T* a_bar;
        l2o::recurrent::GradientSums<2> sums;
        T correction1 = 1, correction2 = 1;  // 1 - beta^t
        T b1 = 0, b2 = 0;

        Front(l2o::Scratch& scratch, const L2oRnnprop& of)
            : method(of),
              g(scratch.take<T>(kTile)),
              m(scratch.take<T>(kTile)),
              v(scratch.take<T>(kTile)),
              root(scratch.take<T>(kTile)),
              inverse(scratch.take<T>(kTile)),
              in{scratch.take<T>(2 * kTile), kTile},
              in_bar{scratch.take<T>(2 * kTile), kTile},
              a_bar(scratch.take<T>(kTile)),
              sums(scratch, {2 * of.hidden_, of.hidden_}) {}

        void forward(const l2o::StepIn<T>& step, std::size_t k, const Tile& tile, const Block<T>& e) {
            const double t = static_cast<double>(step.t()) + 1;
            correction1 = T(1 - std::pow(method.beta1_, t));
            correction2 = T(1 - std::pow(method.beta2_, t));
            l2o::recurrent::gather(step.g(k), tile, g);
            l2o::recurrent::gather(step.state(method.m_[k]), tile, m);
            l2o::recurrent::gather(step.state(method.v_[k]), tile, v);
            // m and v are 0 before the first step: nothing to keep, and no infinite slope of sqrt(v) at 0.
            b1 = step.t() == 0 ? T(0) : T(method.beta1_);
            b2 = step.t() == 0 ? T(0) : T(method.beta2_);
            const T a1 = T(1 - method.beta1_), a2 = T(1 - method.beta2_);
            const T* w = step.param(method.projection_[0]).data;
            const T* b = step.param(method.projection_[1]).data;
            for (Index at = 0; at < tile.count; at += kLanes<T>) {
                const Index n = std::min(kLanes<T>, tile.count - at);
                const Lanes g_t = load_lanes(g + at, n);
                const Lanes m_t = b1 * load_lanes(m + at, n) + a1 * g_t;
                const Lanes v_t = b2 * load_lanes(v + at, n) + a2 * g_t * g_t;
                const Lanes root_t = (v_t / correction2).sqrt();
                const Lanes inverse_t = (root_t + T(method.epsilon_)).inverse();
                const Lanes g_in = g_t * inverse_t, m_in = m_t / correction1 * inverse_t;
                store_lanes(m_t, m + at, n);
                store_lanes(v_t, v + at, n);
                store_lanes(root_t, root + at, n);
                store_lanes(inverse_t, inverse + at, n);
                store_lanes(g_in, in.at(method.g_row(), at), n);
                store_lanes(m_in, in.at(method.m_row(), at), n);
                const T *w_g = w + method.g_row() * method.hidden_,
                        *w_m = w + method.m_row() * method.hidden_;
                for (Index i = 0; i < method.hidden_; ++i) {
                    const Lanes a = b[i] + w_g[i] * g_in + w_m[i] * m_in;
                    store_lanes<T>((a > 0).select(a, a.min(T(0)).exp() - 1), e.at(i, at), n);
                }
            }
        }
        void store(const l2o::StepOut<T>& out, std::size_t k, const Tile& tile) const {
            l2o::recurrent::scatter(m, tile, out.state(method.m_[k]));
            l2o::recurrent::scatter(v, tile, out.state(method.v_[k]));
        }

        [[nodiscard]] bool wants_cotangent(const l2o::StepAcc<T>&, std::size_t) const { return true; }

        /// r = 1 / (sqrt(v^) + eps):  g_in = g r,  m_in = m^ r,  d r = -r^2 d v^ / (2 sqrt(v^)).
        void reverse(const l2o::StepIn<T>& step,
                     const l2o::StepCot<T>& cot,
                     const l2o::StepAcc<T>& acc,
                     std::size_t k,
                     const Tile& tile,
                     const Block<T>& e,
                     const Block<T>& e_bar) {
            project_back(step, tile, e, e_bar);
            const auto new_state = [&](const l2o::State& state, Index i) {
                const l2o::View<const T> bar = cot.state(state);
                return bar ? bar.row((tile.first + i) / bar.cols)[(tile.first + i) % bar.cols] : T(0);
            };
            const T a1 = T(1 - method.beta1_), a2 = T(1 - method.beta2_);
            for (Index i = 0; i < tile.count; ++i) {
                const T g_in_bar = *in_bar.at(method.g_row(), i), m_in_bar = *in_bar.at(method.m_row(), i);
                const T r = inverse[i];
                const T r_bar = g_in_bar * g[i] + m_in_bar * m[i] / correction1;
                const T v_hat_bar = root[i] > 0 ? -r * r * r_bar / (2 * root[i]) : T(0);
                const T m_bar = new_state(method.m_[k], i) + m_in_bar * r / correction1;
                const T v_bar = new_state(method.v_[k], i) + v_hat_bar / correction2;
                a_bar[i] = g_in_bar * r + a1 * m_bar + 2 * a2 * g[i] * v_bar;
                m[i] = b1 * m_bar;
                v[i] = b2 * v_bar;
            }
            if (acc.g(k)) l2o::recurrent::scatter_add(a_bar, tile, acc.g(k));
            if (const auto bar = acc.state(method.m_[k])) l2o::recurrent::scatter_add(m, tile, bar);
            if (const auto bar = acc.state(method.v_[k])) l2o::recurrent::scatter_add(v, tile, bar);
        }
        void finish(const l2o::StepAcc<T>& acc) const { sums.add_to(acc, method.projection_); }

      private:
        /// Cotangents of W, b and of the projection's input; ELU' = e + 1 below 0.
        void project_back(const l2o::StepIn<T>& step,
                          const Tile& tile,
                          const Block<T>& e,
                          const Block<T>& e_bar) const {
            using Row = Eigen::Map<Eigen::Array<T, 1, Eigen::Dynamic>>;
            const Index n = tile.count;
            const auto row = [n](const Block<T>& block, Index i) { return Row(block.at(i, 0), n); };
            const T* w = step.param(method.projection_[0]).data;
            row(in_bar, 0).setZero(), row(in_bar, 1).setZero();
            for (Index i = 0; i < method.hidden_; ++i) {
                Row a(a_bar, n);
                a = row(e_bar, i) * (row(e, i).min(T(0)) + 1);
                for (Index f = 0; f < 2; ++f) {
                    sums[0][f * method.hidden_ + i] += double((row(in, f) * a).sum());
                    row(in_bar, f) += w[f * method.hidden_ + i] * a;
                }
                sums[1][i] += double(a.sum());
            }
        }
    };

  private:
    friend CoordinateWise;
    enum class FeatureOrder { kGradientMean, kMeanGradient };

    [[nodiscard]] Index g_row() const { return feature_order_ == FeatureOrder::kGradientMean ? 0 : 1; }
    [[nodiscard]] Index m_row() const { return 1 - g_row(); }

    FeatureOrder feature_order_ = FeatureOrder::kGradientMean;
    double beta1_ = 0.95, beta2_ = 0.95, epsilon_ = 1e-8;
    std::array<l2o::Param, 2> projection_;
    l2o::BlockStates m_, v_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<L2oRnnprop>)
