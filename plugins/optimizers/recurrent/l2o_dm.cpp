// Andrychowicz et al. 2016, "Learning to learn by gradient descent by gradient descent" (arXiv:1606.04474v2),
// section 2.1: a coordinate-wise LSTM maps the gradient to the update. Symbols: h1, c1, h2, c2 state of the
// two layers; per coordinate  x' = x + output_scale (h2' w + b). Deviation from the paper, that of its
// authors' code: log_sign_k = 5 instead of p = 10, see log_and_sign.hpp.
#include <l2o/numerics/log_and_sign.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>

#include "lstm_net.hpp"

namespace {

using l2o::recurrent::Index;
using l2o::recurrent::kTile;
using l2o::recurrent::LayerStates;
using l2o::recurrent::LstmNet;
using l2o::recurrent::Tile;

enum class Preprocess { kLogSign, kIdentity };

class L2oDm {
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
        net_.declare(spec, preprocess_ == Preprocess::kLogSign ? 2 : 1, hidden_);
        spec.coordinatewise().reads_g().minimises();
        l2o::Scratch scratch;
        if (spec.problem().dtype == L2O_F64)
            Workspace<double>(scratch, net_), Reverse<double>(scratch, net_);
        else
            Workspace<float>(scratch, net_), Reverse<float>(scratch, net_);
        spec.info.scratch_fixed = scratch.bytes();
    }

    template <class T>
    void init_params(const l2o_call& call,
                     const l2o::Tensors<const T>&,
                     const l2o::Tensors<T>& params) const {
        net_.init_params(call, params);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        l2o::Scratch scratch(in.call);
        const Workspace<T> work(scratch, net_);
        const LstmNet::Bound<T> net(net_, in);
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const l2o::View<const T> x = in.x(k);
            const l2o::View<T> x_next = out.x(k);
            l2o::recurrent::for_each_tile(x.rows * x.cols, [&](const Tile& tile) {
                preprocess(in.g(k), tile, work);
                net_.load_state(in, k, tile, work.from);
                net.forward(tile.count, work.features, work.from, work.to, work.read_out);
                net_.store_state(work.to, out, k, tile);
                move(x, tile, work.read_out, x_next);
            });
        }
    }

    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        l2o::Scratch scratch(in.call);
        const Workspace<T> work(scratch, net_);
        const Reverse<T> reverse(scratch, net_);
        const LstmNet::Bound<T> net(net_, in);
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const l2o::View<const T> x_bar = cot.x(k);
            l2o::recurrent::for_each_tile(in.x(k).rows * in.x(k).cols, [&](const Tile& tile) {
                preprocess(in.g(k), tile, work);
                net_.load_state(in, k, tile, work.from);
                net.forward(tile.count, work.features, work.from, work.to, work.read_out, &reverse.tape);

                std::fill_n(reverse.read_out_bar, kTile, T(0));
                if (x_bar) {
                    l2o::recurrent::gather(x_bar, tile, reverse.read_out_bar);
                    if (acc.x(k)) l2o::recurrent::scatter_add(reverse.read_out_bar, tile, acc.x(k));
                    for (Index i = 0; i < tile.count; ++i) reverse.read_out_bar[i] *= T(output_scale_);
                }
                net_.load_cotangent(cot, k, tile, reverse.cot);
                std::fill_n(reverse.features_bar.data, net_.inputs() * kTile, T(0));
                net.reverse(tile.count,
                            work.features,
                            work.from,
                            work.to,
                            reverse.read_out_bar,
                            reverse.tape,
                            reverse.cot,
                            reverse.gradient,
                            acc.g(k) ? reverse.features_bar : l2o::numerics::Block<T>{});
                net_.add_cotangent(reverse.cot, acc, k, tile);
                if (acc.g(k)) add_gradient_cotangent(work, tile, reverse, acc.g(k));
            });
        }
        net_.add_gradient(reverse.gradient, acc);
    }

  private:
    template <class T>
    struct Workspace {
        T* g;
        l2o::numerics::Block<T> features;
        LayerStates<T> from, to;
        T* read_out;

        Workspace(l2o::Scratch& scratch, const LstmNet& net)
            : g(scratch.take<T>(kTile)),
              features{scratch.take<T>(net.inputs() * kTile), kTile},
              from(scratch, net.hidden()),
              to(scratch, net.hidden()),
              read_out(scratch.take<T>(kTile)) {}
    };
    template <class T>
    struct Reverse {
        LstmNet::Tape<T> tape;
        LstmNet::Gradient gradient;
        LayerStates<T> cot;
        T *read_out_bar, *g_bar;
        l2o::numerics::Block<T> features_bar;

        Reverse(l2o::Scratch& scratch, const LstmNet& net)
            : tape(scratch, net),
              gradient(scratch, net),
              cot(scratch, net.hidden()),
              read_out_bar(scratch.take<T>(kTile)),
              g_bar(scratch.take<T>(kTile)),
              features_bar{scratch.take<T>(net.inputs() * kTile), kTile} {}
    };

    template <class T>
    void preprocess(const l2o::View<const T>& g, const Tile& tile, const Workspace<T>& work) const {
        const auto n = static_cast<std::size_t>(tile.count);
        l2o::recurrent::gather(g, tile, work.g);
        if (preprocess_ == Preprocess::kIdentity)
            std::copy_n(work.g, n, work.features.data);
        else
            l2o::numerics::log_and_sign<T>(
                {work.g, n}, T(log_sign_k_), {work.features.at(0, 0), n}, {work.features.at(1, 0), n});
    }
    template <class T>
    void add_gradient_cotangent(const Workspace<T>& work,
                                const Tile& tile,
                                const Reverse<T>& reverse,
                                const l2o::View<T>& g_bar) const {
        const auto n = static_cast<std::size_t>(tile.count);
        const l2o::numerics::Block<T>& bar = reverse.features_bar;
        if (preprocess_ == Preprocess::kIdentity) return l2o::recurrent::scatter_add(bar.data, tile, g_bar);
        std::fill_n(reverse.g_bar, n, T(0));
        l2o::numerics::log_and_sign_vjp<T>(
            {work.g, n}, T(log_sign_k_), {bar.at(0, 0), n}, {bar.at(1, 0), n}, {reverse.g_bar, n});
        l2o::recurrent::scatter_add(reverse.g_bar, tile, g_bar);
    }
    template <class T>
    void move(const l2o::View<const T>& x, const Tile& tile, T* read_out, const l2o::View<T>& x_next) const {
        // Two roundings on purpose: a fused multiply-add in the vector loop only would make the bits depend
        // on where a coordinate lies.
        using Lanes = l2o::numerics::Lanes<T>;
        for (Index at = 0; at < tile.count; at += l2o::numerics::kLanes<T>)
            Eigen::Map<Lanes>(read_out + at) *= T(output_scale_);
        tile.pieces(x, 1, [&](const T* from, Index count, Index at) {
            for (Index i = 0; i < count; ++i) read_out[at + i] += from[i];
        });
        tile.pieces(x_next, 1, [&](T* to, Index count, Index at) { std::copy_n(read_out + at, count, to); });
    }

    Preprocess preprocess_ = Preprocess::kLogSign;
    double log_sign_k_ = 5;
    double output_scale_ = 0.01;
    std::int64_t hidden_ = 20;
    LstmNet net_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<L2oDm>)
