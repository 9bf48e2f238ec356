// Products of a small matrix of weights with tiles of coordinates: the inside of the networks that run on
// every coordinate.
#ifndef L2O_NUMERICS_TILE_PRODUCT_HPP
#define L2O_NUMERICS_TILE_PRODUCT_HPP

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "l2o/numerics/lanes.hpp"
#include "l2o/numerics/packet.hpp"

namespace l2o::numerics {

template <class Scalar>
Packet<Scalar> load_packet(const Scalar* from) {
    Packet<Scalar> packet;
    std::memcpy(&packet, from, sizeof packet);
    return packet;
}
/// Two packets are one Lanes.
template <class Scalar>
void join_packets(const Packet<Scalar>& low, const Packet<Scalar>& high, Lanes<Scalar>& to) {
    std::memcpy(to.data(), &low, sizeof low);
    std::memcpy(to.data() + kPacket<Scalar>, &high, sizeof high);
}
/// Writes the first `count` elements of the two to `to`.
template <class Scalar>
void store_packets(const Packet<Scalar>& low, const Packet<Scalar>& high, Scalar* to, Index count) {
    if (count == kLanes<Scalar>) {
        std::memcpy(to, &low, sizeof low);
        std::memcpy(to + kPacket<Scalar>, &high, sizeof high);
        return;
    }
    Lanes<Scalar> tile;
    join_packets<Scalar>(low, high, tile);
    std::copy_n(tile.data(), count, to);
}

/// How the weights of a product lie: weight (input, output) at [input, output] or at [output, input].
enum class Weights { kInputsByRow, kOutputsByRow };

/// sum(o) = sum over i of w(i, o) in(i) for n coordinates; calls store(sum, o, at, count) with a Lanes for
/// the coordinates at .. at + count - 1. Four outputs at a time share the loads of the input.
/// @param w       rows `stride` elements apart.
/// @param in      [inputs, n], up to whole lanes.
/// The bits of a coordinate depend neither on n nor on its position.
template <Weights kLayout, class Scalar, class Store>
void tile_products(const Scalar* w,
                   Index stride,
                   Index outputs,
                   Index inputs,
                   Index n,
                   const std::type_identity_t<Block<const Scalar>>& in,
                   Store&& store) {
    constexpr bool kByInput = kLayout == Weights::kInputsByRow;
    for (Index at = 0; at < n; at += kLanes<Scalar>) {
        const Index count = std::min(kLanes<Scalar>, n - at);
        for (Index output = 0; output < outputs; output += 4) {
            const auto weights_of = [&](Index o) {  // a group that is not full repeats its last output
                return w + std::min(output + o, outputs - 1) * (kByInput ? 1 : stride);
            };
            const Scalar *w0 = weights_of(0), *w1 = weights_of(1), *w2 = weights_of(2), *w3 = weights_of(3);
            Packet<Scalar> a0{}, a1{}, b0{}, b1{}, c0{}, c1{}, d0{}, d1{};
            for (Index i = 0, k = 0; i < inputs; ++i, k += kByInput ? stride : 1) {
                const Packet<Scalar> low = load_packet(in.at(i, at));
                const Packet<Scalar> high = load_packet(in.at(i, at + kPacket<Scalar>));
                a0 += w0[k] * low, a1 += w0[k] * high;
                b0 += w1[k] * low, b1 += w1[k] * high;
                c0 += w2[k] * low, c1 += w2[k] * high;
                d0 += w3[k] * low, d1 += w3[k] * high;
            }
            const Index last = outputs - output;
            store(a0, a1, output, at, count);
            if (last > 1) store(b0, b1, output + 1, at, count);
            if (last > 2) store(c0, c1, output + 2, at, count);
            if (last > 3) store(d0, d1, output + 3, at, count);
        }
    }
}

/// Columns per panel of add_outer_products: with four rows, as many sums as there are registers for.
template <class Scalar>
inline constexpr Index kPanelPackets = EIGEN_MAX_STATIC_ALIGN_BYTES >= 64 ? 5 : 2;
template <class Scalar>
inline constexpr Index kPanel = kPanelPackets<Scalar>* kPacket<Scalar>;
template <class Scalar>
constexpr Index round_up_to_panels(Index columns) {
    return (columns + kPanel<Scalar> - 1) / kPanel<Scalar> * kPanel<Scalar>;
}

/// w += x y, of shapes [rows, columns] = [rows, n] [n, columns].
/// @param y  coordinates by row, each row padded to whole panels.
template <class Scalar, class Accumulator>
void add_outer_products(const std::type_identity_t<Block<const Scalar>>& x,
                        Index rows,
                        Index n,
                        const Scalar* y,
                        Index columns,
                        Accumulator* w) {
    constexpr Index kPackets = kPanelPackets<Scalar>;
    const Index stride = round_up_to_panels<Scalar>(columns);
    for (Index column = 0; column < columns; column += kPanel<Scalar>) {
        for (Index row = 0; row < rows; row += 4) {
            const auto row_of = [&](Index r) {  // a group that is not full repeats its last row
                return x.at(std::min(row + r, rows - 1), 0);
            };
            const Scalar *x0 = row_of(0), *x1 = row_of(1), *x2 = row_of(2), *x3 = row_of(3);
            Packet<Scalar> a[kPackets] = {}, b[kPackets] = {}, c[kPackets] = {}, d[kPackets] = {};
            for (Index k = 0; k < n; ++k)
                for (Index p = 0; p < kPackets; ++p) {
                    const Packet<Scalar> value = load_packet(y + k * stride + column + p * kPacket<Scalar>);
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
                for (Index i = 0; i < std::min(kPanel<Scalar>, columns - column); ++i)
                    w[(row + r) * columns + column + i] += Accumulator(sums[r][i]);
        }
    }
}

}  // namespace l2o::numerics

#endif
