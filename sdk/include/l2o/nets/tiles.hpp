// Tiles of coordinates: what the nets that run on every coordinate work on.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <l2o/numerics/lanes.hpp>
#include <l2o/numerics/philox.hpp>
#include <l2o/numerics/transpose.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>

namespace l2o::nets {

using Eigen::Index;
using numerics::Block, numerics::kLanes, numerics::Lanes, numerics::load_lanes, numerics::store_lanes;

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
        each_row(block.cols / width, [&](Index row, Index column, Index length, Index at) {
            f(block.row(row) + column * width, length, at);
        });
    }
    /// Calls f(row, column, count, at) for the parts of the tile in rows of n coordinates.
    template <class F>
    void each_row(Index n, F&& f) const {
        for (Index at = 0; at < count;) {
            const Index row = (first + at) / n, column = (first + at) % n;
            const Index length = std::min(n - column, count - at);
            f(row, column, length, at);
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
template <bool kAdd, class T>
void scatter(const T* from, const Tile& tile, const View<T>& block) {
    tile.pieces(block, 1, [&](T* to, Index count, Index at) {
        for (Index i = 0; i < count; ++i) to[i] = kAdd ? to[i] + from[at + i] : from[at + i];
    });
}

/// From a tensor [B, n, width] to a block [width, tile], and back.
template <class T>
void load(const View<const T>& tensor, Index width, const Tile& tile, const Block<T>& to) {
    tile.pieces(tensor, width, [&](const T* from, Index count, Index at) {
        numerics::transpose(from, count, width, width, to.at(0, at), to.stride);
    });
}
template <bool kAdd, class T>
void store(const Block<T>& from, Index width, const Tile& tile, const View<T>& tensor) {
    tile.pieces(tensor, width, [&](T* to, Index count, Index at) {
        numerics::transpose<kAdd>(from.at(0, at), width, count, from.stride, to, width);
    });
}

/// The same of a tensor [B, width, n] (layers/planes.hpp); where the tile lies in one row it is not copied.
/// Where it lies: data NULL if in several rows.
template <class T>
Block<T> planes_of(const View<T>& tensor, Index n, const Tile& tile) {
    const Index column = tile.first % n;
    return column + tile.count <= n ? Block<T>{tensor.row(tile.first / n) + column, n} : Block<T>{};
}
/// @return `room`, or where the tile lies in the tensor
template <class T>
Block<const T> load_planes(
    const View<const T>& tensor, Index width, Index n, const Tile& tile, const Block<T>& room) {
    if (const Block<const T> there = planes_of(tensor, n, tile); there.data != nullptr) return there;
    if (n == 1) {
        load(tensor, width, tile, room);
        return room;
    }
    tile.each_row(n, [&](Index row, Index column, Index count, Index at) {
        for (Index i = 0; i < width; ++i)
            std::copy_n(tensor.row(row) + i * n + column, count, room.at(i, at));
    });
    return room;
}
template <bool kAdd, class T>
void store_planes(const Block<T>& from, Index width, Index n, const Tile& tile, const View<T>& tensor) {
    if (n == 1) return store<kAdd>(from, width, tile, tensor);
    tile.each_row(n, [&](Index row, Index column, Index count, Index at) {
        for (Index i = 0; i < width; ++i) {
            T *to = tensor.row(row) + i * n + column, *value = from.at(i, at);
            for (Index j = 0; j < count; ++j) to[j] = kAdd ? to[j] + value[j] : value[j];
        }
    });
}

/// Fills a parameter with draws; its place names them.
template <class T, class Draw>
void fill_random(const ParamsOut<T>& params, const Param& param, const l2o_call& call, Draw&& draw) {
    if (!params[param]) return;
    numerics::Stream random(call.key, param.index());
    each([&](T& weight) { weight = static_cast<T>(draw(random)); }, params[param]);
}
/// U(-bound, bound).
template <class T>
void fill_uniform(const ParamsOut<T>& params, const Param& param, double bound, const l2o_call& call) {
    fill_random(params, param, call, [=](auto& random) { return bound * (2 * random.uniform() - 1); });
}
/// N(mean, sigma^2).
template <class T>
void fill_normal(
    const ParamsOut<T>& params, const Param& param, double sigma, const l2o_call& call, double mean = 0) {
    fill_random(params, param, call, [=](auto& random) { return mean + sigma * random.normal(); });
}
/// N(0, sigma^2) truncated at two standard deviations.
template <class T>
void fill_truncated_normal(const ParamsOut<T>& params,
                           const Param& param,
                           double sigma,
                           const l2o_call& call) {
    fill_random(params, param, call, [=](auto& random) {
        double draw = random.normal();
        while (std::abs(draw) > 2) draw = random.normal();
        return sigma * draw;
    });
}

/// Sums of parameter cotangents over tiles, in double: over 1e6 coordinates a float sum loses 1e-5.
template <std::size_t kParams>
class GradientSums {
  public:
    /// @param goes_back  else there are none
    GradientSums(Scratch& scratch, bool goes_back, const std::array<Index, kParams>& sizes) {
        if (!goes_back) return;
        for (std::size_t i = 0; i < kParams; ++i) {
            sums_[i] = scratch.take<double>(sizes[i]);
            if (sums_[i] != nullptr) std::fill_n(sums_[i], sizes[i], 0.0);
        }
    }
    [[nodiscard]] double* operator[](std::size_t i) const { return sums_[i]; }

    /// Sum i to its accumulator; empty: not wanted.
    template <class T>
    void add_to(std::size_t i, const View<T>& accumulator) const {
        const double* sum = sums_[i];
        if (accumulator) each([&](T& total) { total = static_cast<T>(total + *sum++); }, accumulator);
    }

  private:
    std::array<double*, kParams> sums_{};
};

}  // namespace l2o::nets
