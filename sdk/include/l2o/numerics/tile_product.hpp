// Products of a small matrix of weights with tiles of coordinates: the inside of the networks that run on
// every coordinate.
#pragma once

#include <algorithm>
#include <type_traits>

#include "l2o/numerics/lanes.hpp"
#include "l2o/numerics/packet.hpp"

namespace l2o::numerics {

/// sum(o) = sum over i of w(i, o) in(i) for n coordinates; calls store(sum, o, at) with two packets for the
/// coordinates from `at` on. Several outputs share the loads of the input.
/// @param w       [inputs, outputs], row-major
/// @param in      [inputs, n], up to whole lanes.
/// The bits of a coordinate depend neither on n nor on its position.
template <class Scalar, class Store>
void tile_products(const Scalar* w,
                   Index outputs,
                   Index inputs,
                   Index n,
                   const std::type_identity_t<Block<const Scalar>>& in,
                   Store&& store) {
    for (Index at = 0; at < n; at += kLanes<Scalar>)
        for_each_row_group(outputs, [&]<int kOutputs>(std::integral_constant<int, kOutputs>, Index output) {
            ProductTile<Scalar, kOutputs, 2> tile;
            tile.add(w + output, 1, outputs, in.at(0, at), in.stride, inputs, WholePacket<Scalar>());
#pragma GCC unroll 5
            for (int o = 0; o < kOutputs; ++o) {
                Packets<Scalar, 2> sum;
                sum.packet[0] = tile.sum[o][0], sum.packet[1] = tile.sum[o][1];
                store(sum, output + o, at);
            }
        });
}

namespace detail {

using One = std::integral_constant<Index, 1>;

/// For kRows rows of w and kPackets packets of coordinates.
template <bool kAdd, int kRows, int kPackets, class Scalar, class Count>
[[gnu::noinline]] void product_by_row_tile(const Scalar* w,
                                           Index columns,
                                           const Scalar* z,
                                           Index z_stride,
                                           Scalar* to,
                                           Index to_stride,
                                           Count last) {
    ProductTile<Scalar, kRows, kPackets> tile;
    tile.add(w, columns, One(), z, z_stride, columns, WholePacket<Scalar>());
    tile.each([&](int r, int p, auto& sum) {
        Scalar* target = to + r * to_stride + p * kPacket<Scalar>;
        const Index count = p < kPackets - 1 ? kPacket<Scalar> : Index(last);
        if constexpr (kAdd) sum += load_packet<Scalar>(target, count);
        store_packet(sum, target, count);
    });
}

}  // namespace detail

/// to = w z, or to += w z, of shapes [rows, n] = [rows, columns] [columns, n].
/// @param w  row-major   @param z  up to whole lanes
/// The bits of a coordinate depend neither on n nor on its position.
template <bool kAdd, class Scalar>
void products_by_row(const Scalar* w,
                     Index rows,
                     Index columns,
                     Index n,
                     const std::type_identity_t<Block<const Scalar>>& z,
                     const std::type_identity_t<Block<Scalar>>& to) {
    for_each_tile<Scalar>(n, [&]<int kPackets>(std::integral_constant<int, kPackets>, Index at, auto last) {
        for_each_row_group(rows, [&]<int kRows>(std::integral_constant<int, kRows>, Index row) {
            detail::product_by_row_tile<kAdd, kRows, kPackets>(
                w + row * columns, columns, z.at(0, at), z.stride, to.at(row, at), to.stride, last);
        });
    });
}

/// Columns per panel of add_outer_products: with five rows, as many sums as there are registers for.
template <class Scalar>
inline constexpr int kPanelPackets = EIGEN_MAX_STATIC_ALIGN_BYTES >= 64 ? 5 : 2;
template <class Scalar>
inline constexpr Index kPanel = kPanelPackets<Scalar>* kPacket<Scalar>;
template <class Scalar>
constexpr Index round_up_to_panels(Index columns) {
    return (columns + kPanel<Scalar> - 1) / kPanel<Scalar> * kPanel<Scalar>;
}

namespace detail {

/// w += x y for kRows rows of x and a panel of y [n, panel].
/// @param columns  how many of the panel there are in w, rows of which are w_row apart.
template <int kRows, class Step, class Scalar, class Accumulator>
[[gnu::noinline]] void add_outer_panel(const Scalar* x,
                                       Index x_row,
                                       Step x_step,
                                       const Scalar* y,
                                       Index y_stride,
                                       Index n,
                                       Index columns,
                                       Accumulator* w,
                                       Index w_row) {
    ProductTile<Scalar, kRows, kPanelPackets<Scalar>> tile;
    tile.add(x, x_row, x_step, y, y_stride, n, WholePacket<Scalar>());
    if (columns >= kPanel<Scalar>) {
        tile.each([&](int r, int p, const auto& sum) {
            add_packet<Scalar>(sum, w + r * w_row + p * kPacket<Scalar>);
        });
    } else {
        Scalar sums[kRows][kPanel<Scalar>];
        tile.each([&](int r, int p, const auto& sum) {
            store_packet(sum, sums[r] + p * kPacket<Scalar>, kPacket<Scalar>);
        });
        for (Index r = 0; r < kRows; ++r)
            for (Index i = 0; i < columns; ++i) w[r * w_row + i] += Accumulator(sums[r][i]);
    }
}

}  // namespace detail

/// w += x y, of shapes [rows, columns] = [rows, n] [n, columns]; and b += the sums of y if b is not NULL.
/// @param y  coordinates by row, each row padded to whole panels.
template <class Scalar, class Accumulator>
void add_outer_products(const std::type_identity_t<Block<const Scalar>>& x,
                        Index rows,
                        Index n,
                        const Scalar* y,
                        Index columns,
                        Accumulator* w,
                        std::type_identity_t<Accumulator>* b = nullptr) {
    const Index stride = round_up_to_panels<Scalar>(columns);
    const Scalar one = 1;
    for (Index column = 0; column < columns; column += kPanel<Scalar>) {
        const Scalar* panel = y + column;
        const Index left = columns - column;
        for_each_row_group(rows, [&]<int kRows>(std::integral_constant<int, kRows>, Index row) {
            detail::add_outer_panel<kRows>(x.at(row, 0),
                                           x.stride,
                                           detail::One(),
                                           panel,
                                           stride,
                                           n,
                                           left,
                                           w + row * columns + column,
                                           columns);
        });
        if (b != nullptr)
            detail::add_outer_panel<1>(&one, 0, Index(0), panel, stride, n, left, b + column, columns);
    }
}

}  // namespace l2o::numerics
