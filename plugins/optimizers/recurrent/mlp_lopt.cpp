// The learned optimizer MLPLOpt of learned_optimization (Metz et al. 2022, "Practical tradeoffs between
// memory, compute, and performance in learned optimizers", arXiv:2203.11860, table 1), first in Metz et al.
// 2019 (arXiv:1810.10180): an MLP reads the gradient, the variable, the gradient's means over six time scales
// and eleven features of time. Symbols: m_i' = d_i m_i + (1 - d_i) g, from zero and not corrected for it.
#include "feature_net.hpp"

namespace {

using l2o::recurrent::Block;
using l2o::recurrent::Chunk;
using l2o::recurrent::Index;
using l2o::recurrent::kGradient;
using l2o::recurrent::kLanes;
using l2o::recurrent::load_lanes;
using l2o::recurrent::store_lanes;

constexpr double kDecays[] = {0.1, 0.5, 0.9, 0.99, 0.999, 0.9999};
constexpr Index kMeans = 6;

class MlpLopt : public l2o::recurrent::FeatureNet<MlpLopt> {
  public:
    static constexpr l2o::About about{
        .id = "mlp_lopt",
        .version = "1.0.0",
        .title = "MLPLOpt: an MLP on normalised momenta and time, applied to every coordinate",
        .doc =
            "Metz et al. 2022 (arXiv:2203.11860), MLPLOpt. g, x and the means of g with decays .1, .5, .9, "
            ".99, "
            ".999 and .9999, each divided by sqrt(1e-5 + its mean square over the tensor), and tanh(t / tau "
            "- "
            "1) for eleven tau go through a network with outputs o0, o1; x <- x - step_mult o0 exp(exp_mult "
            "o1). It knows the time: train it for as many steps as it will run. A step is of the order of "
            "step_mult whatever the objective's scale. Originally trained by pes"};

    MlpLopt() { hidden_ = 32; }
    static l2o::Options<MlpLopt> options() { return FeatureNet::options(); }

    void declare(l2o::OptimizerSpec& spec) {
        for (const char* decay : {"0.1", "0.5", "0.9", "0.99", "0.999", "0.9999"})
            means_.push_back(
                spec.state_like_x(std::string("mean_") + decay, std::string("of g, decay ") + decay));
        declare_net(spec);
    }

    static constexpr Index kFeatures = 2 + kMeans;
    static constexpr const char* kFeatureNames = "g, x, means of g by decay";

    template <class T>
    struct Front {
        const MlpLopt& method;
        T* bar;  // [capacity]

        Front(l2o::Scratch& scratch, const MlpLopt& of, const l2o::StepIn<T>*)
            : method(of), bar(scratch.take<T>(of.capacity())) {}

        void forward(const l2o::StepIn<T>& in,
                     const l2o::StepOut<T>* out,
                     const Chunk& chunk,
                     const Block<T>& raw) const {
            const auto load = [](const T* from) { return load_lanes(from, kLanes<T>); };
            for (Index i = 0; i < kMeans; ++i) {
                const T decay = T(kDecays[i]), rest = T(1 - kDecays[i]);
                T *mean = raw.at(2 + i, 0), *g = raw.at(kGradient, 0);
                gather(in.state(method.state(i, chunk)), chunk.at, mean);
                for (Index at = 0; at < chunk.at.count; at += kLanes<T>)
                    store_lanes<T>(decay * load(mean + at) + rest * load(g + at), mean + at, kLanes<T>);
                if (out != nullptr) scatter(mean, chunk.at, out->state(method.state(i, chunk)));
            }
        }
        void reverse(const l2o::StepIn<T>&,
                     const l2o::StepCot<T>& cot,
                     const l2o::StepAcc<T>& acc,
                     const Chunk& chunk,
                     const Block<T>&,
                     const Block<T>& raw_bar) const {
            const Index n = chunk.at.count;
            for (Index i = 0; i < kMeans; ++i) {
                const l2o::State state = method.state(i, chunk);
                const T decay = T(kDecays[i]), rest = T(1 - kDecays[i]);
                std::fill_n(bar, n, T(0));
                if (const l2o::View<const T> from = cot.state(state)) gather(from, chunk.at, bar);
                T *from_net = raw_bar.at(2 + i, 0), *g_bar = raw_bar.at(kGradient, 0);
                for (Index j = 0; j < n; ++j) {
                    const T mean_bar = bar[j] + from_net[j];
                    g_bar[j] += rest * mean_bar;
                    bar[j] = decay * mean_bar;
                }
                if (const l2o::View<T> to = acc.state(state)) scatter_add(bar, chunk.at, to);
            }
        }
        void finish(const l2o::StepAcc<T>&) const {}
    };

  private:
    friend FeatureNet;

    [[nodiscard]] l2o::State state(Index mean, const Chunk& chunk) const {
        return means_[static_cast<std::size_t>(mean)][chunk.block];
    }

    std::vector<l2o::BlockStates> means_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<MlpLopt>)
