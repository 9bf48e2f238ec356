// The network of L2O-DM and its descendants: two LSTM layers and a linear read-out, shared by all
// coordinates.
//
// The state of a coordinate, 4 * hidden numbers, lies together in the host's tensors (a slice of coordinates
// is a range of memory); the kernels want coordinates side by side. So coordinates are worked on in tiles:
// gathered and transposed, kept in cache for all that happens to them, scattered again.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <l2o/nets/tiles.hpp>
#include <l2o/numerics/lstm.hpp>
#include <l2o/numerics/transpose.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>
#include <string>
#include <vector>

namespace l2o::recurrent {

using namespace nets;

/// State of the two layers for a tile, or cotangents of it: four blocks [hidden, tile].
template <class T>
struct LayerStates {
    numerics::Block<T> h1, c1, h2, c2;

    LayerStates(Scratch& scratch, Index hidden)
        : h1{take(scratch, hidden)},
          c1{take(scratch, hidden)},
          h2{take(scratch, hidden)},
          c2{take(scratch, hidden)} {}

    [[nodiscard]] const numerics::Block<T>& operator[](std::size_t i) const {
        return i == 0 ? h1 : i == 1 ? c1 : i == 2 ? h2 : c2;
    }

  private:
    static numerics::Block<T> take(Scratch& scratch, Index hidden) {
        return {scratch.take<T>(hidden * kTile), kTile};
    }
};
inline constexpr std::size_t kStates = 4;

/// Parameters and state tensors of the network within an optimizer.
class LstmNet {
  public:
    static constexpr std::size_t kParams = 6;

    /// Adds the parameters "lstm_1/w_gates" ... "linear/b" and, for every block, the state "h1" ... "c2".
    /// @param has_read_out  false: no "linear/w" and "linear/b"; the caller reads h2.
    void declare(OptimizerSpec& spec, Index inputs, Index hidden, bool has_read_out = true) {
        inputs_ = inputs;
        hidden_ = hidden;
        const Index gates = 4 * hidden;
        const char* order = "gates in the order i, j, f, o; the forget bias 1 is not stored";
        params_ = {spec.param({.name = "lstm_1/w_gates", .doc = order, .shape = {inputs + hidden, gates}}),
                   spec.param({.name = "lstm_1/b_gates", .doc = order, .shape = {gates}}),
                   spec.param({.name = "lstm_2/w_gates", .doc = order, .shape = {2 * hidden, gates}}),
                   spec.param({.name = "lstm_2/b_gates", .doc = order, .shape = {gates}})};
        if (has_read_out) {
            params_[4] = spec.param(
                {.name = "linear/w", .doc = "read-out", .axes = "hidden,out", .shape = {hidden, 1}});
            params_[5] = spec.param({.name = "linear/b", .doc = "read-out", .shape = {1}});
        }
        for (std::size_t k = 0; k < spec.blocks(); ++k) {
            for (const char* name : {"h1", "c1", "h2", "c2"})
                states_.push_back(spec.state_of(k,
                                                {.name = name,
                                                 .doc = "output h and cell c of layer 1, 2",
                                                 .axes = "coordinate,hidden",
                                                 .shape = {element_count(spec.block(k)), hidden},
                                                 .batched = true}));
        }
    }

    /// Weights *and gate biases* from a normal truncated at two standard deviations 1 / sqrt(fan-in); the
    /// bias of the read-out is 0.   Source: the default initialisers of Sonnet v1.
    template <class T>
    void init_params(const l2o_call& call, const ParamsOut<T>& params) const {
        const Index fan_in[] = {inputs_ + hidden_, inputs_ + hidden_, 2 * hidden_, 2 * hidden_, hidden_};
        for (std::size_t i = 0; i < std::size(fan_in); ++i)
            if (params_[i]) fill_truncated_normal(params, params_[i], 1 / std::sqrt(double(fan_in[i])), call);
        if (params_[5] && params[params_[5]]) fill(params[params_[5]], T(0));
    }

    template <class T>
    void load_state(const StepIn<T>& in,
                    std::size_t block,
                    const Tile& tile,
                    const LayerStates<T>& to) const {
        for (std::size_t i = 0; i < kStates; ++i) load(in.state(state(block, i)), hidden_, tile, to[i]);
    }
    template <class T>
    void store_state(const LayerStates<T>& from,
                     const StepOut<T>& out,
                     std::size_t block,
                     const Tile& tile) const {
        for (std::size_t i = 0; i < kStates; ++i)
            store<false>(from[i], hidden_, tile, out.state(state(block, i)));
    }
    /// Cotangents of the new state; zero where the host has none.
    template <class T>
    void load_cotangent(const StepCot<T>& cot,
                        std::size_t block,
                        const Tile& tile,
                        const LayerStates<T>& to) const {
        for (std::size_t i = 0; i < kStates; ++i) {
            if (const View<const T> from = cot.state(state(block, i)))
                load(from, hidden_, tile, to[i]);
            else
                std::fill_n(to[i].data, hidden_ * kTile, T(0));
        }
    }
    template <class T>
    void add_cotangent(const LayerStates<T>& from,
                       const StepAcc<T>& acc,
                       std::size_t block,
                       const Tile& tile) const {
        for (std::size_t i = 0; i < kStates; ++i)
            if (const View<T> to = acc.state(state(block, i))) store<true>(from[i], hidden_, tile, to);
    }

    /// What the reverse keeps of the forward pass of a tile, and its workspace.
    template <class T>
    struct Tape {
        numerics::Block<T> layer1, layer2;
        T* workspace;

