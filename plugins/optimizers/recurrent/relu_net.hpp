// A fully connected network with ReLU that is run on every coordinate, tile by tile.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <l2o/nets/tiles.hpp>
#include <l2o/numerics/tile_product.hpp>
#include <l2o/numerics/transpose.hpp>
#include <string>

namespace l2o::recurrent {

using namespace nets;

/// h_0 = input,  h_{l+1} = relu(h_l w_l + b_l), without the relu for the last. The input's last rows may be
/// constants, the same for all coordinates of a call: they cost no product, being part of the first bias.
/// Blocks are [rows, kTile]; what lies beyond the coordinates in them is any finite number.
template <std::size_t kLayers>
class ReluNet {
  public:
    static constexpr std::size_t kParams = 2 * kLayers;
    using Sizes = std::array<Index, kLayers + 1>;

    /// Parameters <name>/w0 [inputs, outputs], <name>/b0 [outputs] ...
    /// @param constants  how many of the inputs are.
    /// @param doc        of the rows of w0.
    void declare(OptimizerSpec& spec,
                 const std::string& name,
                 const Sizes& sizes,
                 Index constants,
                 const std::string& doc) {
        sizes_ = sizes;
        constants_ = constants;
        for (std::size_t l = 0; l < kLayers; ++l) {
            const std::string number = std::to_string(l);
            params_[2 * l] = spec.param(
                {.name = name + "/w" + number, .doc = l == 0 ? doc : "", .shape = {sizes[l], sizes[l + 1]}});
            params_[2 * l + 1] = spec.param({.name = name + "/b" + number, .shape = {sizes[l + 1]}});
        }
    }

    /// Weights from a normal truncated at two standard deviations 1 / sqrt(fan-in), biases 0.
    /// Source: the default initialisers of Haiku and Sonnet.
    template <class T>
    void init_params(const l2o_call& call, const ParamsOut<T>& params) const {
        for (std::size_t l = 0; l < kLayers; ++l) {
            fill_truncated_normal(params, params_[2 * l], 1 / std::sqrt(double(sizes_[l])), call);
            if (const View<T> b = params[params_[2 * l + 1]]) fill(b, T(0));
        }
    }

    /// Hidden layers of a tile.
    template <class T>
    struct Tape {
        std::array<Block<T>, kLayers> h;  // h[l] is h_{l+1}; the last is the output

        Tape(Scratch& scratch, const ReluNet& net) {
            for (std::size_t l = 0; l < kLayers; ++l)
                h[l] = {scratch.take<T>(net.sizes_[l + 1] * kTile), kTile};
        }
        [[nodiscard]] const Block<T>& output() const { return h[kLayers - 1]; }
    };

    /// What reverse() works with.
    template <class T>
    struct Workspace {
        std::array<Block<T>, 2> bar;
        T* by_coordinate;

        Workspace(Scratch& scratch, const ReluNet& net) {
            const Index widest = *std::max_element(net.sizes_.begin() + 1, net.sizes_.end());
            for (Block<T>& block : bar) block = {scratch.take<T>(widest * kTile), kTile};
            by_coordinate = scratch.take<T>(numerics::round_up_to_panels<T>(widest) * kTile);
        }
    };

    using Gradient = GradientSums<kParams>;
    [[nodiscard]] Gradient gradient(Scratch& scratch) const {
        std::array<Index, kParams> sizes;
        for (std::size_t l = 0; l < kLayers; ++l)
            sizes[2 * l] = sizes_[l] * sizes_[l + 1], sizes[2 * l + 1] = sizes_[l + 1];
        return {scratch, sizes};
    }

    /// The network for one call. Takes its first bias from the scratch.
    template <class T>
    class Bound {
        using Packet = numerics::Packet<T>;

      public:
        /// @param params     of the call.
        /// @param constants  of the input; NULL if there are none, or while the scratch measures.
        Bound(Scratch& scratch, const ReluNet& net, const StepIn<T>* in, const T* constants)
            : net_(net), constants_(constants), first_bias_(scratch.take<T>(net.sizes_[1])) {
            if (in == nullptr) return;
            for (std::size_t l = 0; l < kLayers; ++l) {
                w_[l] = in->param(net.params_[2 * l]).data;
                b_[l] = in->param(net.params_[2 * l + 1]).data;
            }
            std::copy_n(b_[0], net.sizes_[1], first_bias_);
            const T* w = w_[0] + net.varying() * net.sizes_[1];
            for (Index i = 0; i < net.constants_; ++i, w += net.sizes_[1])
                for (Index o = 0; o < net.sizes_[1]; ++o) first_bias_[o] += w[o] * constants[i];
            b_[0] = first_bias_;
        }

