#pragma once

#include <Eigen/Core>
#include <concepts>
#include <cstring>
#include <type_traits>

namespace l2o::numerics {

using Eigen::Index;

namespace detail {

#ifdef __AVX512F__
/// `from` 16 x 4 to `to` 4 x 16. Four blocks of 4 x 4 side by side in each register.
template <bool kAdd>
void transpose_16_by_4(const float* from, Index from_stride, float* to, Index to_stride) {
    typedef float Quad __attribute__((vector_size(16)));
    typedef float Two __attribute__((vector_size(32)));
    typedef float Four __attribute__((vector_size(64)));
    const auto load = [&](Index row) {
        Quad quad;
        std::memcpy(&quad, from + row * from_stride, sizeof quad);
        return quad;
    };
    const auto rows = [&](Index first) {  // first, first + 4, ...
        const Two low = __builtin_shufflevector(load(first), load(first + 4), 0, 1, 2, 3, 4, 5, 6, 7);
        const Two high = __builtin_shufflevector(load(first + 8), load(first + 12), 0, 1, 2, 3, 4, 5, 6, 7);
        return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    };
    const auto left = [](Four a, Four b) {
        return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
    };
    const auto right = [](Four a, Four b) {
        return __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
    };
    const auto store_two = [&](Four a, Four b, Index col) {
        Four first = __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
        Four second =
            __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
        float *target = to + col * to_stride, *next = target + to_stride;
        if constexpr (kAdd) {
            Four old;
            std::memcpy(&old, target, sizeof old), first += old;
            std::memcpy(&old, next, sizeof old), second += old;
        }
        std::memcpy(target, &first, sizeof first);
        std::memcpy(next, &second, sizeof second);
    };
    const Four rows0 = rows(0), rows1 = rows(1), rows2 = rows(2), rows3 = rows(3);
    store_two(left(rows0, rows1), left(rows2, rows3), 0);
    store_two(right(rows0, rows1), right(rows2, rows3), 2);
}
#endif

template <bool kAdd, class Scalar>
void transpose_by_4(
    const Scalar* from, Index rows, Index cols, Index from_stride, Scalar* to, Index to_stride) {
    typedef Scalar Quad __attribute__((vector_size(4 * sizeof(Scalar))));
    const auto load = [](const Scalar* at) {
        Quad quad;
        std::memcpy(&quad, at, sizeof quad);
        return quad;
    };
    const auto store = [&](Quad quad, Scalar* at) {
        if constexpr (kAdd) quad += load(at);
        std::memcpy(at, &quad, sizeof quad);
    };
    const Index whole_rows = rows / 4 * 4, whole_cols = cols / 4 * 4;
    for (Index r = 0; r < whole_rows; r += 4)
        for (Index c = 0; c < whole_cols; c += 4) {
            const Scalar* source = from + r * from_stride + c;
            const Quad row0 = load(source), row1 = load(source + from_stride);
            const Quad row2 = load(source + 2 * from_stride), row3 = load(source + 3 * from_stride);
            const Quad left01 = __builtin_shufflevector(row0, row1, 0, 4, 1, 5);
            const Quad right01 = __builtin_shufflevector(row0, row1, 2, 6, 3, 7);
            const Quad left23 = __builtin_shufflevector(row2, row3, 0, 4, 1, 5);
            const Quad right23 = __builtin_shufflevector(row2, row3, 2, 6, 3, 7);
            Scalar* target = to + c * to_stride + r;
            store(__builtin_shufflevector(left01, left23, 0, 1, 4, 5), target);
            store(__builtin_shufflevector(left01, left23, 2, 3, 6, 7), target + to_stride);
            store(__builtin_shufflevector(right01, right23, 0, 1, 4, 5), target + 2 * to_stride);
            store(__builtin_shufflevector(right01, right23, 2, 3, 6, 7), target + 3 * to_stride);
        }
    for (Index r = 0; r < rows; ++r)
        for (Index c = r < whole_rows ? whole_cols : 0; c < cols; ++c) {
            Scalar& target = to[c * to_stride + r];
            target = kAdd ? target + from[r * from_stride + c] : from[r * from_stride + c];
        }
}

}  // namespace detail

/// to [cols, rows] = transpose of from [rows, cols], or += it; both row-major, rows `stride` elements apart.
/// The two do not overlap. No allocation; blocks in registers, at least three times as fast as a plain loop.
template <bool kAdd = false, std::floating_point Scalar>
void transpose(const Scalar* from, Index rows, Index cols, Index from_stride, Scalar* to, Index to_stride) {
#ifdef __AVX512F__
    if constexpr (std::is_same_v<Scalar, float>) {
        const Index tall = rows / 16 * 16, wide = cols / 4 * 4;
        for (Index r = 0; r < tall; r += 16) {
            // States of a recorded step come from memory, and the processor does not look past the shuffles.
            if (from_stride == cols && r + 16 < tall)
                for (Index i = 0; i < 16 * cols; i += 16) __builtin_prefetch(from + (r + 16) * cols + i);
            for (Index c = 0; c < wide; c += 4)
                detail::transpose_16_by_4<kAdd>(
                    from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride);
        }
        detail::transpose_by_4<kAdd>(
            from + wide, tall, cols - wide, from_stride, to + wide * to_stride, to_stride);
        from += tall * from_stride, to += tall, rows -= tall;
    }
#endif
    detail::transpose_by_4<kAdd>(from, rows, cols, from_stride, to, to_stride);
}

}  // namespace l2o::numerics
