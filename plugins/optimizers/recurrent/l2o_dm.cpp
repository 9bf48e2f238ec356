#include <l2o/nets/two_lstms.hpp>

namespace {

// Andrychowicz et al. 2016, "Learning to learn by gradient descent by gradient descent" (arXiv:1606.04474v2),
// section 2.1: a coordinate-wise LSTM maps the gradient to the update. Symbols: h1, c1, h2, c2 state of the
// two layers; per coordinate  x' = x + output_scale (h2' w + b). Deviation from the paper, that of its
// authors' code: log_sign_k = 5 instead of p = 10, see nets/log_and_sign.hpp.
class L2oDm : public l2o::nets::TwoLstms<L2oDm> {
  public:
    static constexpr l2o::About about{
        .id = "l2o_dm",
        .version = "1.0.0",
        .title = "L2O-DM: a two-layer LSTM applied to every coordinate",
        .doc =
            "Andrychowicz et al. 2016 (arXiv:1606.04474v2), section 2.1. Every coordinate is one run of a "
            "small shared LSTM that reads the gradient and writes the update. The survey's benchmark uses "
            "log_sign with output_scale 0.01 for neural networks, identity with output_scale 1 elsewhere"};

    static l2o::Options<L2oDm> options() {
        return options_of_net(
            "what the network reads: logarithm and sign of the gradient, or the gradient itself");
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_net(spec);
        spec.coordinatewise().reads_g().minimises();
        measure(spec);
    }

    template <class T>
    void init_params(const l2o_call& call, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        net_.init_params(call, params);
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        l2o::nets::Running net(net_, step);
        for (std::size_t k = 0; k < step.blocks(); ++k) step.set_x(moved(net, k, step.g(k), step.x(k)), k);
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<L2oDm>)
