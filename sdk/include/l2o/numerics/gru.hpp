// The GRU cell of the hierarchical learned optimizers, run on a block of coordinates that share its weights
// and its biases.
//
// Blocks are feature-major as in lstm.hpp.
// Source: Cho et al. 2014 (arXiv:1406.1078) in the form of the BiasGRU of Wichrowska et al. 2017
// (arXiv:1703.04813): reset before the candidate's product, and u keeps the old state.
#ifndef L2O_NUMERICS_GRU_HPP
#define L2O_NUMERICS_GRU_HPP

#include <Eigen/Core>
#include <concepts>
#include <type_traits>

#include "l2o/numerics/lstm.hpp"
#include "l2o/numerics/packet.hpp"

namespace l2o::numerics {

/// The weights of a cell, borrowed; rows of the input before rows of the state. b_r, b_u, b_c are what is
/// added for every coordinate: a level above injects its message there.
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

/// r and u of a unit, and r h.
template <int kPackets, class Scalar, class Count>
[[gnu::noinline]] void gru_gates(const GruCell<Scalar>& cell,
                                 Index unit,
                                 Index at,
                                 Count last,
                                 const Block<const Scalar>& x,
                                 const Block<const Scalar>& h,
                                 const Block<Scalar>& reset,
                                 const Block<Scalar>& tape) {
    using Row = Packets<Scalar, kPackets>;
    const Index hidden = cell.hidden, step = 2 * hidden;
    const Scalar *b = cell.b + unit, *x_row = cell.w_gates + unit, *h_row = x_row + cell.inputs * step;
    ProductTile<Scalar, 2, kPackets> tile;
    tile.each([&](int gate, int, auto& sum) { sum = broadcast(b[gate * hidden]); });
    tile.add({x_row, x_row + hidden}, step, x.at(0, at), x.stride, cell.inputs, last);
    tile.add({h_row, h_row + hidden}, step, h.at(0, at), h.stride, hidden, last);
    Scalar sums[2][kPackets * kPacket<Scalar>];
    tile.each([&](int gate, int p, const auto& sum) {
        store_packet(sum, sums[gate] + p * kPacket<Scalar>, kPacket<Scalar>);
    });
    const Row one = Row::constant(1);
    const Row r = one / one_plus_exp_minus(Row::load(sums[0])),
              u = one / one_plus_exp_minus(Row::load(sums[1]));
    r.store(tape.at(unit, at), last);
    u.store(tape.at(hidden + unit, at), last);
    (r * Row::load(h.at(unit, at), last)).store(reset.at(unit, at), last);
}

/// c of a unit.
template <int kPackets, class Scalar, class Count>
[[gnu::noinline]] void gru_candidate(const GruCell<Scalar>& cell,
                                     Index unit,
                                     Index at,
                                     Count last,
                                     const Block<const Scalar>& x,
                                     const Block<const Scalar>& reset,
                                     const Block<Scalar>& tape) {
    using Row = Packets<Scalar, kPackets>;
    const Index hidden = cell.hidden;
    const Scalar* w = cell.w_candidate + unit;
    ProductTile<Scalar, 1, kPackets> tile;
    tile.each([&](int, int, auto& sum) { sum = broadcast(cell.b[2 * hidden + unit]); });
    tile.add({w}, hidden, x.at(0, at), x.stride, cell.inputs, last);
    tile.add({w + cell.inputs * hidden}, hidden, reset.at(0, at), reset.stride, hidden, last);
    Scalar sums[kPackets * kPacket<Scalar>];
    tile.each(
        [&](int, int p, const auto& sum) { store_packet(sum, sums + p * kPacket<Scalar>, kPacket<Scalar>); });
    const auto c = tanh_fraction(Row::load(sums));
    (c.top / c.bottom).store(tape.at(2 * hidden + unit, at), last);
}

}  // namespace detail

