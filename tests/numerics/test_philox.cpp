#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <vector>

#include "l2o/numerics/philox.hpp"

using namespace l2o::numerics;

// Published vectors: file kat_vectors of Random123 1.14.0 (D. E. Shaw Research), lines "philox4x32 10".
TEST_CASE("philox: the three published vectors of Philox4x32-10 come out") {
    using Counter = std::array<std::uint32_t, 4>;
    CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    const std::uint32_t f = 0xffffffff;
    CHECK(philox4x32({f, f, f, f}, {f, f}) == Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
          Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("philox: a stream is the documented blocks, words in order") {
    const Key key{0x0123456789abcdef, 0xfedcba9876543210};
    const std::uint64_t row = 0x100000002;
    const auto folded = philox4x32({0x76543210, 0xfedcba98, 7, 1}, {0x89abcdef, 0x01234567});
    Stream stream(key, row, 7);
    for (std::uint32_t position : {0U, 1U, 2U})
        for (std::uint32_t word : philox4x32({position, 0, 2, 1}, {folded[0], folded[1]}))
            CHECK(stream.bits() == word);
}

TEST_CASE("philox: a draw changes with either word of the key, the row and the purpose") {
    const auto first = [](Key key, std::uint64_t row, std::uint32_t purpose) {
        return Stream(key, row, purpose).bits64();
    };
    const std::set<std::uint64_t> draws{first({1, 2}, 3, 4),
                                        first({0, 2}, 3, 4),
                                        first({1, 0}, 3, 4),
                                        first({1, std::uint64_t{2} << 32}, 3, 4),
                                        first({1, 2}, 0, 4),
                                        first({1, 2}, std::uint64_t{3} << 32, 4),
                                        first({1, 2}, 3, 0)};
    CHECK(draws.size() == 7);
}

TEST_CASE("philox: a key given as the two words of a call draws the same as a Key") {
    const std::uint64_t words[2] = {5, 6};
    CHECK(Stream(words, 1).bits64() == Stream(Key{5, 6}, 1).bits64());
    CHECK(derive_key(words, 9, 1) == derive_key(Key{5, 6}, 9, 1));
}

TEST_CASE("philox: derived keys differ by tag, index and parent, and from the parent's stream") {
    std::set<Key> keys;
    for (std::uint64_t parent : {0, 1})
        for (std::uint64_t tag = 0; tag < 10; ++tag)
            for (std::uint64_t index = 0; index < 10; ++index)
                keys.insert(derive_key({parent, 0}, tag, index));
    CHECK(keys.size() == 200);
    Stream parent(Key{0, 0}, 0);
    const std::uint64_t drawn = parent.bits64();
    CHECK(derive_key({0, 0}, 0, 0) != Key{drawn, parent.bits64()});
}

TEST_CASE("philox: uniforms lie on the grid of 24 or 53 bits of [0, 1), with mean 1/2 and variance 1/12") {
    Stream stream(Key{42, 0}, 0);
    const int count = 100000;
    double sum = 0, squares = 0;
    for (int k = 0; k < count; ++k) {
        const float f = stream.uniform<float>();
        REQUIRE((f >= 0 && f < 1 && f * 0x1p24F == std::floor(f * 0x1p24F)));
        const double u = stream.uniform<double>();
        REQUIRE((u >= 0 && u < 1 && u * 0x1p53 == std::floor(u * 0x1p53)));
        sum += u;
        squares += u * u;
    }
    const double mean = sum / count;
    CHECK(std::abs(mean - 0.5) < 4 * std::sqrt(1.0 / 12 / count));  // 4 standard errors
    CHECK(squares / count - mean * mean == doctest::Approx(1.0 / 12).epsilon(0.02));
}

TEST_CASE("philox: normals have the first four moments of N(0, 1) and successive ones are uncorrelated") {
    Stream stream(Key{43, 0}, 0);
    const int count = 200000;
    double previous = 0, lagged = 0;
    std::array<double, 5> moment{};
    for (int k = 0; k < count; ++k) {
        const double x = stream.normal();
        for (std::size_t p = 1; p < moment.size(); ++p) moment[p] += std::pow(x, double(p)) / count;
        lagged += x * previous / count;
        previous = x;
    }
    const double standard_error = 1 / std::sqrt(double(count));
    CHECK(std::abs(moment[1]) < 4 * standard_error);
    CHECK(std::abs(moment[2] - 1) < 4 * std::sqrt(2.0) * standard_error);
    CHECK(std::abs(moment[3]) < 4 * std::sqrt(15.0) * standard_error);
    CHECK(std::abs(moment[4] - 3) < 4 * std::sqrt(96.0) * standard_error);
    CHECK(std::abs(lagged) < 4 * standard_error);
}

TEST_CASE("philox: a float normal is the rounded double normal, and a pair of normals costs one block") {
    Stream wide(Key{1, 1}, 5), narrow(Key{1, 1}, 5), words(Key{1, 1}, 5);
    for (int k = 0; k < 2; ++k) CHECK(narrow.normal<float>() == float(wide.normal()));
    for (int k = 0; k < 4; ++k) words.bits();
    CHECK(narrow.bits() == words.bits());
}

TEST_CASE("philox: below(n) reaches every value about equally often, and never n") {
    Stream stream(Key{44, 0}, 0);
    std::vector<int> seen(6);
    for (int k = 0; k < 60000; ++k) ++seen.at(stream.below(6));
    for (int times : seen) CHECK(std::abs(times - 10000) < 4 * std::sqrt(60000.0 * 5 / 36));
    CHECK(stream.below(1) == 0);
}

TEST_CASE("philox: below(n) has no modulo bias where 2^64 mod n is large") {
    Stream stream(Key{45, 0}, 0);
    const std::uint64_t n = std::uint64_t{3}
                            << 62;  // a plain remainder would fall below 2^62 half of the time
    int low = 0;
    for (int k = 0; k < 9000; ++k) low += stream.below(n) < n / 3;
    CHECK(std::abs(low - 3000) < 4 * std::sqrt(9000.0 * 2 / 9));
}
