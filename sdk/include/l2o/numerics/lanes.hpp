// Tiles of coordinates, for kernels that treat every coordinate alike.
//
// Eigen evaluates the head of an array with packet instructions and its tail with scalar ones, and the two
// differ in the last bit for exp, log and tanh. A coordinate-wise kernel that works on tiles of fixed size,
// the last one filled up with zeros, gives a coordinate the same bits wherever it lies and however the host
// slices the block.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <type_traits>

namespace l2o::numerics {

using Eigen::Index;

/// Coordinates per tile: two packets, so that four accumulators of a tile fill half the registers.
template <class Scalar>
inline constexpr Eigen::Index kLanes =
    Eigen::Index{2} * std::max(EIGEN_MAX_STATIC_ALIGN_BYTES, 16) / Eigen::Index(sizeof(Scalar));

template <class Scalar>
using Lanes = Eigen::Array<Scalar, int(kLanes<Scalar>), 1>;

template <class Scalar>
constexpr Eigen::Index round_up_to_lanes(Eigen::Index n) {
    return (n + kLanes<Scalar> - 1) / kLanes<Scalar> * kLanes<Scalar>;
}

/// The first `count` elements at `from`, then zeros. 1 <= count <= kLanes.
template <class Scalar>
Lanes<Scalar> load_lanes(const Scalar* from, Eigen::Index count) {
    if (count == kLanes<Scalar>) return Eigen::Map<const Lanes<Scalar>>(from);
    Lanes<Scalar> tile = Lanes<Scalar>::Zero();
    std::copy_n(from, count, tile.data());
    return tile;
}

/// Writes the first `count` elements of the tile to `to`.
template <class Scalar>
void store_lanes(const Lanes<Scalar>& tile, Scalar* to, Eigen::Index count) {
    if (count == kLanes<Scalar>)
        Lanes<Scalar>::Map(to) = tile;
    else
        std::copy_n(tile.data(), count, to);
}

/// Where a feature-major block lies, [features x n coordinates], coordinates contiguous; how many rows and
/// columns it has follows from the call.
template <class Scalar>
struct Block {
    Scalar* data = nullptr;
    Index stride = 0;  // from row to row, in elements

    Scalar* at(Index row, Index column) const { return data + row * stride + column; }
    operator Block<const Scalar>() const requires(!std::is_const_v<Scalar>) { return {data, stride}; }
};

}  // namespace l2o::numerics
