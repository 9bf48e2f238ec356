#include "framework/store/hash.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace l2o::framework {
namespace {

/// FIPS 180-4, sections 5.3.1 and 6.1; symbols as there. Boost's own goes byte by byte, at a twentieth of the
/// rate.
class Sha1 {
  public:
    void add(std::string_view bytes) {
        size_ += bytes.size();
        if (filled_ > 0) {
            const std::size_t taken = std::min(bytes.size(), kBlock - filled_);
            std::memcpy(rest_.data() + filled_, bytes.data(), taken);
            filled_ += taken;
            bytes.remove_prefix(taken);
            if (filled_ < kBlock) return;
            take(rest_.data());
            filled_ = 0;
        }
        for (; bytes.size() >= kBlock; bytes.remove_prefix(kBlock)) take(bytes.data());
        if (!bytes.empty()) std::memcpy(rest_.data(), bytes.data(), bytes.size());
        filled_ = bytes.size();
    }

    [[nodiscard]] std::string hex() {
        const std::uint64_t bits = size_ * 8;
        std::string padding(filled_ < kBlock - 8 ? kBlock - 8 - filled_ : 2 * kBlock - 8 - filled_, '\0');
        padding[0] = '\x80';
        for (int shift = 56; shift >= 0; shift -= 8) padding += static_cast<char>(bits >> shift & 0xFF);
        add(padding);
        std::string hex;
        for (const std::uint32_t word : h_) hex += fmt::format("{:08x}", word);
        return hex;
    }

  private:
    static constexpr std::size_t kBlock = 64;

    void take(const char* block) {
        std::array<std::uint32_t, 16> w;
        std::memcpy(w.data(), block, kBlock);
        if constexpr (std::endian::native == std::endian::little)
            for (std::uint32_t& word : w) word = __builtin_bswap32(word);
        // No structured binding: clang 14 captures none.
        std::uint32_t a = h_[0], b = h_[1], c = h_[2], d = h_[3], e = h_[4];
        const auto rounds = [&](unsigned from, std::uint32_t k, auto&& f) {
#pragma GCC unroll 20
            for (unsigned t = from; t < from + 20; ++t) {
                std::uint32_t& word = w[t % 16];
                if (t >= 16) word = std::rotl(word ^ w[(t + 2) % 16] ^ w[(t + 8) % 16] ^ w[(t + 13) % 16], 1);
                const std::uint32_t next = std::rotl(a, 5) + f() + e + k + word;
                e = d, d = c, c = std::rotl(b, 30), b = a, a = next;
            }
        };
        rounds(0, 0x5a827999, [&] { return (b & c) ^ (~b & d); });
        rounds(20, 0x6ed9eba1, [&] { return b ^ c ^ d; });
        rounds(40, 0x8f1bbcdc, [&] { return (b & c) ^ (b & d) ^ (c & d); });
        rounds(60, 0xca62c1d6, [&] { return b ^ c ^ d; });
        h_[0] += a, h_[1] += b, h_[2] += c, h_[3] += d, h_[4] += e;
    }

    std::array<std::uint32_t, 5> h_{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    std::array<char, kBlock> rest_{};
    std::size_t filled_ = 0;
    std::uint64_t size_ = 0;
};

}  // namespace

std::string sha1_hex(std::string_view bytes) {
    Sha1 sha1;
    sha1.add(bytes);
    return sha1.hex();
}

std::string sha1_hex(FileHandle& file) {
    Sha1 sha1;
    std::string block(std::size_t{1} << 18, '\0');
    for (;;) {
        const ssize_t got = ::read(file.descriptor(), block.data(), block.size());
        if (got == 0) return sha1.hex();
        if (got > 0)
            sha1.add({block.data(), static_cast<std::size_t>(got)});
        else if (errno != EINTR)
            throw io_error(file.path(), "cannot read", errno, "expected a readable file");
    }
}

void Checksum::add(std::string_view piece) {
    constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;  // Knuth's: 2^64 / golden ratio
    // One to one in the lane and in the word: a single changed word always shows.
    const auto mix = [this](std::size_t lane, std::uint64_t word) {
        const std::uint64_t product = (lanes_[lane] ^ word) * kOdd;
        lanes_[lane] = product ^ product >> 29;
    };
    mix(0, piece.size());
    while (!piece.empty()) {
        std::array<std::uint64_t, 4> words{};
        const std::size_t taken = std::min(piece.size(), sizeof words);
        std::memcpy(words.data(), piece.data(), taken);
        for (std::size_t lane = 0; lane < words.size(); ++lane) mix(lane, words[lane]);
        piece.remove_prefix(taken);
    }
}

std::string Checksum::hex() const {
    std::string hex;
    for (const std::uint64_t lane : lanes_) hex += fmt::format("{:016x}", lane);
    return hex;
}

}  // namespace l2o::framework
