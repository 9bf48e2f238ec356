// A fully connected layer as part of a net.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <l2o/layers/layered.hpp>
#include <l2o/nets/tiles.hpp>
#include <l2o/numerics/dual.hpp>
#include <l2o/numerics/tile_product.hpp>
#include <l2o/numerics/transpose.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <span>
#include <string>

namespace l2o::nets {

// Activations: of numbers (numerics::Packets), and their slope by what they gave.
struct Linear {
    static constexpr auto apply = [](const auto& z) { return z; };
    static constexpr auto slope = []<class V>(const V&) { return V(1); };
};
/// A NaN stays one, so that a diverged iterate is seen.
struct Relu {
    static constexpr auto apply = []<class V>(const V& z) { return max(z, V(0)); };
    static constexpr auto slope = [](const auto& h) { return sign(h); };
};
struct Elu {
    static constexpr auto apply = []<class V>(const V& z) { return max(z, exp(min(z, V(0))) - 1); };
    static constexpr auto slope = []<class V>(const V& h) { return min(h, V(0)) + 1; };
};
struct Tanh {
    static constexpr auto apply = [](const auto& z) { return tanh(z); };
    static constexpr auto slope = [](const auto& h) { return 1 - h * h; };
};
struct TwiceLogistic {
    static constexpr auto apply = [](const auto& z) { return 2 / (1 + exp(-z)); };
    static constexpr auto slope = [](const auto& h) { return h * (1 - h / 2); };
};

/// h = activation(input w + b). The input's last rows may be constants, the same for all entries of a step:
/// they cost no product, being part of the bias.
template <class Activation>
class Dense {
  public:
    struct Names {
        std::string w, b, doc;
    };
    /// Parameters w [inputs, outputs] and b [outputs].   @param constants  how many of the inputs are.
    void declare(OptimizerSpec& spec, const Names& names, Index inputs, Index outputs, Index constants = 0) {
        inputs_ = inputs, outputs_ = outputs, constants_ = constants;
        w_ = spec.param({.name = names.w, .doc = names.doc, .shape = {inputs, outputs}});
        b_ = spec.param({.name = names.b, .shape = {outputs}});
    }
    /// Weights from a normal truncated at two standard deviations 1 / sqrt(fan-in), biases 0.
    /// Source: the default initialisers of Haiku and Sonnet.
    template <class T>
    void init_params(const l2o_call& call, const ParamsOut<T>& params) const {
        fill_truncated_normal(params, w_, 1 / std::sqrt(double(inputs_)), call);
        if (const View<T> b = params[b_]) fill(b, T(0));
    }

    /// Without the constants.
    [[nodiscard]] Index inputs() const { return inputs_ - constants_; }
    [[nodiscard]] Index outputs() const { return outputs_; }

    /// The layer in one step, tile by tile.
    template <class T>
    class Pass {
        using Two = numerics::Packets<T, 2>;

      public:
        Pass(Scratch& scratch, const Dense& of, const layers::Step<T>& step)
            : of_(of),
              step_(step),
              w_(step.values_of(of.w_).data),
              constants_(scratch.take<T>(of.constants_)),
              bias_(scratch.take<T>(of.outputs_)),
              out_{scratch.take<T>(of.outputs_ * kTile), kTile},
              by_entry_(scratch.take<T>(numerics::round_up_to_panels<T>(of.outputs_) * kTile)),
              sums_(scratch, step.goes_back(), {of.inputs_ * of.outputs_, of.outputs_}) {
            if (bias_ != nullptr) std::copy_n(step.values_of(of.b_).data, of.outputs_, bias_);
        }
        /// The constant inputs of this step; before the first forward().
        void set_constants(std::span<const double> values) {
            if (bias_ == nullptr) return;
            const T* w = w_ + of_.inputs() * of_.outputs_;
            for (std::size_t i = 0; i < values.size(); ++i, w += of_.outputs_) {
                constants_[i] = T(values[i]);
                for (Index o = 0; o < of_.outputs_; ++o) bias_[o] += w[o] * constants_[i];
            }
        }
        [[nodiscard]] Block<T> output() const { return out_; }

