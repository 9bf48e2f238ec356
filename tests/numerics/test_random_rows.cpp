#include <doctest/doctest.h>

#include <array>

#include "l2o/numerics/random_rows.hpp"

using namespace l2o::numerics;

namespace {

template <class Element>
struct View {
    Element* data;
    long long rows, cols, stride;
};

const std::uint64_t kKey[2] = {3, 5};
const auto kUniform = [](Stream& stream) { return stream.uniform(); };

}  // namespace

TEST_CASE(
    "fill_rows: rows 2 and 3 are the same numbers in a batch that begins at 0 and in one that begins at 2") {
    std::array<double, 12> all{};
    std::array<double, 6> part{};
    fill_rows(View<double>{all.data(), 4, 3, 3}, kKey, 0, 7, kUniform);
    fill_rows(View<double>{part.data(), 2, 3, 3}, kKey, 2, 7, kUniform);
    for (std::size_t i = 0; i < 6; ++i) CHECK(part[i] == all[6 + i]);
    CHECK(all[0] != all[3]);
}

TEST_CASE("fill_rows: float32 gets the float64 numbers, rounded, and padding is not written") {
    std::array<double, 4> wide{};
    std::array<float, 6> narrow{-1, -1, -1, -1, -1, -1};
    fill_rows(View<double>{wide.data(), 2, 2, 2}, kKey, 0, 7, kUniform);
    fill_rows(View<float>{narrow.data(), 2, 2, 3}, kKey, 0, 7, kUniform);
    CHECK(narrow ==
          std::array<float, 6>{float(wide[0]), float(wide[1]), -1, float(wide[2]), float(wide[3]), -1});
}

TEST_CASE("fill_rows: another purpose gives other numbers") {
    std::array<double, 2> a{}, b{};
    fill_rows(View<double>{a.data(), 1, 2, 2}, kKey, 0, 7, kUniform);
    fill_rows(View<double>{b.data(), 1, 2, 2}, kKey, 0, 8, kUniform);
    CHECK(a != b);
}