/// One step for n coordinates, s the logistic function:
///   [r u] = s([x, h] w_gates + b_ru),   c = tanh([x, r h] w_candidate + b_c),   h_next = u h + (1 - u) c.
/// Errors of s and tanh: packet.hpp.
/// @param x       [inputs, n]
/// @param h       [hidden, n]
/// @param h_next  [hidden, n]; not the memory of h. Meanwhile it holds r h.
/// @param tape    [3 hidden, n], written for gru_vjp; the step needs it, too.
/// The bits of a coordinate depend neither on n nor on its position.
/// Cost: 6 (inputs + hidden) hidden n flops and 3 hidden n transcendental functions; no allocation.
template <std::floating_point Scalar>
void gru_forward(const GruCell<Scalar>& cell,
                 Index n,
                 const std::type_identity_t<Block<const Scalar>>& x,
                 const std::type_identity_t<Block<const Scalar>>& h,
                 const std::type_identity_t<Block<Scalar>>& h_next,
                 const std::type_identity_t<Block<Scalar>>& tape) {
    const Index hidden = cell.hidden;
    for_each_tile<Scalar>(n, [&]<int kPackets>(std::integral_constant<int, kPackets>, Index at, auto last) {
        using Row = Packets<Scalar, kPackets>;
        for (Index unit = 0; unit < hidden; ++unit)
            detail::gru_gates<kPackets>(cell, unit, at, last, x, h, h_next, tape);
        for (Index unit = 0; unit < hidden; ++unit)
            detail::gru_candidate<kPackets, Scalar>(cell, unit, at, last, x, h_next, tape);
        for (Index unit = 0; unit < hidden; ++unit) {
            const Row u = Row::load(tape.at(hidden + unit, at), last);
            const Row c = Row::load(tape.at(2 * hidden + unit, at), last);
            const Row kept = u * Row::load(h.at(unit, at), last);
            multiply_add(Row::constant(1) - u, c, kept).store(h_next.at(unit, at), last);
        }
    });
}

/// The same for a single cell, as a tensor or a problem has one: n = 1, with its units side by side.
/// @param x       [inputs]
/// @param h       [hidden]
/// @param h_next  [hidden]; not the memory of h.
/// @param tape    [3 hidden], written for gru_vjp; the step needs it, too.
template <std::floating_point Scalar>
void gru_forward_single(
    const GruCell<Scalar>& cell, const Scalar* x, const Scalar* h, Scalar* h_next, Scalar* tape) {
    using Row = Eigen::Map<Eigen::Array<Scalar, Eigen::Dynamic, 1>>;
    using ConstRow = Eigen::Map<const Eigen::Array<Scalar, Eigen::Dynamic, 1>>;
    const Index hidden = cell.hidden;
    Row gates(tape, 2 * hidden), candidate(tape + 2 * hidden, hidden);
    gates = ConstRow(cell.b, 2 * hidden);
    candidate = ConstRow(cell.b + 2 * hidden, hidden);
    for (Index i = 0; i < cell.inputs; ++i) {
        gates += x[i] * ConstRow(cell.w_gates + i * 2 * hidden, 2 * hidden);
        candidate += x[i] * ConstRow(cell.w_candidate + i * hidden, hidden);
    }
    for (Index i = 0; i < hidden; ++i)
        gates += h[i] * ConstRow(cell.w_gates + (cell.inputs + i) * 2 * hidden, 2 * hidden);
    gates = gates.logistic();
    for (Index i = 0; i < hidden; ++i)
        candidate += tape[i] * h[i] * ConstRow(cell.w_candidate + (cell.inputs + i) * hidden, hidden);
    candidate = candidate.tanh();
    const auto u = gates.tail(hidden);
    Row(h_next, hidden) = u * ConstRow(h, hidden) + (1 - u) * candidate;
}

/// Where the vjp puts the cotangents of weights and input; see gru_vjp.
template <class Scalar, class Accumulator = Scalar>
struct GruGradient {
    Accumulator* w_gates;      // added to
    Accumulator* w_candidate;  // added to
    Accumulator* b;            // [3 hidden], added to
    Block<Scalar> x;           // [inputs, n], added to; data NULL: not wanted
    Block<Scalar> h;           // [hidden, n], written; may be the memory of the cotangent of h_next
};

/// Elements of the workspace that gru_vjp needs.
template <class Scalar>
constexpr Index gru_vjp_workspace(Index hidden, Index n) {
    return 5 * hidden * n;
}

