#include <doctest/doctest.h>

#include <string>

#include "framework/store/hash.hpp"

using l2o::framework::sha1_hex;

// FIPS 180-4's example vectors, as published by NIST (CAVP, "SHA_All.pdf"), and the empty message.
TEST_CASE("sha1_hex: gives the published digests") {
    CHECK(sha1_hex("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    CHECK(sha1_hex("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d");
    CHECK(sha1_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    CHECK(sha1_hex(std::string(1'000'000, 'a')) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}