        /// @param input  [inputs - constants, n]
        /// The bits of a coordinate depend neither on n nor on its position.
        void forward(Index n, const Block<const T>& input, const Tape<T>& tape) const {
            for (std::size_t l = 0; l < kLayers; ++l) {
                const Block<T>& to = tape.h[l];
                const T* b = b_[l];
                const bool is_last = l + 1 == kLayers;
                numerics::tile_products<numerics::Weights::kInputsByRow>(
                    w_[l],
                    net_.sizes_[l + 1],
                    net_.sizes_[l + 1],
                    l == 0 ? net_.varying() : net_.sizes_[l],
                    whole_lanes(n),
                    l == 0 ? input : Block<const T>(tape.h[l - 1]),
                    [&](Packet low, Packet high, Index o, Index at, Index) {
                        low += b[o], high += b[o];
                        // A NaN stays one, so that a diverged iterate is seen.
                        if (!is_last) low = low < 0 ? Packet{} : low, high = high < 0 ? Packet{} : high;
                        numerics::store_packets<T>(low, high, to.at(o, at), kLanes<T>);
                    });
            }
        }

        /// Adds the cotangents of the parameters but those of constant inputs, see finish().
        /// @param output_bar  [outputs, n], zeros up to whole lanes.
        /// @param input_bar   [inputs - constants, n], written; data NULL: not wanted.
        void reverse(Index n,
                     const Block<const T>& input,
                     const Tape<T>& tape,
                     const Block<const T>& output_bar,
                     const Workspace<T>& work,
                     const Gradient& gradient,
                     const Block<T>& input_bar) const {
            Block<const T> dz = output_bar;
            for (std::size_t l = kLayers; l-- > 0;) {
                const Index outputs = net_.sizes_[l + 1], inputs = l == 0 ? net_.varying() : net_.sizes_[l];
                const Index padded = numerics::round_up_to_panels<T>(outputs);
                const Block<const T> from = l == 0 ? input : Block<const T>(tape.h[l - 1]);
                for (Index o = 0; o < outputs; ++o) {
                    Lanes<T> sum = Lanes<T>::Zero();
                    for (Index at = 0; at < n; at += kLanes<T>) sum += load_lanes(dz.at(o, at), kLanes<T>);
                    gradient[2 * l + 1][o] += sum.template cast<double>().sum();
                }
                if (padded > outputs) std::fill_n(work.by_coordinate, n * padded, T(0));
                numerics::transpose(dz.data, outputs, n, dz.stride, work.by_coordinate, padded);
                numerics::add_outer_products<T>(
                    from, inputs, n, work.by_coordinate, outputs, gradient[2 * l]);

                const Block<T> to = l == 0 ? input_bar : work.bar[l % 2];
                if (to.data == nullptr) return;
                numerics::tile_products<numerics::Weights::kOutputsByRow>(
                    w_[l],
                    outputs,
                    inputs,
                    outputs,
                    whole_lanes(n),
                    dz,
                    [&](Packet low, Packet high, Index i, Index at, Index) {
                        const Packet h_low = numerics::load_packet(from.at(i, at));
                        const Packet h_high = numerics::load_packet(from.at(i, at) + numerics::kPacket<T>);
                        if (l > 0) low = h_low > 0 ? low : Packet{}, high = h_high > 0 ? high : Packet{};
                        numerics::store_packets<T>(low, high, to.at(i, at), kLanes<T>);
                    });
                dz = to;
            }
        }

        /// To the accumulators: the sums over all tiles, and what the constant inputs get of the first bias.
        void finish(const Gradient& gradient, const StepAcc<T>& acc) const {
            double* w = gradient[0] + net_.varying() * net_.sizes_[1];
            for (Index i = 0; i < net_.constants_; ++i, w += net_.sizes_[1])
                for (Index o = 0; o < net_.sizes_[1]; ++o) w[o] += double(constants_[i]) * gradient[1][o];
            gradient.add_to(acc, net_.params_);
        }

      private:
        static Index whole_lanes(Index n) { return numerics::round_up_to_lanes<T>(n); }

        const ReluNet& net_;
        const T* constants_;
        T* first_bias_;
        std::array<const T*, kLayers> w_{}, b_{};
    };

    [[nodiscard]] Index varying() const { return sizes_[0] - constants_; }

  private:
    Sizes sizes_{};
    Index constants_ = 0;
    std::array<Param, kParams> params_;
};

}  // namespace l2o::recurrent
