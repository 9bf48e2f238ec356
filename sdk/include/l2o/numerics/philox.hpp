// Counter-based random numbers: a draw is a pure function of (key, row, purpose, position), so a batch may be
// split, reordered or resumed without changing a single draw.
#pragma once

#include <array>
#include <cassert>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <numbers>

namespace l2o::numerics {

/// Philox4x32-10: 128 bits that depend on every bit of counter and key; a bijection of the counter.
/// Source: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3" (SC11),
/// with the constants of the authors' Random123.   Cost: 20 multiplications 32x32 -> 64.
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p0 = std::uint64_t{0xD2511F53} * counter[0];
        const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * counter[2];
        counter = {std::uint32_t(p1 >> 32) ^ counter[1] ^ key[0],
                   std::uint32_t(p1),
                   std::uint32_t(p0 >> 32) ^ counter[3] ^ key[1],
                   std::uint32_t(p0)};
        key[0] += 0x9E3779B9;
        key[1] += 0xBB67AE85;
    }
    return counter;
}

/// The 128-bit key of the ABI (`l2o_call::key`).
using Key = std::array<std::uint64_t, 2>;

namespace detail {

constexpr std::array<std::uint32_t, 2> halves(std::uint64_t v) {
    return {std::uint32_t(v), std::uint32_t(v >> 32)};
}

constexpr std::uint64_t join(std::uint32_t low, std::uint32_t high) {
    return std::uint64_t{high} << 32 | low;
}

enum class KeyUse : std::uint32_t { kStream = 1, kDerive = 2 };

/// 128-bit key -> 64-bit Philox key: the first two words of Philox(counter = {key[1] low, key[1] high,
/// purpose, use}, key = key[0]). 128 bits do not fit in 64: two keys meet with probability 2^-64.
constexpr std::array<std::uint32_t, 2> fold_key(const Key& key, std::uint32_t purpose, KeyUse use) {
    const auto [low, high] = halves(key[1]);
    const auto block = philox4x32({low, high, purpose, std::uint32_t(use)}, halves(key[0]));
    return {block[0], block[1]};
}

}  // namespace detail

/// An independent key for a named part of a run (data, starts, the minibatch of step `index` ...).
/// For a given key, different (tag, index) always give different keys.
constexpr Key derive_key(const Key& key, std::uint64_t tag, std::uint64_t index = 0) {
    const auto t = detail::halves(tag);
    const auto i = detail::halves(index);
    const auto block =
        philox4x32({t[0], t[1], i[0], i[1]}, detail::fold_key(key, 0, detail::KeyUse::kDerive));
    return {detail::join(block[0], block[1]), detail::join(block[2], block[3])};
}

inline Key derive_key(const std::uint64_t* key, std::uint64_t tag, std::uint64_t index = 0) {
    return derive_key(Key{key[0], key[1]}, tag, index);
}

/// The draws of one row. Equal (key, row, purpose) give equal integers and uniforms, bit for bit, on every
/// platform; normals are equal up to the rounding of the C library's log, sin and cos.
///
/// Block p of the stream (four 32-bit words, used in order) is Philox4x32-10 with
///   key     = the first two words of Philox({key[1] low, key[1] high, purpose, 1}, key[0]),
///   counter = {p low, p high, row low, row high},
/// so under one key no two (row, position) share a counter. `purpose` separates the draws that one call makes
/// for different things (a start, a noise, a mask) without counting them.
class Stream {
  public:
    constexpr Stream(const Key& key, std::uint64_t row, std::uint32_t purpose = 0)
        : key_(detail::fold_key(key, purpose, detail::KeyUse::kStream)), row_(detail::halves(row)) {}

    /// @param key  two words, for example `call->key`.
    Stream(const std::uint64_t* key, std::uint64_t row, std::uint32_t purpose = 0)
        : Stream(Key{key[0], key[1]}, row, purpose) {}

    constexpr std::uint32_t bits() {
        if (used_ == 4) {
            const auto position = detail::halves(position_++);
            block_ = philox4x32({position[0], position[1], row_[0], row_[1]}, key_);
            used_ = 0;
        }
        return block_[used_++];
    }

    /// The first of two words is the low half.
    constexpr std::uint64_t bits64() {
        const std::uint32_t low = bits();
        return detail::join(low, bits());
    }

    /// Uniform on [0, 1): multiples of 2^-24 (float, one word) or 2^-53 (double, two words).
    template <std::floating_point Scalar = double>
    constexpr Scalar uniform() {
        static_assert(std::same_as<Scalar, float> || std::same_as<Scalar, double>);
        if constexpr (std::same_as<Scalar, float>)
            return float(bits() >> 8) * 0x1p-24F;
        else
            return double(bits64() >> 11) * 0x1p-53;
    }

    /// Standard normal, |value| <= 8.6, computed in double for either Scalar. Draws come in pairs (four
    /// words): every second call returns the stored partner, also if other draws were made in between.
    /// Source: Box & Muller 1958.
    template <std::floating_point Scalar = double>
    Scalar normal() {
        if (has_partner_) {
            has_partner_ = false;
            return Scalar(partner_);
        }
        const double radius = std::sqrt(-2 * std::log(1 - uniform()));  // 1 - u lies in (0, 1]
        const double angle = 2 * std::numbers::pi * uniform();
        partner_ = radius * std::sin(angle);
        has_partner_ = true;
        return Scalar(radius * std::cos(angle));
    }

    /// Uniform on {0, ..., n - 1}, without bias.   @pre n > 0
    constexpr std::uint64_t below(std::uint64_t n) {
        assert(n > 0);
        const std::uint64_t rejected = (0 - n) % n;  // 2^64 mod n draws too many of the smallest values
        std::uint64_t draw = bits64();
        while (draw < rejected) draw = bits64();
        return draw % n;
    }

  private:
    std::array<std::uint32_t, 2> key_;
    std::array<std::uint32_t, 2> row_;
    std::uint64_t position_ = 0;
    std::array<std::uint32_t, 4> block_{};
    std::uint32_t used_ = 4;
    bool has_partner_ = false;
    double partner_ = 0;
};

}  // namespace l2o::numerics
