#include "framework/store/hash.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/uuid/detail/sha1.hpp>
#include <cstring>

namespace l2o::framework {

std::string sha1_hex(std::string_view bytes) {
    boost::uuids::detail::sha1 sha1;
    sha1.process_bytes(bytes.data(), bytes.size());
    boost::uuids::detail::sha1::digest_type digest;
    sha1.get_digest(digest);
    // Five words, the most significant byte of each first in the hash; from Boost 1.86 on, twenty bytes.
    std::string hex;
    for (const auto unit : digest) hex += fmt::format("{:0{}x}", unit, 2 * sizeof unit);
    return hex;
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
