#include <cmath>
#include <l2o/nets/dense.hpp>
#include <l2o/nets/lstm.hpp>
#include <l2o/nets/net.hpp>
#include <limits>
#include <string>

namespace {

namespace nets = l2o::nets;

// Lv, Jiang & Li 2017, "Learning gradient descent: better generalization and longer horizons"
// (arXiv:1703.03633): the network of L2O-DM reads the gradient and its mean, both divided by a mean size.
// Symbols as there, g~ and m~ written g_in and m_in; t counts steps from 1 over the whole run:
//   m' = b1 m + (1 - b1) g,   v' = b2 v + (1 - b2) g^2,   m^ = m' / (1 - b1^t),   v^ = v' / (1 - b2^t),
//   g_in = g / (sqrt(v^) + eps),   m_in = m^ / (sqrt(v^) + eps),   x' = x + output_scale
//   tanh(LSTM(ELU(...))).
// Deviations from the paper: x' = x + ... (the sign is learned); eps beside the root, as in their code.
class L2oRnnprop : public l2o::layers::Layered<L2oRnnprop> {
  public:
    static constexpr l2o::About about{
        .id = "l2o_rnnprop",
        .version = "1.0.0",
        .title = "L2O-RNNProp: an LSTM that reads normalised gradients, with a bounded update",
        .doc =
            "Lv, Jiang & Li 2017 (arXiv:1703.03633). m, v are means of g and g^2 as in Adam, both corrected "
            "for their start; the network reads g / sqrt(v) and m / sqrt(v), so that the scale of the "
            "objective does not matter, and moves a coordinate by output_scale tanh(its output). The "
            "survey's benchmark has feature_order m_g and output_scale 0.01, the original g_m and 0.1"};

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
        auto& [projection, layer1, layer2, linear] = net_.parts;
        const std::string order = gradient_is_first() ? "rows: g, m" : "rows: m, g";
        projection.declare(
            spec, {.w = "input_projection/w", .b = "input_projection/b", .doc = order}, 2, hidden_);
        layer1.declare(
            spec, {.weights = "lstm_1", .h = "h1", .c = "c1"}, hidden_, hidden_, nets::kPerCoordinate);
        layer2.declare(
            spec, {.weights = "lstm_2", .h = "h2", .c = "c2"}, hidden_, hidden_, nets::kPerCoordinate);
        linear.declare(spec, {.w = "linear/w", .b = "linear/b", .doc = "read-out"}, hidden_, 1);
        m_ = spec.state_like_x("m", "mean of g");
        v_ = spec.state_like_x("v", "mean of g^2");
        spec.coordinatewise().reads_g().minimises();
        measure(spec);
    }

    template <class T>
    void init_params(const l2o_call& call, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        net_.init_params(call, params);
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        nets::Running net(net_, step);
        const double t = static_cast<double>(step.t()) + 1;
        const T c1 = T(1 - std::pow(beta1_, t)), c2 = T(1 - std::pow(beta2_, t)), eps = T(epsilon_);
        // m and v are 0 before the first step, whatever the state says.
        const auto mean = [b = T(t > 1 ? beta1_ : 0), rest = T(1 - beta1_)](auto before, auto g) {
            return b * before + rest * g;
        };
        const auto mean_square = [b = T(t > 1 ? beta2_ : 0), rest = T(1 - beta2_)](auto before, auto g) {
            return b * before + rest * g * g;
        };
        // No infinite slope of the root at 0; the smallest number is nothing beside eps.
        const auto inverse = [=](auto v) {
            using std::max, std::sqrt;
            return 1 / (sqrt(max(decltype(v)(std::numeric_limits<T>::min()), v / c2)) + eps);
        };
        const auto scaled = [](auto a, auto r) { return a * r; };
        const auto corrected = [=](auto m, auto r) { return m / c1 * r; };
        const auto update = [scale = T(output_scale_)](auto r, auto x) { return x + scale * r; };
        for (std::size_t k = 0; k < step.blocks(); ++k) {
            const auto g = step.g(k);
            const auto m = step.set(m_[k], map(mean, step.state(m_[k]), g));
            const auto v = step.set(v_[k], map(mean_square, step.state(v_[k]), g));
            const auto r = map(inverse, v), g_in = map(scaled, g, r), m_in = map(corrected, m, r);
            const auto in = gradient_is_first() ? std::array{g_in, m_in} : std::array{m_in, g_in};
            step.set_x(net.template at<1>(k, in, update, std::array{step.x(k)}), k);
        }
    }

  private:
    enum class FeatureOrder { kGradientMean, kMeanGradient };

    [[nodiscard]] bool gradient_is_first() const { return feature_order_ == FeatureOrder::kGradientMean; }

    FeatureOrder feature_order_ = FeatureOrder::kGradientMean;
    double beta1_ = 0.95, beta2_ = 0.95, epsilon_ = 1e-8, output_scale_ = 0.01;
    std::int64_t hidden_ = 20;
    nets::Net<nets::Dense<nets::Elu>, nets::Lstm, nets::Lstm, nets::Dense<nets::Tanh>> net_;
    l2o::BlockStates m_, v_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<L2oRnnprop>)
