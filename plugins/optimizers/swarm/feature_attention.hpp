#pragma once

#include <algorithm>
#include <cmath>
#include <l2o/layers/layered.hpp>
#include <l2o/nets/lstm.hpp>
#include <l2o/nets/tiles.hpp>
#include <l2o/numerics/dual.hpp>
#include <l2o/numerics/packet.hpp>
#include <l2o/numerics/tile_product.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <vector>

namespace l2o::plugins {

using nets::Block, nets::Index, nets::kTile, nets::Tile;

/// Attention over four features s_1 .. s_4 of a coordinate, as part of a net:
///   b_r = v' tanh(W s_r + U h + b),   p = softmax(b),   c = sum of p_r s_r,
/// h the output that an LSTM of the coordinate had in the step before. Its outputs are c and p.
/// Cao et al. 2019, equation 2, per coordinate.
class FeatureAttention {
  public:
    static constexpr int kFeatures = 4;

    /// Parameters attn/W_a [1, width], attn/U_a [hidden, width], attn/b and attn/v_a [width].
    /// @param heard  declared
    void declare(OptimizerSpec& spec, const nets::Lstm& heard, Index width) {
        width_ = width, hidden_ = heard.outputs();
        for (std::size_t k = 0; k < spec.blocks(); ++k) heard_.push_back(heard.h(k));
        w_ = spec.param({.name = "attn/W_a", .doc = "of a feature", .shape = {1, width}});
        u_ = spec.param({.name = "attn/U_a", .doc = "of the output of layer 2", .shape = {hidden_, width}});
        b_ = spec.param({.name = "attn/b", .shape = {width}});
        v_ = spec.param({.name = "attn/v_a", .doc = "read-out", .shape = {width}});
    }
    /// Weights from N(0, 1 / fan-in), biases 0.
    template <class T>
    void init_params(const l2o_call& call, const ParamsOut<T>& params) const {
        nets::fill_normal(params, w_, 1, call), nets::fill_normal(params, b_, 0, call);
        nets::fill_normal(params, u_, 1 / std::sqrt(double(hidden_)), call);
        nets::fill_normal(params, v_, 1 / std::sqrt(double(width_)), call);
    }
    [[nodiscard]] Index inputs() const { return kFeatures; }
    [[nodiscard]] Index outputs() const { return 1 + kFeatures; }

    template <class T>
    class Pass {
        using Four = numerics::Packets<T, kFeatures>;  // a packet of coordinates for each feature
        using One = numerics::Packets<T, 1>;
        using Two = numerics::Packets<T, 2>;

      public:
        Pass(Scratch& scratch, const FeatureAttention& of, const layers::Step<T>& step)
            : of_(of),
              step_(step),
              w_(step.values_of(of.w_).data),
              u_(step.values_of(of.u_).data),
              b_(step.values_of(of.b_).data),
              v_(step.values_of(of.v_).data),
              sums_(scratch, step.goes_back(), {of.width_, of.hidden_ * of.width_, of.width_, of.width_}) {
            const auto take = [&](Block<T>& block, Index rows) {
                block = {scratch.take<T>(rows * kTile), kTile};
                if (block.data != nullptr) std::fill_n(block.data, rows * kTile, T(0));
            };
            take(h_, of.hidden_), take(h_bar_, of.hidden_), take(out_, of.outputs());
            take(heard_, of.width_), take(tanh_, of.width_ * kFeatures), take(b_bar_, kFeatures);
            by_entry_ = scratch.take<T>(numerics::round_up_to_panels<T>(of.width_) * kTile);
        }
        [[nodiscard]] Block<T> output() const { return out_; }

