// Tiles of coordinates: what the optimizers that run one small network on every coordinate work on.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <l2o/numerics/lanes.hpp>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>

namespace l2o::recurrent {

using Eigen::Index;

/// Coordinates per tile. Chosen: the reverse of a tile stays in the L2 cache (190 KiB); at 32 it is a tenth
/// slower, at 128 hardly faster.
inline constexpr Index kTile = 64;

/// Coordinates first .. first + count - 1 of a block whose rows follow one another.
struct Tile {
    Index first, count;

    /// Calls f(start, count, at) for the pieces of memory that hold the tile's coordinates, `width` numbers
    /// each: `count` of them lie from `start` on, the first being the tile's number `at`. One piece if rows
    /// are not padded.
    template <class T, class F>
    void pieces(const View<T>& block, Index width, F&& f) const {
        if (block.stride == block.cols || block.rows == 1)
            return f(block.data + first * width, count, Index(0));
        const Index cols = block.cols / width;
        for (Index at = 0; at < count;) {
            const Index row = (first + at) / cols;
            const Index col = (first + at) % cols;
            const Index length = std::min(cols - col, count - at);
            f(block.row(row) + col * width, length, at);
            at += length;
        }
    }
};

template <class F>
void for_each_tile(Index coordinates, F&& f) {
    for (Index first = 0; first < coordinates; first += kTile)
        f(Tile{first, std::min(kTile, coordinates - first)});
}

/// One number per coordinate, from and to a block [B, n].
template <class T>
void gather(const View<const T>& block, const Tile& tile, T* to) {
    tile.pieces(block, 1, [&](const T* from, Index count, Index at) { std::copy_n(from, count, to + at); });
}
template <class T>
void scatter(const T* from, const Tile& tile, const View<T>& block) {
    tile.pieces(block, 1, [&](T* to, Index count, Index at) { std::copy_n(from + at, count, to); });
}
template <class T>
void scatter_add(const T* from, const Tile& tile, const View<T>& block) {
    tile.pieces(block, 1, [&](T* to, Index count, Index at) {
        for (Index i = 0; i < count; ++i) to[i] += from[at + i];
    });
}

/// Draws from N(0, sigma^2) truncated at two standard deviations.
/// The parameter's place names its draws.
template <class T>
void fill_truncated_normal(const ParamsOut<T>& params,
                           const Param& param,
                           double sigma,
                           const l2o_call& call) {
    if (!params[param]) return;
    numerics::Stream random(call.key, param.index());
    each(
        [&](T& weight) {
            double draw = random.normal();
            while (std::abs(draw) > 2) draw = random.normal();
            weight = static_cast<T>(sigma * draw);
        },
        params[param]);
}

/// Sums of parameter cotangents over tiles, in double: over 1e6 coordinates a float sum loses 1e-5.
template <std::size_t kParams>
class GradientSums {
  public:
    GradientSums(Scratch& scratch, const std::array<Index, kParams>& sizes) {
        for (std::size_t i = 0; i < kParams; ++i) {
            sums_[i] = scratch.take<double>(sizes[i]);
            if (sums_[i] != nullptr) std::fill_n(sums_[i], sizes[i], 0.0);
        }
    }
    [[nodiscard]] double* operator[](std::size_t i) const { return sums_[i]; }

    /// To the accumulators of the parameters that were declared.
    template <class T>
    void add_to(const StepAcc<T>& acc, const std::array<Param, kParams>& params) const {
        for (std::size_t i = 0; i < kParams; ++i) {
            if (!params[i]) continue;
            const double* sum = sums_[i];
            if (const View<T> param = acc.param(params[i]))
                each([&](T& total) { total = static_cast<T>(total + *sum++); }, param);
        }
    }

  private:
    std::array<double*, kParams> sums_;
};

}  // namespace l2o::recurrent
