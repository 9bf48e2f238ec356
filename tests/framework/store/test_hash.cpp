#include <doctest/doctest.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <set>
#include <string>

#include "framework/store/content_hash.hpp"
#include "framework/store/hash.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"

using l2o::framework::Checksum, l2o::framework::content_hash, l2o::framework::FileHandle;
using l2o::framework::sha1_hex;
using l2o::test::refusal;
namespace fs = std::filesystem;

namespace {

void put(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

}  // namespace

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

// hashlib.sha1(b"a" * n).hexdigest() of Python 3.11: around the ends of a block and of its padding.
TEST_CASE("sha1_hex: is right where the padding needs a block of its own, and for a file as for its bytes") {
    const ScratchFolder folder;
    for (const auto& [size, hex] : {std::pair(55, "c1c8bbdc22796e28c0e15163d20899b65621d65a"),
                                    {56, "c2db330f6083854c99d4b5bfb6e8f29f201be699"},
                                    {63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5"},
                                    {64, "0098ba824b5c16427bd7a1122a5a442a25ec644d"},
                                    {65, "11655326c708d70319be2610e8a57d9a5b959d3b"},
                                    {119, "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56"},
                                    {120, "f34c1488385346a55709ba056ddd08280dd4c6d6"},
                                    {128, "ad5b3fdbcb526778c2839d2f151ea753995e26a0"}}) {
        const std::string text(static_cast<std::size_t>(size), 'a');
        CHECK(sha1_hex(text) == hex);
        put(folder / "a", text);
        FileHandle file(folder / "a", O_RDONLY);
        CHECK(sha1_hex(file) == hex);
    }
    const std::string large(3'000'017, 'b');
    put(folder / "b", large);
    FileHandle file(folder / "b", O_RDONLY);
    CHECK(sha1_hex(file) == sha1_hex(large));
}

TEST_CASE("content_hash: of a file is that of its bytes, and of nothing is empty") {
    const ScratchFolder folder;
    put(folder / "abc", "abc");
    CHECK(content_hash(folder / "abc") == sha1_hex("abc"));
    CHECK(content_hash(folder / "nothing").empty());
}

TEST_CASE(
    "content_hash: of a folder changes with every byte, name and file in it and below, and with nothing "
    "else") {
    const ScratchFolder one, other;
    for (const ScratchFolder* folder : {&one, &other}) {
        fs::create_directory(*folder / "below");
        put(*folder / "train.csv", "1,2,3\n");
        put(*folder / "below/test.csv", "4,5,6\n");
    }
    const std::string before = content_hash(one / "");
    CHECK(before.size() == 40);
    CHECK(content_hash(other / "") == before);
    const auto changes = [&](auto&& change, auto&& back) {
        change();
        const bool differs = content_hash(one / "") != before;
        back();
        return differs && content_hash(one / "") == before;
    };
    CHECK(changes([&] { put(one / "train.csv", "1,2,4\n"); }, [&] { put(one / "train.csv", "1,2,3\n"); }));
    CHECK(changes([&] { put(one / "below/test.csv", "4,5\n"); },
                  [&] { put(one / "below/test.csv", "4,5,6\n"); }));
    CHECK(changes([&] { fs::rename(one / "train.csv", one / "t.csv"); },
                  [&] { fs::rename(one / "t.csv", one / "train.csv"); }));
    CHECK(changes([&] { fs::rename(one / "below/test.csv", one / "test.csv"); },
                  [&] { fs::rename(one / "test.csv", one / "below/test.csv"); }));
    CHECK(changes([&] { put(one / "more.csv", ""); }, [&] { fs::remove(one / "more.csv"); }));
    // What is behind a link is in the folder, and a link upwards is no folder without an end.
    fs::remove(one / "train.csv");
    fs::create_symlink(other / "train.csv", one / "train.csv");
    CHECK(content_hash(one / "") == before);
    fs::create_symlink("..", one / "below/up");
    CHECK(content_hash(one / "") == before);
}

TEST_CASE("content_hash: what cannot be looked at below a folder is refused, not taken for nothing") {
    const ScratchFolder folder;
    put(folder / "train.csv", "1,2,3\n");
    fs::create_symlink("itself", folder / "itself");
    CHECK(content_hash(folder / "").size() == 40);
    // Deeper than a path may be long.
    const std::string name(200, 'd');
    std::string path = (folder / "").string();
    int at = ::open(path.c_str(), O_RDONLY | O_DIRECTORY);
    while (path.size() < PATH_MAX) {
        REQUIRE(::mkdirat(at, name.c_str(), 0777) == 0);
        const int below = ::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY);
        ::close(at);
        at = below;
        path += name + "/";
    }
    ::close(at);
    const std::string said = refusal([&] { (void)content_hash(folder / ""); });
    CHECK(said.starts_with("5 " + (folder / name.c_str()).string() + "/"));
    CHECK(said.ends_with("/" + name +
                         ": cannot be read, though it is part of a folder of data: File name too long; check "
                         "its permissions, or move it away"));
}
