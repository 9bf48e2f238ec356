#include <string>
#include <vector>

#include "mlp_method.hpp"

namespace {

constexpr double kDecays[] = {0.1, 0.5, 0.9, 0.99, 0.999, 0.9999};

// The learned optimizer MLPLOpt of learned_optimization (Metz et al. 2022, "Practical tradeoffs between
// memory, compute, and performance in learned optimizers", arXiv:2203.11860, table 1), first in Metz et al.
// 2019 (arXiv:1810.10180): an MLP reads the gradient, the variable, the gradient's means over six time scales
// and eleven features of time. Symbols: m_i' = d_i m_i + (1 - d_i) g, from zero and not corrected for it.
class MlpLopt : public l2o::recurrent::MlpMethod<MlpLopt, 2 + std::size(kDecays)> {
  public:
    static constexpr l2o::About about{
        .id = "mlp_lopt",
        .version = "1.0.0",
        .title = "MLPLOpt: an MLP on normalised momenta and time, applied to every coordinate",
        .doc =
            "Metz et al. 2022 (arXiv:2203.11860), MLPLOpt. g, x and the means of g with decays .1, .5, .9, "
            ".99, .999 and .9999, each divided by sqrt(1e-5 + its mean square over the tensor), and tanh(t / "
            "tau - 1) for eleven tau go through a network with outputs o0, o1; x <- x - step_mult o0 "
            "exp(exp_mult o1). It knows the time: train it for as many steps as it will run. A step is of "
            "the order of step_mult whatever the objective's scale. Originally trained by pes"};

    MlpLopt() { hidden_ = 32; }
    static l2o::Options<MlpLopt> options() { return MlpMethod::options(); }

    void declare(l2o::OptimizerSpec& spec) {
        for (const char* decay : {"0.1", "0.5", "0.9", "0.99", "0.999", "0.9999"})
            means_.push_back(
                spec.state_like_x(std::string("mean_") + decay, std::string("of g, decay ") + decay));
        declare_net(spec, "g, x, means of g by decay");
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        auto net = run_net(step);
        for (std::size_t k = 0; k < step.blocks(); ++k) {
            const auto x = step.x(k), g = step.g(k);
            Features<T> features{g, x};
            for (std::size_t i = 0; i < means_.size(); ++i) {
                const auto mean = [d = T(kDecays[i]), rest = T(1 - kDecays[i])](auto m, auto g_j) {
                    return d * m + rest * g_j;
                };
                const l2o::State& state = means_[i][k];
                features[2 + i] = step.set(state, map(mean, step.state(state), g));
            }
            move(step, net, k, features, x);
        }
    }

  private:
    friend MlpMethod;

    std::vector<l2o::BlockStates> means_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<MlpLopt>)