        Tape(Scratch& scratch, const LstmNet& net)
            : layer1{scratch.take<T>(numerics::kLstmTapeRows * net.hidden_ * kTile), kTile},
              layer2{scratch.take<T>(numerics::kLstmTapeRows * net.hidden_ * kTile), kTile},
              workspace(scratch.take<T>(numerics::lstm_vjp_workspace<T>(net.hidden_, kTile))) {}
    };

    /// Cotangents of the parameters.
    using Gradient = GradientSums<kParams>;
    [[nodiscard]] Gradient gradient(Scratch& scratch) const {
        const Index gates = 4 * hidden_;
        return {scratch, {(inputs_ + hidden_) * gates, gates, 2 * hidden_ * gates, gates, hidden_, Index(1)}};
    }
    template <class T>
    void add_gradient(const Gradient& gradient, const StepAcc<T>& acc) const {
        gradient.add_to(acc, params_);
    }

    /// The network for one step, bound to the parameters of a call.
    template <class T>
    class Bound {
      public:
        Bound(const LstmNet& net, const StepIn<T>& in) : Bound(net, &in) {}
        /// @param in  NULL while the scratch measures.
        Bound(const LstmNet& net, const StepIn<T>* in)
            : layer1_{net.inputs_, net.hidden_, param(net, in, 0), param(net, in, 1)},
              layer2_{net.hidden_, net.hidden_, param(net, in, 2), param(net, in, 3)},
              w_(param(net, in, 4)),
              b_(param(net, in, 5)) {}

        /// read_out [n] = h2' w + b; NULL without a read-out.
        /// @param tape  NULL: no reverse will follow.
        /// The bits of a coordinate depend neither on n nor on its position.
        void forward(Index n,
                     const numerics::Block<T>& features,
                     const LayerStates<T>& from,
                     const LayerStates<T>& to,
                     T* read_out,
                     const Tape<T>* tape = nullptr) const {
            using Lanes = numerics::Lanes<T>;
            numerics::lstm_forward(layer1_,
                                   n,
                                   {features, from.h1, from.c1},
                                   {to.h1, to.c1},
                                   tape == nullptr ? numerics::Block<T>{} : tape->layer1);
            numerics::lstm_forward(layer2_,
                                   n,
                                   {to.h1, from.h2, from.c2},
                                   {to.h2, to.c2},
                                   tape == nullptr ? numerics::Block<T>{} : tape->layer2);
            for (Index at = 0; read_out != nullptr && at < n; at += numerics::kLanes<T>) {
                Lanes sum = Lanes::Constant(*b_);
                for (Index unit = 0; unit < layer2_.hidden; ++unit)
                    sum += w_[unit] * Eigen::Map<const Lanes>(to.h2.at(unit, at));
                Eigen::Map<Lanes>(read_out + at) = sum;
            }
        }

        /// Reverse of forward().
        /// @param read_out_bar  NULL without a read-out.
        /// @param cot           of the new state on entry, of the old one on return.
        /// @param features_bar  [inputs, n], added to; data NULL: not wanted.
        void reverse(Index n,
                     const numerics::Block<T>& features,
                     const LayerStates<T>& from,
                     const LayerStates<T>& to,
                     const T* read_out_bar,
                     const Tape<T>& tape,
                     const LayerStates<T>& cot,
                     const Gradient& gradient,
                     const numerics::Block<T>& features_bar) const {
            using Row = Eigen::Map<Eigen::Array<T, 1, Eigen::Dynamic>>;
            using ConstRow = Eigen::Map<const Eigen::Array<T, 1, Eigen::Dynamic>>;
            const ConstRow bar(read_out_bar, n);
            for (Index unit = 0; w_ != nullptr && unit < layer2_.hidden; ++unit) {
                gradient[4][unit] += double((ConstRow(to.h2.at(unit, 0), n) * bar).sum());
                Row(cot.h2.at(unit, 0), n) += w_[unit] * bar;
            }
            if (w_ != nullptr) gradient[5][0] += double(bar.sum());
            numerics::lstm_vjp(
                layer2_,
                n,
                {to.h1, from.h2, from.c2},
                tape.layer2,
                {cot.h2, cot.c2},
                numerics::LstmGradient<T, double>{gradient[2], gradient[3], cot.h1, cot.h2, cot.c2},
                tape.workspace);
            numerics::lstm_vjp(
                layer1_,
                n,
                {features, from.h1, from.c1},
                tape.layer1,
                {cot.h1, cot.c1},
                numerics::LstmGradient<T, double>{gradient[0], gradient[1], features_bar, cot.h1, cot.c1},
                tape.workspace);
        }

      private:
        static const T* param(const LstmNet& net, const StepIn<T>* in, std::size_t i) {
            return in == nullptr || !net.params_[i] ? nullptr : in->param(net.params_[i]).data;
        }

        numerics::LstmCell<T> layer1_, layer2_;
        const T *w_, *b_;
    };

    [[nodiscard]] Index hidden() const { return hidden_; }
    [[nodiscard]] Index inputs() const { return inputs_; }
    /// Of all blocks.
    [[nodiscard]] const std::vector<State>& states() const { return states_; }

  private:
    [[nodiscard]] const State& state(std::size_t block, std::size_t i) const {
        return states_[kStates * block + i];
    }

    Index inputs_ = 0, hidden_ = 0;
    std::array<Param, kParams> params_;
    std::vector<State> states_;
};

}  // namespace l2o::recurrent
