// The GRU cell of the hierarchical learned optimizers, run on a block of coordinates that share its weights
// and its biases.
//
// Blocks are feature-major as in lstm.hpp.
// Source: Cho et al. 2014 (arXiv:1406.1078) in the form of the BiasGRU of Wichrowska et al. 2017
// (arXiv:1703.04813): reset before the candidate's product, and u keeps the old state.
#pragma once

#include <algorithm>
#include <concepts>
#include <type_traits>

#include "l2o/numerics/lanes.hpp"
#include "l2o/numerics/packet.hpp"
#include "l2o/numerics/tile_product.hpp"
#include "l2o/numerics/transpose.hpp"

namespace l2o::numerics {

/// The weights of a cell, borrowed; rows of the input before rows of the state.
template <class Scalar>
struct GruCell {
    Index inputs, hidden;
    const Scalar* w_gates;      // [inputs + hidden, 2 hidden], row-major: r, u
    const Scalar* w_candidate;  // [inputs + hidden, hidden]
    const Scalar* b;            // [3 hidden]: r, u, c
};

/// Rows of the tape [3 hidden, n]: r, u, c after their activations.
inline constexpr Index kGruTapeRows = 3;

namespace detail {

/// What is added at a row of the gates: the bias, and the message if there is one.
template <int kPackets, class Scalar, class Count>
[[gnu::always_inline]] inline Packet<Scalar> gru_bias(
    const Scalar* b, const Block<const Scalar>& message, Index row, Index at, int p, Count last) {
    const Packet<Scalar> bias = broadcast(b[row]);
    if (message.data == nullptr) return bias;
    const Index count = p < kPackets - 1 ? kPacket<Scalar> : Index(last);
    return bias + load_packet(message.at(row, at + p * kPacket<Scalar>), count);
}

/// Of a unit, bias, message and [x, state] w of kGates gates side by side.
/// @param w     column of the unit in the first gate   @param row  of that in b and in the message
template <int kGates, int kPackets, class Scalar, class Count>
[[gnu::noinline]] void gru_sums(const GruCell<Scalar>& cell,
                                const Scalar* w,
                                Index row,
                                Index at,
                                Count last,
                                const Block<const Scalar>& x,
                                const Block<const Scalar>& state,
                                const Block<const Scalar>& message,
                                Scalar* to) {
    const Index hidden = cell.hidden, step = kGates * hidden;
    ProductTile<Scalar, kGates, kPackets> tile;
    tile.each([&](int gate, int p, auto& sum) {
        sum = gru_bias<kPackets>(cell.b, message, row + gate * hidden, at, p, last);
    });
    tile.add(w, hidden, step, x.at(0, at), x.stride, cell.inputs, last);
    tile.add(w + cell.inputs * step, hidden, step, state.at(0, at), state.stride, hidden, last);
    tile.each([&](int gate, int p, const auto& sum) {
        store_packet(sum, to + (gate * kPackets + p) * kPacket<Scalar>, kPacket<Scalar>);
    });
}

/// r and u of a unit, and r h.
template <int kPackets, class Scalar, class Count>
[[gnu::noinline]] void gru_gates(Index hidden,
                                 Index unit,
                                 Index at,
                                 Count last,
                                 const Scalar* sums,
                                 const Block<const Scalar>& h,
                                 const Block<Scalar>& reset,
                                 const Block<Scalar>& tape) {
    using Row = Packets<Scalar, kPackets>;
    const Row one = 1;
    const Row r = one / one_plus_exp_minus(Row::load(sums)),
              u = one / one_plus_exp_minus(Row::load(sums + kPackets * kPacket<Scalar>));
    r.store(tape.at(unit, at), last);
    u.store(tape.at(hidden + unit, at), last);
    (r * Row::load(h.at(unit, at), last)).store(reset.at(unit, at), last);
}

}  // namespace detail

/// One step for n coordinates, s the logistic function:
///   [r u] = s([x, h] w_gates + b_ru + m_ru),  c = tanh([x, r h] w_candidate + b_c + m_c),
///   h_next = u h + (1 - u) c.
/// Errors of s and tanh: packet.hpp.
/// @param x       [inputs, n]
/// @param h       [hidden, n]
/// @param h_next  [hidden, n]; not the memory of h. Meanwhile it holds r h.
/// @param tape    [3 hidden, n], written for gru_vjp; the step needs it, too.
/// @param message m, [3 hidden, n]: what a level above adds at every coordinate; data NULL: nothing.
/// The bits of a coordinate depend neither on n nor on its position.
/// Cost: 6 (inputs + hidden) hidden n flops and 3 hidden n transcendental functions; no allocation.
template <std::floating_point Scalar>
void gru_forward(const GruCell<Scalar>& cell,
                 Index n,
                 const std::type_identity_t<Block<const Scalar>>& x,
                 const std::type_identity_t<Block<const Scalar>>& h,
                 const std::type_identity_t<Block<Scalar>>& h_next,
                 const std::type_identity_t<Block<Scalar>>& tape,
                 const std::type_identity_t<Block<const Scalar>>& message = {}) {
    const Index hidden = cell.hidden;
    for_each_tile<Scalar>(n, [&]<int kPackets>(std::integral_constant<int, kPackets>, Index at, auto last) {
        using Row = Packets<Scalar, kPackets>;
        Scalar sums[2 * kPackets * kPacket<Scalar>];
        for (Index unit = 0; unit < hidden; ++unit) {
            detail::gru_sums<2, kPackets, Scalar>(
                cell, cell.w_gates + unit, unit, at, last, x, h, message, sums);
            detail::gru_gates<kPackets, Scalar>(hidden, unit, at, last, sums, h, h_next, tape);
        }
        for (Index unit = 0; unit < hidden; ++unit) {
            detail::gru_sums<1, kPackets, Scalar>(
                cell, cell.w_candidate + unit, 2 * hidden + unit, at, last, x, h_next, message, sums);
            const auto c = tanh_fraction(Row::load(sums));
            (c.top / c.bottom).store(tape.at(2 * hidden + unit, at), last);
        }
        for (Index unit = 0; unit < hidden; ++unit) {
            const Row u = Row::load(tape.at(hidden + unit, at), last);
            const Row c = Row::load(tape.at(2 * hidden + unit, at), last);
            const Row kept = u * Row::load(h.at(unit, at), last);
            multiply_add(Row(1) - u, c, kept).store(h_next.at(unit, at), last);
        }
    });
}

/// Where the vjp puts the cotangents of weights and input; see gru_vjp.
template <class Scalar, class Accumulator = Scalar>
struct GruGradient {
    Accumulator* w_gates;      // added to
    Accumulator* w_candidate;  // added to
    Accumulator* b;            // [3 hidden], added to
    Block<Scalar> x;           // [inputs, n], added to; data NULL: not wanted
    Block<Scalar> h;           // [hidden, n], written; may be the memory of the cotangent of h_next
    Block<Scalar> z;           // [3 hidden, n], written up to whole lanes: of the message
};

/// Elements of the workspace that gru_vjp needs.
template <class Scalar>
constexpr Index gru_vjp_workspace(Index hidden, Index n) {
    return 2 * hidden * round_up_to_lanes<Scalar>(n) + n * round_up_to_panels<Scalar>(2 * hidden);
}

/// The reverse of gru_forward for the same input: adds the cotangents of the weights, b and x, writes those
/// of h and the message.
/// @param tape       as gru_forward wrote it.
/// @param cotangent  of h_next, [hidden, n].
/// @param workspace  gru_vjp_workspace<Scalar>(hidden, n) elements, contents undefined on return.
/// The bits of x, h and z at a coordinate depend neither on n nor on its position; those of the weights and b
/// do. Cost: 12 (inputs + hidden) hidden n flops, no allocation.
template <std::floating_point Scalar, std::floating_point Accumulator>
void gru_vjp(const GruCell<Scalar>& cell,
             Index n,
             const std::type_identity_t<Block<const Scalar>>& x,
             const std::type_identity_t<Block<const Scalar>>& h,
             const std::type_identity_t<Block<const Scalar>>& tape,
             const std::type_identity_t<Block<const Scalar>>& cotangent,
             const GruGradient<Scalar, Accumulator>& gradient,
             Scalar* workspace) {
    using Row = Packets<Scalar, 1>;
    const Index hidden = cell.hidden, inputs = cell.inputs, stride = round_up_to_lanes<Scalar>(n);
    const Block<Scalar> reset{workspace, stride}, d_reset{workspace + hidden * stride, stride};
    const Block<Scalar>&z = gradient.z, z_c{z.at(2 * hidden, 0), z.stride};
    const auto for_each_packet = [&](auto&& body) {
        for (Index i = 0; i < hidden; ++i)
            for (Index at = 0; at < n; at += kPacket<Scalar>) {
                const Index last = std::min(kPacket<Scalar>, n - at);
                const auto load = [&](const Block<const Scalar>& of, Index row) {
                    return Row::load(of.at(row, at), last);
                };
                body(i, at, last, load);
            }
    };

    // dc = dh' (1 - u),  du = dh' (h - c),  and what h keeps: dh = dh' u.  Lanes of z beyond n hold 0.
    for_each_packet([&](Index i, Index at, Index last, const auto& load) {
        const Row u = load(tape, hidden + i), c = load(tape, 2 * hidden + i), h_i = load(h, i);
        const Row bar = load(cotangent, i), rest = bar * (1 - u);
        (rest * (h_i - c) * u).store(z.at(hidden + i, at));
        (rest * (1 - c * c)).store(z_c.at(i, at));
        (load(tape, i) * h_i).store(reset.at(i, at));
        (bar * u).store(gradient.h.at(i, at), last);
    });
    // d(r h) = w_candidate dz_c,  dr = d(r h) h,  dh += d(r h) r.
    products_by_row<false>(cell.w_candidate + inputs * hidden, hidden, hidden, n, z_c, d_reset);
    for_each_packet([&](Index i, Index at, Index last, const auto& load) {
        const Row r = load(tape, i), bar_r = load(d_reset, i) * r;
        (bar_r * load(h, i) * (1 - r)).store(z.at(i, at));
        (load(gradient.h, i) + bar_r).store(gradient.h.at(i, at), last);
    });
    products_by_row<true>(cell.w_gates + inputs * 2 * hidden, hidden, 2 * hidden, n, z, gradient.h);
    if (gradient.x.data != nullptr) {
        products_by_row<true>(cell.w_gates, inputs, 2 * hidden, n, z, gradient.x);
        products_by_row<true>(cell.w_candidate, inputs, hidden, n, z_c, gradient.x);
    }

    Scalar* by_coordinate = workspace + 2 * hidden * stride;
    const auto add_products =
        [&](Index first, Index count, const Block<const Scalar>& state, Accumulator* w) {
            const Index padded = round_up_to_panels<Scalar>(count);
            if (padded > count) std::fill_n(by_coordinate, n * padded, Scalar(0));
            transpose(z.at(first, 0), count, n, z.stride, by_coordinate, padded);
            add_outer_products(x, inputs, n, by_coordinate, count, w, gradient.b + first);
            add_outer_products(state, hidden, n, by_coordinate, count, w + inputs * count);
        };
    add_products(0, 2 * hidden, h, gradient.w_gates);
    add_products(2 * hidden, hidden, reset, gradient.w_candidate);
}

}  // namespace l2o::numerics
