// The LSTM cell of the learned recurrent optimizers, run on a block of coordinates that share its weights.
//
// Source: Hochreiter & Schmidhuber 1997 with the forget gate of Gers, Schmidhuber & Cummins 2000, in the form
// of Sonnet v1 (gate order i, j, f, o; forget bias 1 added at run time; no peepholes), which the public
// weights of L2O-DM and RNNProp have.
#ifndef L2O_NUMERICS_LSTM_HPP
#define L2O_NUMERICS_LSTM_HPP

#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <cassert>
#include <concepts>
#include <cstring>
#include <type_traits>

#include "l2o/numerics/lanes.hpp"
#include "l2o/numerics/tile_product.hpp"
#include "l2o/numerics/transpose.hpp"
#include "l2o/numerics/view.hpp"

namespace l2o::numerics {

/// The weights of a cell, borrowed. Columns of w and entries of b come in four groups of `hidden`:
/// i, j, f, o.
template <class Scalar>
struct LstmCell {
    Index inputs, hidden;
    const Scalar* w;  // [inputs + hidden, 4 hidden], row-major; the rows of the input first
    const Scalar* b;  // [4 hidden]
};

template <class Scalar>
struct LstmInput {
    Block<const Scalar> x;  // [inputs, n]
    Block<const Scalar> h;  // [hidden, n]
    Block<const Scalar> c;  // [hidden, n]
};

template <class Scalar>
struct LstmOutput {
    Block<Scalar> h;  // [hidden, n]; not the memory of the input h
    Block<Scalar> c;  // [hidden, n]; may be the memory of the input c
};

/// Cotangents of the output.
template <class Scalar>
struct LstmCotangent {
    Block<const Scalar> h;  // [hidden, n]
    Block<const Scalar> c;  // [hidden, n]
};

/// Where the vjp puts the cotangents of weights and input.
template <class Scalar, class Accumulator = Scalar>
struct LstmGradient {
    Accumulator* w;   // [inputs + hidden, 4 hidden], added to
    Accumulator* b;   // [4 hidden], added to
    Block<Scalar> x;  // [inputs, n], added to; data NULL: not wanted
    Block<Scalar> h;  // [hidden, n], written; may be the memory of the cotangent of the output h
    Block<Scalar> c;  // [hidden, n], written; may be the memory of the cotangent of the output c
};

/// Rows of the tape [5 hidden, n]: i, tanh j, f, o after their activations, then tanh c_next.
inline constexpr Index kLstmTapeRows = 5;

namespace detail {

/// Sums of a tile whose activations come later: a loop that only sums keeps its eight registers, one that
/// does both spills them (1.5 times slower).
template <class Scalar>
struct GateSums {
    Lanes<Scalar> i, j, f, o;
};
inline constexpr Index kUnitsPerPass = 8;

/// [x, h] w + b for the four gates of a unit.
/// @param count  coordinates of the tile; ignored if kWhole, which is the same arithmetic without the
/// padding.
template <bool kWhole, class Scalar>
void lstm_sums(const LstmCell<Scalar>& cell,
               Index unit,
               Index at,
               Index count,
               const LstmInput<Scalar>& in,
               GateSums<Scalar>& sums) {
    const Index hidden = cell.hidden;
    const Scalar* b = cell.b + unit;
    const Scalar* w = cell.w + unit;
    Packet<Scalar> i0 = Packet<Scalar>{} + b[0], i1 = i0, j0 = Packet<Scalar>{} + b[hidden], j1 = j0;
    Packet<Scalar> f0 = Packet<Scalar>{} + b[2 * hidden], f1 = f0, o0 = Packet<Scalar>{} + b[3 * hidden],
                   o1 = o0;
    const auto add_rows_of = [&](const Block<const Scalar>& block, Index rows) {
        for (Index row = 0; row < rows; ++row, w += 4 * hidden) {
            const Lanes<Scalar> value = load_lanes(block.at(row, at), kWhole ? kLanes<Scalar> : count);
            const Packet<Scalar> low = load_packet(value.data()),
                                 high = load_packet(value.data() + kPacket<Scalar>);
            i0 += w[0] * low, i1 += w[0] * high;
            j0 += w[hidden] * low, j1 += w[hidden] * high;
            f0 += w[2 * hidden] * low, f1 += w[2 * hidden] * high;
            o0 += w[3 * hidden] * low, o1 += w[3 * hidden] * high;
        }
    };
    add_rows_of(in.x, cell.inputs);
    add_rows_of(in.h, hidden);
    join_packets<Scalar>(i0, i1, sums.i);
    join_packets<Scalar>(j0, j1, sums.j);
    join_packets<Scalar>(f0, f1, sums.f);
    join_packets<Scalar>(o0, o1, sums.o);
}

}  // namespace detail

/// One step for n coordinates:
///   [i j f o] = [x, h] w + b,   c_next = s(f + 1) c + s(i) tanh(j),   h_next = s(o) tanh(c_next),
/// s the logistic function.
/// @param tape  [5 hidden, n], written for lstm_vjp; data NULL: not wanted.
/// The bits of a coordinate depend neither on n nor on its position.
/// Cost: 8 (inputs + hidden) hidden n flops and 5 hidden n transcendental functions; no allocation.
template <std::floating_point Scalar>
void lstm_forward(const LstmCell<Scalar>& cell,
                  Index n,
                  const std::type_identity_t<LstmInput<Scalar>>& in,
                  const std::type_identity_t<LstmOutput<Scalar>>& out,
                  std::type_identity_t<Block<Scalar>> tape = {}) {
    const Index hidden = cell.hidden;
    std::array<detail::GateSums<Scalar>, std::size_t(detail::kUnitsPerPass)> sums;
    for (Index at = 0; at < n; at += kLanes<Scalar>) {
        const Index count = std::min(kLanes<Scalar>, n - at);
        for (Index first = 0; first < hidden; first += detail::kUnitsPerPass) {
            const Index end = std::min(first + detail::kUnitsPerPass, hidden);
            for (Index unit = first; unit < end; ++unit) {
                auto& sum = sums[std::size_t(unit - first)];
                if (count == kLanes<Scalar>)
                    detail::lstm_sums<true>(cell, unit, at, count, in, sum);
                else
                    detail::lstm_sums<false>(cell, unit, at, count, in, sum);
            }
            for (Index unit = first; unit < end; ++unit) {
                const auto& sum = sums[std::size_t(unit - first)];
                const Lanes<Scalar> i = sum.i.logistic();
                const Lanes<Scalar> j = sum.j.tanh();
                const Lanes<Scalar> f = (sum.f + Scalar(1)).logistic();
                const Lanes<Scalar> o = sum.o.logistic();
                const Lanes<Scalar> c = f * load_lanes(in.c.at(unit, at), count) + i * j;
                const Lanes<Scalar> tanh_c = c.tanh();
                store_lanes<Scalar>(c, out.c.at(unit, at), count);
                store_lanes<Scalar>(o * tanh_c, out.h.at(unit, at), count);
                if (tape.data == nullptr) continue;
                store_lanes(i, tape.at(unit, at), count);
                store_lanes(j, tape.at(hidden + unit, at), count);
                store_lanes(f, tape.at(2 * hidden + unit, at), count);
                store_lanes(o, tape.at(3 * hidden + unit, at), count);
                store_lanes(tanh_c, tape.at(4 * hidden + unit, at), count);
            }
        }
    }
}

namespace detail {

/// dz [4 hidden, n up to whole tiles] and the cotangent of c. With t = tanh c_next:
///   do = dh t o(1-o),  dc = dc_next + dh o (1-t^2),
///   di = dc j i(1-i),  dj = dc i (1-j^2),  df = dc c f(1-f),  dc_prev = dc f.
template <class Scalar>
void lstm_gates_vjp(const LstmCell<Scalar>& cell,
                    Index n,
                    const Block<const Scalar>& c_prev,
                    const Block<const Scalar>& tape,
                    const LstmCotangent<Scalar>& cotangent,
                    const Block<Scalar>& c_bar,
                    const Block<Scalar>& dz) {
    const Index hidden = cell.hidden;
    for (Index at = 0; at < n; at += kLanes<Scalar>) {
        const Index count = std::min(kLanes<Scalar>, n - at);
        for (Index unit = 0; unit < hidden; ++unit) {
            const auto taped = [&](Index group) {
                return load_lanes(tape.at(group * hidden + unit, at), count);
            };
            const Lanes<Scalar> i = taped(0), j = taped(1), f = taped(2), o = taped(3), t = taped(4);
            const Lanes<Scalar> c = load_lanes(c_prev.at(unit, at), count);
            const Lanes<Scalar> dh = load_lanes(cotangent.h.at(unit, at), count);
            const Lanes<Scalar> dc = load_lanes(cotangent.c.at(unit, at), count) + dh * o * (1 - t * t);
            store_lanes<Scalar>(dc * f, c_bar.at(unit, at), count);
            const auto store = [&](Index group, const Lanes<Scalar>& value) {
                store_lanes(
                    value, dz.at(group * hidden + unit, at), kLanes<Scalar>);  // lanes beyond n hold 0
            };
            store(0, dc * j * i * (1 - i));
            store(1, dc * i * (1 - j * j));
            store(2, dc * c * f * (1 - f));
            store(3, dh * t * o * (1 - o));
        }
    }
}

}  // namespace detail

/// Elements of the workspace that lstm_vjp needs.
template <class Scalar>
constexpr Index lstm_vjp_workspace(Index hidden, Index n) {
    return 4 * hidden * round_up_to_lanes<Scalar>(n) + n * round_up_to_panels<Scalar>(4 * hidden);
}

/// The reverse of lstm_forward for the same input: adds the cotangents of w, b and x, writes those
/// of h and c.
/// @param tape       [5 hidden, n] as lstm_forward wrote it.
/// @param workspace  lstm_vjp_workspace<Scalar>(hidden, n) elements, contents undefined on return.
/// Within the call w is summed in Scalar; with a double accumulator the sum over many blocks keeps its
/// digits. The bits of x, h and c at a coordinate depend neither on n nor on its position; those of w and b
/// do. Cost: 16 (inputs + hidden) hidden n flops, no allocation.
template <std::floating_point Scalar, std::floating_point Accumulator>
void lstm_vjp(const LstmCell<Scalar>& cell,
              Index n,
              const std::type_identity_t<LstmInput<Scalar>>& in,
              const std::type_identity_t<Block<const Scalar>>& tape,
              const std::type_identity_t<LstmCotangent<Scalar>>& cotangent,
              const LstmGradient<Scalar, Accumulator>& gradient,
              Scalar* workspace) {
    const Index hidden = cell.hidden;
    const Index gates = 4 * hidden;
    const Block<Scalar> dz{workspace, round_up_to_lanes<Scalar>(n)};
    detail::lstm_gates_vjp(cell, n, in.c, tape, cotangent, gradient.c, dz);

    for (Index gate = 0; gate < gates; ++gate) {
        Lanes<Scalar> sum = Lanes<Scalar>::Zero();
        for (Index at = 0; at < n; at += kLanes<Scalar>) sum += load_lanes(dz.at(gate, at), kLanes<Scalar>);
        gradient.b[gate] += sum.template cast<Accumulator>().sum();
    }
    Scalar* dz_by_coordinate = workspace + gates * dz.stride;
    const Index padded_gates = round_up_to_panels<Scalar>(gates);
    if (padded_gates > gates) std::fill_n(dz_by_coordinate, n * padded_gates, Scalar(0));
    transpose(dz.data, gates, n, dz.stride, dz_by_coordinate, padded_gates);
    add_outer_products(in.x, cell.inputs, n, dz_by_coordinate, gates, gradient.w);
    add_outer_products(in.h, hidden, n, dz_by_coordinate, gates, gradient.w + cell.inputs * gates);

    const auto add_to_x = [&](const auto& low, const auto& high, Index row, Index at, Index count) {
        Lanes<Scalar> sum;
        join_packets<Scalar>(low, high, sum);
        Scalar* x_bar = gradient.x.at(row, at);
        store_lanes<Scalar>(load_lanes(x_bar, count) + sum, x_bar, count);
    };
    const auto to_h = [&](const auto& low, const auto& high, Index row, Index at, Index count) {
        store_packets<Scalar>(low, high, gradient.h.at(row, at), count);
    };
    if (gradient.x.data != nullptr)
        tile_products<Weights::kOutputsByRow>(cell.w, gates, cell.inputs, gates, n, dz, add_to_x);
    tile_products<Weights::kOutputsByRow>(cell.w + cell.inputs * gates, gates, hidden, gates, n, dz, to_h);
}

}  // namespace l2o::numerics

#endif
