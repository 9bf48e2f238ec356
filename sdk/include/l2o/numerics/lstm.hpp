// The LSTM cell of the learned recurrent optimizers, run on a block of coordinates that share its weights.
//
// Source: Hochreiter & Schmidhuber 1997 with the forget gate of Gers, Schmidhuber & Cummins 2000, in the form
// of Sonnet v1 (gate order i, j, f, o; forget bias 1 added at run time; no peepholes), which the public
// weights of L2O-DM and RNNProp have.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <concepts>
#include <type_traits>

#include "l2o/numerics/lanes.hpp"
#include "l2o/numerics/packet.hpp"
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

/// Rows of the tape [6 hidden, n], slopes: dc / d[i j f] before their activations, dh / do, dh / dc, dc / dc
/// of the step before.
inline constexpr Index kLstmTapeRows = 6;

namespace detail {

/// Of kUnits units, one or two, [x, h] w + b and + 1 for f.
/// @param to  where those of i go; those of f, j and o follow, `apart` elements from one gate to the next.
template <int kUnits, int kPackets, class Scalar, class Count>
[[gnu::noinline]] void lstm_sums(const LstmCell<Scalar>& cell,
                                 Index unit,
                                 Index at,
                                 Count last,
                                 const LstmInput<Scalar>& in,
                                 Scalar* to,
                                 Index apart) {
    const Index hidden = cell.hidden, step = 4 * hidden;
    const Scalar* w = cell.w + unit;
    ProductTile<Scalar, 4 * kUnits, kPackets> tile;
    tile.each([&](int row, int, auto& sum) {
        const int gate = row / kUnits;
        sum = broadcast(cell.b[gate * hidden + unit + row % kUnits] + Scalar(gate == 2));
    });
    const auto add = [&](const Scalar* rows, const Block<const Scalar>& of, Index depth) {
        tile.template add<kUnits>(rows, hidden, step, of.at(0, at), of.stride, depth, last);
    };
    add(w, in.x, cell.inputs);
    add(w + cell.inputs * step, in.h, hidden);
    tile.each([&](int row, int p, const auto& sum) {
        constexpr int kPlace[] = {0, 2, 1, 3};
        Scalar* place = to + kPlace[row / kUnits] * apart;
        store_packet(sum, place + (row % kUnits * kPackets + p) * kPacket<Scalar>, kPacket<Scalar>);
    });
}

/// From the sums of kUnits units their c, h and tape. One division serves i, j and f, another o and tanh c: a
/// division takes as long as ten multiply-adds.
template <bool kTaped, int kUnits, int kPackets, class Scalar, class Count>
[[gnu::noinline]] void lstm_activate(const Scalar* sums,
                                     Index hidden,
                                     Index unit,
                                     Index at,
                                     Count last,
                                     const Block<const Scalar>& c_prev,
                                     const LstmOutput<Scalar>& out,
                                     const Block<Scalar>& tape) {
    constexpr int kRow = kUnits * kPackets;
    using Row = Packets<Scalar, kRow>;
    constexpr Index kGate = kRow * kPacket<Scalar>;
    const auto store = [&](const Row& row, const Block<Scalar>& to, Index first) {
        row.template store<kUnits>(to.at(first + unit, at), last, to.stride);
    };
    const Row one = 1;
    const auto exp_i_and_f = exp_minus(Packets<Scalar, 2 * kRow>::load(sums));  // 1 / i - 1, 1 / f - 1
    const Row exp_i = exp_i_and_f.template part<0, kRow>(), i_inverse = exp_i + one;
    const Row exp_f = exp_i_and_f.template part<kRow, kRow>(), f_inverse = exp_f + one;
    const auto j = tanh_fraction(Row::load(sums + 2 * kGate));
    const Row exp_o = exp_minus(Row::load(sums + 3 * kGate)), o_inverse = exp_o + one;
    const Row i_j = i_inverse * j.bottom, inverse = one / (f_inverse * i_j);
    const Row f = inverse * i_j, rest = inverse * f_inverse;
    const Row before = Row::template load<kUnits>(c_prev.at(unit, at), last, c_prev.stride);
    const Row gain = rest * j.top, c = multiply_add(f, before, gain);  // gain = i tanh j
    store(c, out.c, 0);
    const auto t = tanh_fraction(c);
    const Row inverse_o_t = one / (o_inverse * t.bottom), h = inverse_o_t * t.top;
    store(h, out.h, 0);
    if constexpr (kTaped) {  // s' = s^2 e^-z, tanh' = 4 e / bottom^2; rest = i / j.bottom
        const Row four = 4, i = rest * j.bottom, o = inverse_o_t * t.bottom;
        store(gain * (i * exp_i), tape, 0);
        store(rest * (rest * i_inverse) * (four * j.e), tape, hidden);
        store(f * before * (f * exp_f), tape, 2 * hidden);
        store(h * (o * exp_o), tape, 3 * hidden);
        store(inverse_o_t * (inverse_o_t * o_inverse) * (four * t.e), tape, 4 * hidden);
        store(f, tape, 5 * hidden);
    }
}

}  // namespace detail