        void forward(std::size_t k, const Tile& tile, const Block<const T>& in, bool taped) const {
            const Index lanes = numerics::round_up_to_lanes<T>(tile.count);
            nets::load(step_.values_of(of_.heard_[k]), of_.hidden_, tile, h_);
            numerics::tile_products(
                u_, of_.width_, of_.hidden_, lanes, h_, [&](const Two& z, Index a, Index at) {
                    (z + b_[a]).store(heard_.at(a, at));
                });
            for (Index at = 0; at < lanes; at += numerics::kPacket<T>) {
                const Four s = rows(in, 0, at);
                Four b = 0;
                for (Index a = 0; a < of_.width_; ++a) {
                    const auto fraction = numerics::tanh_fraction(s * w_[a] + same(heard_, a, at));
                    const Four t = fraction.top / fraction.bottom;
                    if (taped) store(t, tanh_, a * kFeatures, at);
                    b = b + t * v_[a];
                }
                One most = part<0>(b), sum = 0, c = 0;
                each([&](const One& b_r) { most = max(most, b_r); }, b);
                Four p = numerics::exp_minus(all(most) - b);
                each([&](const One& p_r) { sum = sum + p_r; }, p);
                p = p / all(sum);
                each([&](const One& weighed) { c = c + weighed; }, p * s);
                c.store(out_.at(0, at));
                store(p, out_, 1, at);
            }
        }
        void reverse(std::size_t k,
                     const Tile& tile,
                     const Block<const T>& in,
                     const Block<T>& out_bar,
                     const Block<T>& in_bar) const {
            const Index width = of_.width_, lanes = numerics::round_up_to_lanes<T>(tile.count);
            for (Index at = 0; at < lanes; at += numerics::kPacket<T>) {
                const Four p = rows(out_, 1, at), c_bar = same(out_bar, 0, at);
                const Four p_bar = rows(out_bar, 1, at) + c_bar * rows(in, 0, at);
                One mean = 0;
                each([&](const One& term) { mean = mean + term; }, p * p_bar);
                store(p * (p_bar - all(mean)), b_bar_, 0, at);
                if (in_bar.data != nullptr) store(p * c_bar, in_bar, 0, at);
            }
            for (Index a = 0; a < width; ++a) {
                Four by_w = 0, by_v = 0;
                for (Index at = 0; at < lanes; at += numerics::kPacket<T>) {
                    const Four t = rows(tanh_, a * kFeatures, at), b_bar = rows(b_bar_, 0, at);
                    const Four z_bar = b_bar * v_[a] * (1 - t * t);
                    by_v = by_v + b_bar * t;
                    by_w = by_w + z_bar * rows(in, 0, at);
                    One sum = 0;
                    each([&](const One& z_bar_r) { sum = sum + z_bar_r; }, z_bar);
                    sum.store(heard_.at(a, at));
                    if (in_bar.data != nullptr) store(rows(in_bar, 0, at) + z_bar * w_[a], in_bar, 0, at);
                }
                sums_[0][a] += total(by_w), sums_[3][a] += total(by_v);
            }
            // From here on heard_ holds its own cotangent.
            const Index padded = numerics::round_up_to_panels<T>(width);
            if (padded > width) std::fill_n(by_entry_, tile.count * padded, T(0));
            numerics::transpose(heard_.data, width, tile.count, heard_.stride, by_entry_, padded);
            numerics::add_outer_products<T>(
                h_, of_.hidden_, tile.count, by_entry_, width, sums_[1], sums_[2]);
            const View<T> to = step_.accumulator_of(of_.heard_[k]);
            if (!to) return;
            numerics::products_by_row<false>(u_, of_.hidden_, width, lanes, heard_, h_bar_);
            nets::store<true>(h_bar_, of_.hidden_, tile, to);
        }
        void finish() const {
            sums_.add_to(0, step_.accumulator_of(of_.w_)), sums_.add_to(1, step_.accumulator_of(of_.u_));
            sums_.add_to(2, step_.accumulator_of(of_.b_)), sums_.add_to(3, step_.accumulator_of(of_.v_));
        }

      private:
        template <int r>
        static One part(const Four& of) {
            return of.template part<r, 1>();
        }
        template <class F>
        static void each(F&& f, const Four& of) {
            f(part<0>(of)), f(part<1>(of)), f(part<2>(of)), f(part<3>(of));
        }
        static Four all(const One& value) {
            Four out;
            for (auto& packet : out.packet) packet = value.packet[0];
            return out;
        }
        /// One row for all features.
        static Four same(const Block<const T>& block, Index row, Index at) {
            return all(One::load(block.at(row, at)));
        }
        static Four rows(const Block<const T>& block, Index first, Index at) {
            Four out;
            for (int r = 0; r < kFeatures; ++r) out.packet[r] = One::load(block.at(first + r, at)).packet[0];
            return out;
        }
        static void store(const Four& from, const Block<T>& block, Index first, Index at) {
            Index r = first;
            each([&](const One& row) { row.store(block.at(r++, at)); }, from);
        }
        static double total(const Four& of) {
            alignas(64) T values[kFeatures * numerics::kPacket<T>];
            of.store(values);
            double sum = 0;
            for (const T value : values) sum += double(value);
            return sum;
        }

        const FeatureAttention& of_;
        const layers::Step<T>& step_;
        const T *w_, *u_, *b_, *v_;
        Block<T> h_, h_bar_, out_, heard_, tanh_, b_bar_;
        T* by_entry_;
        nets::GradientSums<4> sums_;
    };

  private:
    Index width_ = 0, hidden_ = 0;
    std::vector<State> heard_;
    Param w_, u_, b_, v_;
};

}  // namespace l2o::plugins
