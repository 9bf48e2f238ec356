// What L2O-DM and its descendants have in common: the gradient of a coordinate goes through a front end of
// the method's own, then through the network; x' = x + output_scale r, r the read-out or its tanh.
#pragma once

#include <algorithm>
#include <l2o/numerics/lanes.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>

#include "lstm_net.hpp"

namespace l2o::recurrent {

/// Base of a method, which has
///   static constexpr bool kBounded;                       the update is output_scale tanh(read-out)
///   template <class T> struct Front {                     the front end for a tile, with its memory
///       Front(Scratch&, const Method&);
///       void forward(const StepIn<T>&, std::size_t block, const Tile&, const Block<T>& features);
///       void store(const StepOut<T>&, std::size_t block, const Tile&);      state of its own
///       bool wants_cotangent(const StepAcc<T>&, std::size_t block);
///       void reverse(const StepIn<T>&, const StepCot<T>&, const StepAcc<T>&, std::size_t block, const Tile&,
///                    const Block<T>& features, const Block<T>& features_bar);   if it wants a cotangent
///       void finish(const StepAcc<T>&);                                     sums over all tiles
///   };
/// and whose declare() ends with reserve_scratch().
template <class Method>
class CoordinateWise {
  public:
    template <class T>
    void step(const StepIn<T>& in, const StepOut<T>& out) const {
        Scratch scratch(in.call);
        Workspace<T> work(scratch, self());
        const LstmNet::Bound<T> net(net_, in);
        for (std::size_t k = 0; k < in.blocks(); ++k)
            for_each_tile(in.x(k).rows * in.x(k).cols, [&](const Tile& tile) {
                work.front.forward(in, k, tile, work.features);
                net_.load_state(in, k, tile, work.from);
                net.forward(tile.count, work.features, work.from, work.to, work.read_out);
                net_.store_state(work.to, out, k, tile);
                work.front.store(out, k, tile);
                respond(tile, work.read_out);
                move(in.x(k), tile, work.read_out, out.x(k));
            });
    }

    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        Scratch scratch(in.call);
        Workspace<T> work(scratch, self());
        const Reverse<T> reverse(scratch, net_);
        const LstmNet::Bound<T> net(net_, in);
        for (std::size_t k = 0; k < in.blocks(); ++k)
            for_each_tile(in.x(k).rows * in.x(k).cols, [&](const Tile& tile) {
                work.front.forward(in, k, tile, work.features);
                net_.load_state(in, k, tile, work.from);
                net.forward(tile.count, work.features, work.from, work.to, work.read_out, &reverse.tape);
                respond(tile, work.read_out);

                std::fill_n(reverse.read_out_bar, kTile, T(0));
                if (const View<const T> x_bar = cot.x(k)) {
                    gather(x_bar, tile, reverse.read_out_bar);
                    if (acc.x(k)) scatter_add(reverse.read_out_bar, tile, acc.x(k));
                    for (Index i = 0; i < tile.count; ++i)
                        reverse.read_out_bar[i] *=
                            T(output_scale_) *
                            (Method::kBounded ? 1 - work.read_out[i] * work.read_out[i] : T(1));
                }
                net_.load_cotangent(cot, k, tile, reverse.cot);
                const bool goes_on = work.front.wants_cotangent(acc, k);
                std::fill_n(reverse.features_bar.data, net_.inputs() * kTile, T(0));
                net.reverse(tile.count,
                            work.features,
                            work.from,
                            work.to,
                            reverse.read_out_bar,
                            reverse.tape,
                            reverse.cot,
                            reverse.gradient,
                            goes_on ? reverse.features_bar : numerics::Block<T>{});
                net_.add_cotangent(reverse.cot, acc, k, tile);
                if (goes_on) work.front.reverse(in, cot, acc, k, tile, work.features, reverse.features_bar);
            });
        net_.add_gradient(reverse.gradient, acc);
        work.front.finish(acc);
    }

  protected:
    void reserve_scratch(OptimizerSpec& spec) const {
        spec.scratch([this](Scratch& scratch, Index, auto scalar) {
            using T = decltype(scalar);
            Workspace<T>(scratch, self()), Reverse<T>(scratch, net_);
        });
    }

    double output_scale_ = 0.01;
    std::int64_t hidden_ = 20;
    LstmNet net_;

  private:
    template <class T>
    struct Workspace {
        typename Method::template Front<T> front;
        numerics::Block<T> features;
        LayerStates<T> from, to;
        T* read_out;

        Workspace(Scratch& scratch, const Method& method)
            : front(scratch, method),
              features{scratch.take<T>(method.net_.inputs() * kTile), kTile},
              from(scratch, method.net_.hidden()),
              to(scratch, method.net_.hidden()),
              read_out(scratch.take<T>(kTile)) {}
    };
    template <class T>
    struct Reverse {
        LstmNet::Tape<T> tape;
        LstmNet::Gradient gradient;
        LayerStates<T> cot;
        T* read_out_bar;
        numerics::Block<T> features_bar;

        Reverse(Scratch& scratch, const LstmNet& net)
            : tape(scratch, net),
              gradient(net.gradient(scratch)),
              cot(scratch, net.hidden()),
              read_out_bar(scratch.take<T>(kTile)),
              features_bar{scratch.take<T>(net.inputs() * kTile), kTile} {}
    };

    [[nodiscard]] const Method& self() const { return static_cast<const Method&>(*this); }

    template <class T>
    static void respond(const Tile& tile, T* read_out) {
        using Lanes = numerics::Lanes<T>;
        for (Index at = 0; Method::kBounded && at < tile.count; at += numerics::kLanes<T>)
            Eigen::Map<Lanes>(read_out + at) = Eigen::Map<Lanes>(read_out + at).tanh();
    }
    template <class T>
    void move(const View<const T>& x, const Tile& tile, T* read_out, const View<T>& x_next) const {
        // Two roundings on purpose: a fused multiply-add in the vector loop only would make the bits depend
        // on where a coordinate lies.
        using Lanes = numerics::Lanes<T>;
        for (Index at = 0; at < tile.count; at += numerics::kLanes<T>)
            Eigen::Map<Lanes>(read_out + at) *= T(output_scale_);
        tile.pieces(x, 1, [&](const T* from, Index count, Index at) {
            for (Index i = 0; i < count; ++i) read_out[at + i] += from[i];
        });
        scatter(read_out, tile, x_next);
    }
};

}  // namespace l2o::recurrent