        /// Of entries of a tile.   @param in  [inputs, n], up to whole lanes.
        /// The bits of an entry depend neither on how many there are nor on its position.
        void forward(std::size_t, const Tile& tile, const Block<const T>& in, bool) const {
            numerics::tile_products(w_,
                                    of_.outputs_,
                                    of_.inputs(),
                                    numerics::round_up_to_lanes<T>(tile.count),
                                    in,
                                    [&](const Two& z, Index o, Index at) {
                                        Activation::apply(z + bias_[o]).store(out_.at(o, at));
                                    });
        }
        /// @param out_bar  [outputs, n], zeros up to whole lanes; overwritten.
        /// @param in_bar   [inputs, n], written up to whole lanes; data NULL: not wanted.
        void reverse(std::size_t,
                     const Tile& tile,
                     const Block<const T>& in,
                     const Block<T>& out_bar,
                     const Block<T>& in_bar) const {
            const Index n = tile.count, lanes = numerics::round_up_to_lanes<T>(n);
            for (Index o = 0; o < of_.outputs_; ++o) {
                Lanes<T> sum = Lanes<T>::Zero();
                for (Index at = 0; at < lanes; at += kLanes<T>) {
                    const Two z_bar =
                        Two::load(out_bar.at(o, at)) * Activation::slope(Two::load(out_.at(o, at)));
                    z_bar.store(out_bar.at(o, at));
                    sum += Eigen::Map<const Lanes<T>>(out_bar.at(o, at));
                }
                sums_[1][o] += sum.template cast<double>().sum();
            }
            if (in_bar.data != nullptr)
                numerics::products_by_row<false>(w_, of_.inputs(), of_.outputs_, lanes, out_bar, in_bar);
            if (of_.outputs_ <= 2) return add_narrow(n, in, out_bar);
            const Index padded = numerics::round_up_to_panels<T>(of_.outputs_);
            if (padded > of_.outputs_) std::fill_n(by_entry_, n * padded, T(0));
            numerics::transpose(out_bar.data, of_.outputs_, n, out_bar.stride, by_entry_, padded);
            numerics::add_outer_products<T>(in, of_.inputs(), n, by_entry_, of_.outputs_, sums_[0]);
        }
        /// Adds the sums over all tiles to the accumulators, with what constant inputs get of the bias.
        void finish() const {
            double* w = sums_[0] + of_.inputs() * of_.outputs_;
            for (Index i = 0; i < of_.constants_; ++i, w += of_.outputs_)
                for (Index o = 0; o < of_.outputs_; ++o) w[o] += double(constants_[i]) * sums_[1][o];
            sums_.add_to(0, step_.accumulator_of(of_.w_));
            sums_.add_to(1, step_.accumulator_of(of_.b_));
        }

      private:
        /// The outer products of one or two columns, which would mostly be padding.
        void add_narrow(Index n, const Block<const T>& in, const Block<const T>& z_bar) const {
            using Row = Eigen::Map<const Eigen::Array<T, 1, Eigen::Dynamic>>;
            for (Index i = 0; i < of_.inputs(); ++i)
                for (Index o = 0; o < of_.outputs_; ++o)
                    sums_[0][i * of_.outputs_ + o] +=
                        double((Row(in.at(i, 0), n) * Row(z_bar.at(o, 0), n)).sum());
        }

        const Dense& of_;
        const layers::Step<T>& step_;
        const T* w_;
        T *constants_, *bias_;
        Block<T> out_;
        T* by_entry_;
        GradientSums<2> sums_;
    };

  private:
    Index inputs_ = 0, outputs_ = 0, constants_ = 0;
    Param w_, b_;
};

}  // namespace l2o::nets
