#include <doctest/doctest.h>

#include <array>
#include <type_traits>

#include "l2o/numerics/view.hpp"

using namespace l2o::numerics;

namespace {
template <class Element>
struct View {
    Element* data;
    long long rows, cols, stride;
};
}  // namespace

TEST_CASE("view: the matrix of a padded view skips the padding and writes through") {
    std::array<float, 8> memory{1, 2, 3, -1, 4, 5, 6, -1};
    auto m = matrix(View<float>{memory.data(), 2, 3, 4});
    CHECK(m(1, 0) == 4);
    CHECK(m.sum() == 21);
    m(1, 2) = 60;
    CHECK(memory[6] == 60);
}

TEST_CASE("view: a view of const elements gives a read-only matrix, row vector and row") {
    const std::array<double, 4> memory{1, 2, 3, 4};
    const View<const double> view{memory.data(), 2, 2, 2};
    auto m = matrix(view);
    auto v = row_vector(memory.data(), 4);
    static_assert(std::is_const_v<std::remove_reference_t<decltype(*m.data())>>);
    static_assert(std::is_const_v<std::remove_reference_t<decltype(*v.data())>>);
    static_assert(std::is_const_v<decltype(row(view, 0))::element_type>);
    CHECK(m(0, 1) == 2);
    CHECK(v(3) == 4);
}

TEST_CASE("view: a row of a padded view has its columns and nothing of the padding") {
    std::array<float, 8> memory{1, 2, 3, -1, 4, 5, 6, -1};
    const auto second = row(View<float>{memory.data(), 2, 3, 4}, 1);
    REQUIRE(second.size() == 3);
    CHECK(second[0] == 4);
    CHECK(second[2] == 6);
}
