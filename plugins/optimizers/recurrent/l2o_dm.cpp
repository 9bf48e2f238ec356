#include <l2o/nets/dense.hpp>
#include <l2o/nets/log_and_sign.hpp>
#include <l2o/nets/lstm.hpp>
#include <l2o/nets/net.hpp>

namespace {

namespace nets = l2o::nets;

// Andrychowicz et al. 2016, "Learning to learn by gradient descent by gradient descent" (arXiv:1606.04474v2),
// section 2.1: a coordinate-wise LSTM maps the gradient to the update. Symbols: h1, c1, h2, c2 state of the
// two layers; per coordinate  x' = x + output_scale (h2' w + b). Deviation from the paper, that of its
// authors' code: log_sign_k = 5 instead of p = 10, see nets/log_and_sign.hpp.
class L2oDm : public l2o::layers::Layered<L2oDm> {
  public:
    static constexpr l2o::About about{
        .id = "l2o_dm",
        .version = "1.0.0",
        .title = "L2O-DM: a two-layer LSTM applied to every coordinate",
        .doc =
            "Andrychowicz et al. 2016 (arXiv:1606.04474v2), section 2.1. Every coordinate is one run of a "
            "small shared LSTM that reads the gradient and writes the update. The survey's benchmark uses "
            "log_sign with output_scale 0.01 for neural networks, identity with output_scale 1 elsewhere"};
    static constexpr const char* tags[] = {"coordinate-wise"};

    static l2o::Options<L2oDm> options() {
        l2o::Options<L2oDm> o;
        o.choice("preprocess",
                 &L2oDm::preprocess_,
                 {"log_sign", "identity"},
                 "what the network reads: logarithm and sign of the gradient, or the gradient itself");
        o.real("log_sign_k",
               &L2oDm::log_sign_k_,
               "log_sign: gradients below exp(-k) are told apart by their value, others by their logarithm",
               {0, 80, true, false});
        o.real("output_scale", &L2oDm::output_scale_, "factor of the network's output", l2o::kPositive);
        o.integer("hidden", &L2oDm::hidden_, "size of each of the two layers", l2o::between(1, 1024));
        return o;
    }

    void declare(l2o::OptimizerSpec& spec) {
        auto& [reads, layer1, layer2, linear] = net_.parts;
        if (preprocess_ == Preprocess::kLogSign) reads.k = log_sign_k_;
        layer1.declare(spec,
                       {.weights = "lstm_1", .h = "h1", .c = "c1"},
                       reads.outputs(),
                       hidden_,
                       nets::kPerCoordinate);
        layer2.declare(
            spec, {.weights = "lstm_2", .h = "h2", .c = "c2"}, hidden_, hidden_, nets::kPerCoordinate);
        linear.declare(spec, {.w = "linear/w", .b = "linear/b", .doc = "read-out"}, hidden_, 1);
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
        const auto update = [scale = T(output_scale_)](auto r, auto x) { return x + scale * r; };
        for (std::size_t k = 0; k < step.blocks(); ++k)
            step.set_x(net.template at<1>(k, std::array{step.g(k)}, update, std::array{step.x(k)}), k);
    }

  private:
    enum class Preprocess { kLogSign, kIdentity };

    Preprocess preprocess_ = Preprocess::kLogSign;
    double log_sign_k_ = 5, output_scale_ = 0.01;
    std::int64_t hidden_ = 20;
    nets::Net<nets::LogAndSign, nets::Lstm, nets::Lstm, nets::Dense<nets::Linear>> net_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<L2oDm>)
