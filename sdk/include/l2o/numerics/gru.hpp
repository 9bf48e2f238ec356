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
    const Index hidden = cell.hidden;
    for (Index at = 0; at < n; at += kLanes<Scalar>) {
        const Index count = std::min(kLanes<Scalar>, n - at);
        const auto add_inputs = [&](const Scalar* w, Index columns, Lanes<Scalar>& sum) {
            for (Index i = 0; i < cell.inputs; ++i) sum += w[i * columns] * load_lanes(x.at(i, at), count);
        };
        for (Index gate = 0; gate < 2 * hidden; ++gate) {
            Lanes<Scalar> sum = Lanes<Scalar>::Constant(cell.b[gate]);
            add_inputs(cell.w_gates + gate, 2 * hidden, sum);
            const Scalar* w = cell.w_gates + cell.inputs * 2 * hidden + gate;
            for (Index i = 0; i < hidden; ++i) sum += w[i * 2 * hidden] * load_lanes(h.at(i, at), count);
            store_lanes<Scalar>(sum.logistic(), tape.at(gate, at), count);
        }
        for (Index unit = 0; unit < hidden; ++unit) {
            Lanes<Scalar> sum = Lanes<Scalar>::Constant(cell.b[2 * hidden + unit]);
            add_inputs(cell.w_candidate + unit, hidden, sum);
            const Scalar* w = cell.w_candidate + cell.inputs * hidden + unit;
            for (Index i = 0; i < hidden; ++i) {
                const Lanes<Scalar> reset =
                    load_lanes(tape.at(i, at), count) * load_lanes(h.at(i, at), count);
                sum += w[i * hidden] * reset;
            }
            const Lanes<Scalar> c = sum.tanh(), u = load_lanes(tape.at(hidden + unit, at), count);
            store_lanes(c, tape.at(2 * hidden + unit, at), count);
            store_lanes<Scalar>(
                u * load_lanes(h.at(unit, at), count) + (1 - u) * c, h_next.at(unit, at), count);
        }
    }
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