/// One step for n coordinates:
///   [i j f o] = [x, h] w + b,   c_next = s(f + 1) c + s(i) tanh(j),   h_next = s(o) tanh(c_next),
/// s the logistic function; errors of s and tanh: packet.hpp.
/// @param tape  [6 hidden, n], written for lstm_vjp; data NULL: not wanted.
/// The bits of a coordinate depend neither on n nor on its position.
/// Cost: 8 (inputs + hidden) hidden n flops and 5 hidden n transcendental functions; no allocation.
template <std::floating_point Scalar>
void lstm_forward(const LstmCell<Scalar>& cell,
                  Index n,
                  const std::type_identity_t<LstmInput<Scalar>>& in,
                  const std::type_identity_t<LstmOutput<Scalar>>& out,
                  std::type_identity_t<Block<Scalar>> tape = {}) {
    const auto run = [&]<bool kTaped>(std::bool_constant<kTaped>) {
        for_each_tile<Scalar>(
            n, [&]<int kPackets>(std::integral_constant<int, kPackets>, Index at, auto last) {
                constexpr int kTogether = kTilePackets / kPackets;
                alignas(64) Scalar sums[4 * kTogether * kPackets * kPacket<Scalar>];
                const auto units = [&]<int kUnits>(std::integral_constant<int, kUnits>, Index unit) {
                    constexpr Index kRow = kPackets * kPacket<Scalar>;
                    constexpr int kTwo = std::min(kUnits, 2);
                    for (Index u = 0; u < kUnits; u += kTwo)
                        detail::lstm_sums<kTwo, kPackets>(
                            cell, unit + u, at, last, in, sums + u * kRow, kUnits * kRow);
                    detail::lstm_activate<kTaped, kUnits, kPackets>(
                        sums, cell.hidden, unit, at, last, in.c, out, tape);
                };
                Index unit = 0;
                for (; unit + kTogether <= cell.hidden; unit += kTogether)
                    units(std::integral_constant<int, kTogether>(), unit);
                for (; unit < cell.hidden; ++unit) units(std::integral_constant<int, 1>(), unit);
            });
    };
    tape.data == nullptr ? run(std::false_type()) : run(std::true_type());
}

namespace detail {

/// dz [4 hidden, n up to whole tiles] and the cotangent of c.
template <int kPackets, class Scalar, class Count>
void lstm_gates_vjp(Index hidden,
                    Index at,
                    Count last,
                    const Block<const Scalar>& tape,
                    const LstmCotangent<Scalar>& cotangent,
                    const Block<Scalar>& c_bar,
                    const Block<Scalar>& dz) {
    using Row = Packets<Scalar, kPackets>;
    for (Index unit = 0; unit < hidden; ++unit) {
        const auto taped = [&](Index group) { return Row::load(tape.at(group * hidden + unit, at), last); };
        const Row dh = Row::load(cotangent.h.at(unit, at), last);
        const Row dc = multiply_add(dh, taped(4), Row::load(cotangent.c.at(unit, at), last));
        (dc * taped(5)).store(c_bar.at(unit, at), last);
        for (Index group = 0; group < 4; ++group)  // lanes beyond n hold 0
            ((group < 3 ? dc : dh) * taped(group)).store(dz.at(group * hidden + unit, at));
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
/// @param tape       [6 hidden, n] as lstm_forward wrote it.
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
    for_each_tile<Scalar>(n, [&]<int kPackets>(std::integral_constant<int, kPackets>, Index at, auto last) {
        detail::lstm_gates_vjp<kPackets>(hidden, at, last, tape, cotangent, gradient.c, dz);
    });

    Scalar* dz_by_coordinate = workspace + gates * dz.stride;
    const Index padded_gates = round_up_to_panels<Scalar>(gates);
    if (padded_gates > gates) std::fill_n(dz_by_coordinate, n * padded_gates, Scalar(0));
    transpose(dz.data, gates, n, dz.stride, dz_by_coordinate, padded_gates);
    add_outer_products(in.x, cell.inputs, n, dz_by_coordinate, gates, gradient.w, gradient.b);
    add_outer_products(in.h, hidden, n, dz_by_coordinate, gates, gradient.w + cell.inputs * gates);

    if (gradient.x.data != nullptr) products_by_row<true>(cell.w, cell.inputs, gates, n, dz, gradient.x);
    products_by_row<false>(cell.w + cell.inputs * gates, hidden, gates, n, dz, gradient.h);
}

}  // namespace l2o::numerics
