#include <doctest/doctest.h>

#include <initializer_list>
#include <set>
#include <string>

#include "framework/store/hash.hpp"

using l2o::framework::Checksum, l2o::framework::sha1_hex;

// FIPS 180-4's example vectors, as published by NIST (CAVP, "SHA_All.pdf"), and the empty message.
TEST_CASE("sha1_hex: gives the published digests") {
    CHECK(sha1_hex("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    CHECK(sha1_hex("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d");
    CHECK(sha1_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    CHECK(sha1_hex(std::string(1'000'000, 'a')) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

TEST_CASE("Checksum: any changed bit, any length and any cut between pieces gives another one") {
    const auto of = [](std::initializer_list<std::string> pieces) {
        Checksum checksum;
        for (const std::string& piece : pieces) checksum.add(piece);
        return checksum.hex();
    };
    std::set<std::string> all;
    std::size_t count = 0;
    const auto insert = [&](const std::string& hex) {
        CHECK(hex.size() == 64);
        all.insert(hex);
        ++count;
    };
    for (const std::size_t size : {1, 7, 8, 31, 32, 33, 100}) {
        const std::string text(size, '\0');
        insert(of({text}));
        insert(of({text, ""}));
        insert(of({text, text}));
        for (std::size_t bit = 0; bit < 8 * size; ++bit) {
            std::string changed = text;
            changed[bit / 8] = static_cast<char>(1 << bit % 8);
            insert(of({changed}));
        }
    }
    CHECK(all.size() == count);
    CHECK(of({"abc", "d"}) == of({"abc", "d"}));
}