/// The reverse of gru_forward for the same input: adds the cotangents of the weights, b and x, writes that of
/// h.
/// @param tape       as gru_forward wrote it.
/// @param cotangent  of h_next, [hidden, n].
/// @param workspace  gru_vjp_workspace<Scalar>(hidden, n) elements, contents undefined on return.
/// Cost: 12 (inputs + hidden) hidden n flops, no allocation.
template <std::floating_point Scalar, std::floating_point Accumulator>
void gru_vjp(const GruCell<Scalar>& cell,
             Index n,
             const std::type_identity_t<Block<const Scalar>>& x,
             const std::type_identity_t<Block<const Scalar>>& h,
             const std::type_identity_t<Block<const Scalar>>& tape,
             const std::type_identity_t<Block<const Scalar>>& cotangent,
             const GruGradient<Scalar, Accumulator>& gradient,
             Scalar* workspace) {
    using Row = Eigen::Map<Eigen::Array<Scalar, 1, Eigen::Dynamic>>;
    using ConstRow = Eigen::Map<const Eigen::Array<Scalar, 1, Eigen::Dynamic>>;
    const Index hidden = cell.hidden, inputs = cell.inputs;
    const auto row = [n](const Block<const Scalar>& block, Index i) { return ConstRow(block.at(i, 0), n); };
    const auto to = [n](const Block<Scalar>& block, Index i) { return Row(block.at(i, 0), n); };
    const Block<Scalar> dz{workspace, n}, reset{workspace + 3 * hidden * n, n},
        d_reset{workspace + 4 * hidden * n, n};

    // dc = dh' (1 - u),  du = dh' (h - c),  and what h keeps: dh = dh' u.
    for (Index i = 0; i < hidden; ++i) {
        const ConstRow u = row(tape, hidden + i), c = row(tape, 2 * hidden + i);
        const ConstRow h_i = row(h, i), bar = row(cotangent, i);
        to(dz, hidden + i) = bar * (h_i - c) * u * (1 - u);
        to(dz, 2 * hidden + i) = bar * (1 - u) * (1 - c * c);
        to(reset, i) = row(tape, i) * h_i;
        to(gradient.h, i) = bar * u;
    }
    // d(r h) = w_candidate dz_c,  dr = d(r h) h,  dh += d(r h) r.
    const auto add_back = [&](const Scalar* w, Index first_row, Index columns, Index first, auto&& target) {
        for (Index i = 0; i < columns; ++i) target += w[first_row * columns + i] * row(dz, first + i);
    };
    for (Index i = 0; i < hidden; ++i) {
        Row bar = to(d_reset, i);
        bar.setZero();
        add_back(cell.w_candidate, inputs + i, hidden, 2 * hidden, bar);
        const ConstRow r = row(tape, i);
        to(dz, i) = bar * row(h, i) * r * (1 - r);
        to(gradient.h, i) += bar * r;
    }
    for (Index i = 0; i < hidden; ++i) add_back(cell.w_gates, inputs + i, 2 * hidden, 0, to(gradient.h, i));
    for (Index i = 0; i < inputs && gradient.x.data != nullptr; ++i) {
        add_back(cell.w_gates, i, 2 * hidden, 0, to(gradient.x, i));
        add_back(cell.w_candidate, i, hidden, 2 * hidden, to(gradient.x, i));
    }

    const auto add_products = [&](const ConstRow& in, Index first, Index columns, Accumulator* sums) {
        for (Index i = 0; i < columns; ++i)
            sums[i] += Accumulator(in.matrix().dot(row(dz, first + i).matrix()));
    };
    for (Index i = 0; i < inputs + hidden; ++i) {
        const bool is_state = i >= inputs;
        add_products(
            is_state ? row(h, i - inputs) : row(x, i), 0, 2 * hidden, gradient.w_gates + i * 2 * hidden);
        add_products(is_state ? row(reset, i - inputs) : row(x, i),
                     2 * hidden,
                     hidden,
                     gradient.w_candidate + i * hidden);
    }
    for (Index i = 0; i < 3 * hidden; ++i) gradient.b[i] += Accumulator(row(dz, i).sum());
}

}  // namespace l2o::numerics

#endif
