// The GRU cell of the hierarchical learned optimizers, run on a block of coordinates that share its weights
// and its biases.
//
// Blocks are feature-major as in lstm.hpp.
// Source: Cho et al. 2014 (arXiv:1406.1078) in the form of the BiasGRU of Wichrowska et al. 2017
// (arXiv:1703.04813): reset before the candidate's product, and u keeps the old state.
#ifndef L2O_NUMERICS_GRU_HPP
#define L2O_NUMERICS_GRU_HPP

#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <concepts>
#include <type_traits>

#include "l2o/numerics/lanes.hpp"
#include "l2o/numerics/lstm.hpp"

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

/// The first `count` elements at `from`, then zeros.
template <class Tile, class Scalar>
Tile load_tile(const Scalar* from, Index count) {
    if (count == Tile::SizeAtCompileTime) return Eigen::Map<const Tile>(from);
    Tile tile = Tile::Zero();
    std::copy_n(from, count, tile.data());
    return tile;
}
template <class Tile, class Scalar>
void store_tile(const Tile& tile, Scalar* to, Index count) {
    if (count == Tile::SizeAtCompileTime)
        Tile::Map(to) = tile;
    else
        std::copy_n(tile.data(), count, to);
}

/// `count` coordinates from `at` on, side by side in a Tile.
/// @param x_row, h_row  row i of the input and of the state, filled up with zeros.
/// @param reset         room for r h, [hidden]; NULL: its products are formed anew for every unit.
template <class Tile, class Scalar, class XRow, class HRow>
void gru_tile(const GruCell<Scalar>& cell,
              Index at,
              Index count,
              const XRow& x_row,
              const HRow& h_row,
              const Block<Scalar>& h_next,
              const Block<Scalar>& tape,
              Tile* reset) {
    const Index hidden = cell.hidden;
    const auto add_inputs = [&](const Scalar* w, Index columns, Tile& sum) {
        for (Index i = 0; i < cell.inputs; ++i) sum += w[i * columns] * x_row(i);
    };
    for (Index gate = 0; gate < 2 * hidden; ++gate) {
        Tile sum = Tile::Constant(cell.b[gate]);
        add_inputs(cell.w_gates + gate, 2 * hidden, sum);
        const Scalar* w = cell.w_gates + cell.inputs * 2 * hidden + gate;
        for (Index i = 0; i < hidden; ++i) sum += w[i * 2 * hidden] * h_row(i);
        const Tile value = sum.logistic();
        store_tile<Tile>(value, tape.at(gate, at), count);
        if (reset != nullptr && gate < hidden) reset[gate] = value * h_row(gate);
    }
    for (Index unit = 0; unit < hidden; ++unit) {
        Tile sum = Tile::Constant(cell.b[2 * hidden + unit]);
        add_inputs(cell.w_candidate + unit, hidden, sum);
        const Scalar* w = cell.w_candidate + cell.inputs * hidden + unit;
        for (Index i = 0; i < hidden; ++i) {
            if (reset != nullptr) {
                sum += w[i * hidden] * reset[i];
                continue;
            }
            const Tile product = load_tile<Tile>(tape.at(i, at), count) * h_row(i);
            sum += w[i * hidden] * product;
        }
        const Tile c = sum.tanh(), u = load_tile<Tile>(tape.at(hidden + unit, at), count);
        store_tile<Tile>(c, tape.at(2 * hidden + unit, at), count);
        store_tile<Tile>(u * h_row(unit) + (1 - u) * c, h_next.at(unit, at), count);
    }
}

/// Rows of input, state and reset state that are copied to the stack; cells with more read them in place.
inline constexpr Index kGruRowsAtHand = 64;

template <class Tile, class Scalar>
void gru_tile(const GruCell<Scalar>& cell,
              Index at,
              Index count,
              const Block<const Scalar>& x,
              const Block<const Scalar>& h,
              const Block<Scalar>& h_next,
              const Block<Scalar>& tape) {
    const auto in_place = [&](const Block<const Scalar>& block) {
        return [&block, at, count](Index i) { return load_tile<Tile>(block.at(i, at), count); };
    };
    const Index rows = cell.inputs + 2 * cell.hidden;
    if (rows > kGruRowsAtHand)
        return gru_tile<Tile>(
            cell, at, count, in_place(x), in_place(h), h_next, tape, static_cast<Tile*>(nullptr));
    std::array<Tile, std::size_t(kGruRowsAtHand)> copies;
    Tile *x_copy = copies.data(), *h_copy = x_copy + cell.inputs;
    for (Index i = 0; i < cell.inputs; ++i) x_copy[i] = load_tile<Tile>(x.at(i, at), count);
    for (Index i = 0; i < cell.hidden; ++i) h_copy[i] = load_tile<Tile>(h.at(i, at), count);
    const auto copy_of = [](const Tile* from) { return [from](Index i) -> const Tile& { return from[i]; }; };
    gru_tile<Tile>(cell, at, count, copy_of(x_copy), copy_of(h_copy), h_next, tape, h_copy + cell.hidden);
}

}  // namespace detail

/// One step for n coordinates, s the logistic function:
///   [r u] = s([x, h] w_gates + b_ru),   c = tanh([x, r h] w_candidate + b_c),   h_next = u h + (1 - u) c.
/// @param x       [inputs, n]
/// @param h       [hidden, n]
/// @param h_next  [hidden, n]; not the memory of h.
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
    // A tensor of few coordinates would waste most of a full tile.
    constexpr Index kHalf = kLanes<Scalar> / 2;
    for (Index at = 0; at < n; at += kLanes<Scalar>) {
        const Index count = std::min(kLanes<Scalar>, n - at);
        if (count <= kHalf)
            detail::gru_tile<Eigen::Array<Scalar, int(kHalf), 1>>(cell, at, count, x, h, h_next, tape);
        else
            detail::gru_tile<Lanes<Scalar>>(cell, at, count, x, h, h_next, tape);
    }
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
