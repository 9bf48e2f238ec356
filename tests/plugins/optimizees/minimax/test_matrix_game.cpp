#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

ProblemLab game_of(const char* d, std::int64_t instances) {
    return ProblemLab({.optimizee = "matrix_game", .options = {{"d", d}}, .instances = instances});
}

}  // namespace

TEST_CASE("matrix_game: gradient and Hessian-vector product agree with central differences to 1e-9") {
    CHECK(game_of("4", 3).gradient_error() <= 1e-9);
    CHECK(game_of("4", 3).hvp_error() <= 1e-9);
}

TEST_CASE("matrix_game: on a matrix by hand f is u'Av, and its gradient (Av, A'u)") {
    ProblemLab lab = game_of("2", 1);
    set_values(lab.data("A"), {1, 2, 0, 3});
    set_values(lab.x()[0], {5, 7});
    set_values(lab.x()[1], {11, 13});
    CHECK(lab.objective()[0] == 5 * 37 + 7 * 39);
    CHECK(lab.gradient()[0] == std::vector<double>{37, 39});
    CHECK(lab.gradient()[1] == std::vector<double>{5, 31});
    CHECK(lab.metric("residual")[0] ==
          doctest::Approx(std::sqrt(37 * 37 + 39 * 39 + 5 * 5 + 31 * 31)).epsilon(1e-15));
}

// A = (3, 4)' (1, 0): the kernel of A' is spanned by (4, -3), that of A by (0, 1).
TEST_CASE("matrix_game: distances leave out the part in the kernel of a singular matrix") {
    auto lab = ProblemLab({.optimizee = "matrix_game", .options = {{"d", "2"}}, .instances = 1});
    set_values(lab.data("range_u"), {0.36, 0.48, 0.48, 0.64});
    set_values(lab.data("range_v"), {1, 0, 0, 0});
    set_values(lab.x()[0], {3 + 4, 4 - 3});
    set_values(lab.x()[1], {2, 100});
    CHECK(lab.metric("d_u")[0] == doctest::Approx(7).epsilon(1e-14));
    CHECK(lab.metric("d_v")[0] == 2);
    CHECK(lab.metric("singular")[0] == 1);
}

TEST_CASE("matrix_game: the projectors are those onto the ranges of A and A', of every matrix drawn") {
    ProblemLab lab = game_of("5", 200);
    const std::vector<double> a = values(lab.data("A")), range_u = values(lab.data("range_u")),
                              range_v = values(lab.data("range_v")), singular = lab.metric("singular");
    const auto at = [](const std::vector<double>& m, std::size_t i, std::size_t r, std::size_t c) {
        return m[i * 25 + r * 5 + c];
    };
    double worst = 0;
    for (std::size_t i = 0; i < 200; ++i) {
        double rank = 0, rank_v = 0;
        for (std::size_t r = 0; r < 5; ++r) {
            rank += at(range_u, i, r, r);
            rank_v += at(range_v, i, r, r);
            for (std::size_t c = 0; c < 5; ++c) {
                double left = -at(a, i, r, c), right = left, twice = -at(range_u, i, r, c);
                for (std::size_t k = 0; k < 5; ++k) {
                    left += at(range_u, i, r, k) * at(a, i, k, c);
                    right += at(a, i, r, k) * at(range_v, i, k, c);
                    twice += at(range_u, i, r, k) * at(range_u, i, k, c);
                }
                worst = std::max({worst, std::abs(left), std::abs(right), std::abs(twice)});
            }
        }
        CHECK(rank == doctest::Approx(std::round(rank)).epsilon(1e-9));
        CHECK(rank_v == doctest::Approx(rank).epsilon(1e-9));
        CHECK(singular[i] == (rank < 4.5 ? 1 : 0));
    }
    CHECK(worst <= 1e-13);
    const auto share = double(std::count(singular.begin(), singular.end(), 1.0)) / 200;
    CHECK(share > 0.15);  // 29 of the 100 matrices of Shen et al. 2021
    CHECK(share < 0.45);
}

TEST_CASE("matrix_game: simultaneous gradients never move what lies in the kernel") {
    ProblemLab lab = game_of("5", 100);
    const std::vector<std::vector<double>> g = lab.gradient();
    const std::vector<double> range_u = values(lab.data("range_u"));
    for (std::size_t i = 0; i < 100; ++i)
        for (std::size_t r = 0; r < 5; ++r) {
            double kept = 0;
            for (std::size_t c = 0; c < 5; ++c) kept += range_u[i * 25 + r * 5 + c] * g[0][i * 5 + c];
            CHECK(std::abs(kept - g[0][i * 5 + r]) <= 1e-13);
        }
}

TEST_CASE("matrix_game: entries are 0 or in [0.5, 1], none is 0 for d = 1, and half are otherwise") {
    for (const char* d : {"1", "8"}) {
        CAPTURE(d);
        ProblemLab lab = game_of(d, 64);
        const std::vector<double> a = values(lab.data("A"));
        CHECK(std::ranges::all_of(a, [](double e) { return e == 0 || (e >= 0.5 && e <= 1); }));
        const double zeros = double(std::count(a.begin(), a.end(), 0.0)) / double(a.size());
        if (a.size() == 64) {
            CHECK(zeros == 0);
        } else {
            CHECK(std::abs(zeros - 0.5) < 0.04);  // 5 standard errors
        }
    }
}

TEST_CASE("matrix_game: density = 1.5 is refused") {
    CHECK_THROWS_WITH_AS(ProblemLab({.optimizee = "matrix_game", .options = {{"density", "1.5"}}}),
                         doctest::Contains("density"),
                         l2o::framework::Error);
}
