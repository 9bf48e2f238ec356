// The LSTM cell of the learned recurrent optimizers, run on a block of coordinates that share its weights.
//
// Blocks are feature-major, [features x n coordinates], coordinates contiguous: row r starts at
// data + r * stride.
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
#include <type_traits>

#include "l2o/numerics/lanes.hpp"
#include "l2o/numerics/view.hpp"

namespace l2o::numerics {

/// Where a feature-major block lies; how many rows and columns it has follows from the cell and the call.
template <class Scalar>
struct Block {
    Scalar* data = nullptr;
    Index stride = 0;  // from row to row, in elements

    Scalar* at(Index row, Index column) const { return data + row * stride + column; }
    operator Block<const Scalar>() const requires(!std::is_const_v<Scalar>) { return {data, stride}; }
};

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

/// Elements of the workspace that lstm_vjp needs.
template <class Scalar>
constexpr Index lstm_vjp_workspace(Index inputs, Index hidden, Index n) {
    return 4 * hidden * round_up_to_lanes<Scalar>(n) + (inputs + hidden) * 4 * hidden;
}

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
    for (Index at = 0; at < n; at += kLanes<Scalar>) {
        const Index count = std::min(kLanes<Scalar>, n - at);
        for (Index unit = 0; unit < hidden; ++unit) {
            const Scalar* b = cell.b + unit;
            Lanes<Scalar> i = Lanes<Scalar>::Constant(b[0]);
            Lanes<Scalar> j = Lanes<Scalar>::Constant(b[hidden]);
            Lanes<Scalar> f = Lanes<Scalar>::Constant(b[2 * hidden]);
            Lanes<Scalar> o = Lanes<Scalar>::Constant(b[3 * hidden]);
            const Scalar* w = cell.w + unit;
            const auto add_rows_of = [&](const Block<const Scalar>& block, Index rows) {
                for (Index row = 0; row < rows; ++row, w += 4 * hidden) {
                    const Lanes<Scalar> value = load_lanes(block.at(row, at), count);
                    i += w[0] * value;
                    j += w[hidden] * value;
                    f += w[2 * hidden] * value;
                    o += w[3 * hidden] * value;
                }
            };
            add_rows_of(in.x, cell.inputs);
            add_rows_of(in.h, hidden);

            i = i.logistic().eval();
            j = j.tanh().eval();
            f = (f + Scalar(1)).logistic().eval();
            o = o.logistic().eval();
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

/// store(w dz, ...) for `rows` rows of w, tile by tile. Four rows at a time share the loads of dz.
template <class Scalar, class Store>
void lstm_input_vjp(const LstmCell<Scalar>& cell,
                    Index n,
                    Index first_row,
                    Index rows,
                    const Block<Scalar>& dz,
                    Store store) {
    const Index gates = 4 * cell.hidden;
    for (Index at = 0; at < n; at += kLanes<Scalar>) {
        for (Index row = 0; row < rows; row += 4) {
            const auto weights_of = [&](Index r) {  // a group that is not full repeats its last row
                return cell.w + (first_row + std::min(row + r, rows - 1)) * gates;
            };
            const Scalar *w0 = weights_of(0), *w1 = weights_of(1), *w2 = weights_of(2), *w3 = weights_of(3);
            Lanes<Scalar> sum0 = Lanes<Scalar>::Zero(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
            for (Index gate = 0; gate < gates; ++gate) {
                const Lanes<Scalar> value = load_lanes(dz.at(gate, at), kLanes<Scalar>);
                sum0 += w0[gate] * value;
                sum1 += w1[gate] * value;
                sum2 += w2[gate] * value;
                sum3 += w3[gate] * value;
            }
            const std::array<const Lanes<Scalar>*, 4> sums{&sum0, &sum1, &sum2, &sum3};
            for (Index r = 0; r < std::min(Index(4), rows - row); ++r)
                store(*sums[std::size_t(r)], row + r, at, std::min(kLanes<Scalar>, n - at));
        }
    }
}

template <class Scalar>
auto block_matrix(const Block<Scalar>& block, Index rows, Index cols) {
    struct {
        Scalar* data;
        Index rows, cols, stride;
    } const view{block.data, rows, cols, block.stride};
    return matrix(view);
}

/// sum += [x, h] dz^T
template <class Scalar>
void lstm_weights_vjp(const LstmCell<Scalar>& cell,
                      Index n,
                      const LstmInput<Scalar>& in,
                      const Block<Scalar>& dz,
                      Scalar* sum) {
    const Index gates = 4 * cell.hidden;
    const auto dz_matrix = block_matrix(dz, gates, n);
    block_matrix(Block<Scalar>{sum, gates}, cell.inputs, gates).noalias() +=
        block_matrix(in.x, cell.inputs, n) * dz_matrix.transpose();
    block_matrix(Block<Scalar>{sum + cell.inputs * gates, gates}, cell.hidden, gates).noalias() +=
        block_matrix(in.h, cell.hidden, n) * dz_matrix.transpose();
}

}  // namespace detail

/// The reverse of lstm_forward for the same input: adds the cotangents of w, b and x, writes those
/// of h and c.
/// @param tape       [5 hidden, n] as lstm_forward wrote it.
/// @param workspace  lstm_vjp_workspace<Scalar>(inputs, hidden, n) elements, contents undefined on return.
/// Within the call w is summed in Scalar; with a double accumulator the sum over many blocks keeps its
/// digits. The bits of x, h and c at a coordinate depend neither on n nor on its position; those of w and b
/// do. Cost: 16 (inputs + hidden) hidden n flops; no allocation as long as Eigen packs its panels on the
/// stack: 4 hidden n sizeof(Scalar) <= EIGEN_STACK_ALLOCATION_LIMIT (128 KiB).
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

    row_vector(gradient.b, gates) +=
        detail::block_matrix(dz, gates, n).template cast<Accumulator>().rowwise().sum().transpose();
    if constexpr (std::same_as<Scalar, Accumulator>) {
        detail::lstm_weights_vjp(cell, n, in, dz, gradient.w);
    } else {
        Scalar* sum = workspace + gates * dz.stride;
        const Index size = (cell.inputs + hidden) * gates;
        row_vector(sum, size).setZero();
        detail::lstm_weights_vjp(cell, n, in, dz, sum);
        row_vector(gradient.w, size) += row_vector(sum, size).template cast<Accumulator>();
    }

    if (gradient.x.data != nullptr)
        detail::lstm_input_vjp(
            cell, n, 0, cell.inputs, dz, [&](const auto& sum, Index row, Index at, Index count) {
                Scalar* x_bar = gradient.x.at(row, at);
                store_lanes<Scalar>(load_lanes(x_bar, count) + sum, x_bar, count);
            });
    detail::lstm_input_vjp(
        cell, n, cell.inputs, hidden, dz, [&](const auto& sum, Index row, Index at, Index count) {
            store_lanes(sum, gradient.h.at(row, at), count);
        });
}

}  // namespace l2o::numerics

#endif
