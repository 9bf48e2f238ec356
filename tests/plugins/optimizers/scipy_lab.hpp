#pragma once

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/lab.hpp"

namespace l2o::test {

/// An optimizer on the function of tests/peers/scipy_local.py, of which that printed SciPy's values.
inline Lab scipy_lab(const std::string& optimizer, OptionText options, const std::string& alpha) {
    Lab lab(
        {.optimizer = optimizer,
         .options = std::move(options),
         .problem = {.optimizee = "rastrigin", .options = {{"n", "4"}, {"alpha", alpha}}, .instances = 1}});
    std::vector<double> a, b;
    for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 4; ++j) a.push_back(std::sin(1 + 3 * i + 5 * j));
        b.push_back(std::cos(i));
    }
    set_values(lab.problem().data("A"), a);
    set_values(lab.problem().data("b"), b);
    set_values(lab.problem().data("c"), {1, 1, 1, 1});
    set_values(lab.problem().x()[0], {1, -2, 0.5, 3});
    return lab;
}

}  // namespace l2o::test
