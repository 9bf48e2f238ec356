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
#include <cstring>
#include <type_traits>

#include "l2o/numerics/lanes.hpp"
#include "l2o/numerics/transpose.hpp"
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

namespace detail {

/// Half of a Lanes, in a register. The loops that sum products use these and no Lanes: GCC 12 spills those.
template <class Scalar>
struct PacketOf {
    typedef Scalar type __attribute__((vector_size(sizeof(Lanes<Scalar>) / 2)));
};
template <class Scalar>
using Packet = typename PacketOf<Scalar>::type;
template <class Scalar>
inline constexpr Index kPacket = kLanes<Scalar> / 2;

template <class Scalar>
Packet<Scalar> load_packet(const Scalar* from) {
    Packet<Scalar> packet;
    std::memcpy(&packet, from, sizeof packet);
    return packet;
}
template <class Scalar>
void join_packets(const Packet<Scalar>& low, const Packet<Scalar>& high, Lanes<Scalar>& to) {
    std::memcpy(to.data(), &low, sizeof low);
    std::memcpy(to.data() + kPacket<Scalar>, &high, sizeof high);
}

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
            Packet<Scalar> a0{}, a1{}, b0{}, b1{}, c0{}, c1{}, d0{}, d1{};
            for (Index gate = 0; gate < gates; ++gate) {
                const Packet<Scalar> low = load_packet(dz.at(gate, at));
                const Packet<Scalar> high = load_packet(dz.at(gate, at + kPacket<Scalar>));
                a0 += w0[gate] * low, a1 += w0[gate] * high;
                b0 += w1[gate] * low, b1 += w1[gate] * high;
                c0 += w2[gate] * low, c1 += w2[gate] * high;
                d0 += w3[gate] * low, d1 += w3[gate] * high;
            }
            std::array<Lanes<Scalar>, 4> sums;
            join_packets<Scalar>(a0, a1, sums[0]);
            join_packets<Scalar>(b0, b1, sums[1]);
            join_packets<Scalar>(c0, c1, sums[2]);
            join_packets<Scalar>(d0, d1, sums[3]);
            for (Index r = 0; r < std::min(Index(4), rows - row); ++r)
                store(sums[std::size_t(r)], row + r, at, std::min(kLanes<Scalar>, n - at));
        }
    }
}

/// Gates per panel of lstm_weights_vjp: with four rows, as many sums as there are registers for.
template <class Scalar>
inline constexpr Index kPanelPackets = EIGEN_MAX_STATIC_ALIGN_BYTES >= 64 ? 5 : 2;
template <class Scalar>
inline constexpr Index kPanel = kPanelPackets<Scalar>* kPacket<Scalar>;
template <class Scalar>
constexpr Index round_up_to_panels(Index gates) {
    return (gates + kPanel<Scalar> - 1) / kPanel<Scalar> * kPanel<Scalar>;
}

/// w += x dz.   @param dz  [n, gates], rows padded to whole panels.
template <class Scalar, class Accumulator>
void lstm_weights_vjp(
    const Block<const Scalar>& x, Index rows, Index n, const Scalar* dz, Index gates, Accumulator* w) {
    constexpr Index kPackets = kPanelPackets<Scalar>;
    const Index stride = round_up_to_panels<Scalar>(gates);
    for (Index gate = 0; gate < gates; gate += kPanel<Scalar>) {
        for (Index row = 0; row < rows; row += 4) {
            const auto row_of = [&](Index r) {  // a group that is not full repeats its last row
                return x.at(std::min(row + r, rows - 1), 0);
            };
            const Scalar *x0 = row_of(0), *x1 = row_of(1), *x2 = row_of(2), *x3 = row_of(3);
            Packet<Scalar> a[kPackets] = {}, b[kPackets] = {}, c[kPackets] = {}, d[kPackets] = {};
            for (Index k = 0; k < n; ++k)
                for (Index p = 0; p < kPackets; ++p) {
                    const Packet<Scalar> value = load_packet(dz + k * stride + gate + p * kPacket<Scalar>);
                    a[p] += x0[k] * value;
                    b[p] += x1[k] * value;
                    c[p] += x2[k] * value;
                    d[p] += x3[k] * value;
                }
            Scalar sums[4][kPanel<Scalar>];
            for (Index p = 0; p < kPackets; ++p) {
                std::memcpy(sums[0] + p * kPacket<Scalar>, &a[p], sizeof a[p]);
                std::memcpy(sums[1] + p * kPacket<Scalar>, &b[p], sizeof b[p]);
                std::memcpy(sums[2] + p * kPacket<Scalar>, &c[p], sizeof c[p]);
                std::memcpy(sums[3] + p * kPacket<Scalar>, &d[p], sizeof d[p]);
            }
            for (Index r = 0; r < std::min(Index(4), rows - row); ++r)
                for (Index i = 0; i < std::min(kPanel<Scalar>, gates - gate); ++i)
                    w[(row + r) * gates + gate + i] += Accumulator(sums[r][i]);
        }
    }
}

}  // namespace detail

/// Elements of the workspace that lstm_vjp needs.
template <class Scalar>
constexpr Index lstm_vjp_workspace(Index hidden, Index n) {
    return 4 * hidden * round_up_to_lanes<Scalar>(n) + n * detail::round_up_to_panels<Scalar>(4 * hidden);
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
    const Index padded_gates = detail::round_up_to_panels<Scalar>(gates);
    if (padded_gates > gates) std::fill_n(dz_by_coordinate, n * padded_gates, Scalar(0));
    transpose(dz.data, gates, n, dz.stride, dz_by_coordinate, padded_gates);
    detail::lstm_weights_vjp(in.x, cell.inputs, n, dz_by_coordinate, gates, gradient.w);
    detail::lstm_weights_vjp(in.h, hidden, n, dz_by_coordinate, gates, gradient.w + cell.inputs * gates);

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
