#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <string>
#include <vector>

#include "tests/support/lab.hpp"

/// Linear games in which F = (df/du, -df/dv) is a product with one complex number: with z = u + i v, saddle
/// with a = b = 0.9 has F(z) = 1.8 z, rotated_saddle 1.8 z - 2 i z, matrix_game with A = 0.8 has -0.8 i z.
namespace l2o::test {

using Complex = std::complex<double>;

struct LinearGame {
    const char* name;
    Complex factor;
};
inline const std::vector<LinearGame>& linear_games() {
    static const std::vector<LinearGame> games{
        {"saddle", 1.8}, {"rotated_saddle", {1.8, -2}}, {"matrix_game", {0, -0.8}}};
    return games;
}

/// One instance, from z = 0.3 - 0.4 i.
inline Lab lab_on(const std::string& game, const std::string& optimizer, const OptionText& options) {
    Lab lab({.optimizer = optimizer,
             .options = options,
             .problem = {.optimizee = game, .instances = 1},
             .horizon = 1000});
    if (game == "matrix_game") {
        set_values(lab.problem().data("A"), {0.8});
    } else {
        set_values(lab.problem().data("a"), {0.9});
        set_values(lab.problem().data("b"), {0.9});
    }
    set_values(lab.problem().x()[0], {0.3});
    set_values(lab.problem().x()[1], {-0.4});
    return lab;
}

inline Complex point_of(const std::vector<double>& x) { return {x[0], x[1]}; }

/// Whether the points of a run are those of a recursion `next(t, z, z_before)`, to 1e-12 of |z|, or 1e-300.
template <class Next>
bool follows(const Lab::Run& run, Next&& next) {
    Complex z = point_of(run.x[0]), before = z;
    for (std::size_t t = 0; t + 1 < run.x.size(); ++t) {
        const Complex to = next(double(t), z, before);
        before = z;
        z = to;
        if (!(std::abs(point_of(run.x[t + 1]) - z) <= 1e-12 * std::abs(z) + 1e-300)) return false;
    }
    return true;
}

/// log10 of the median d_u of 128 games, after so many steps.
inline double median_after(std::int64_t steps,
                           const std::string& game,
                           const std::string& optimizer,
                           const OptionText& options) {
    Lab lab({.optimizer = optimizer,
             .options = options,
             .problem = {.optimizee = game, .instances = 128},
             .horizon = steps});
    const Lab::Run run = lab.run(steps);
    const std::vector<double>& end = run.x.back();
    const auto half = std::ptrdiff_t(end.size() / 2);
    set_values(lab.problem().x()[0], {end.begin(), end.begin() + half});
    set_values(lab.problem().x()[1], {end.begin() + half, end.end()});
    std::vector<double> d_u = lab.problem().metric("d_u");
    std::nth_element(d_u.begin(), d_u.begin() + 64, d_u.end());
    return std::log10(d_u[64]);
}

}  // namespace l2o::test
