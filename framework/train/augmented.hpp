#pragma once

#include <memory>

#include "framework/plugin/optimizee.hpp"

namespace l2o::framework {

/// What Lv, Jiang & Li 2017 (arXiv:1703.03633, section 4.2) do to the problems an optimizer is trained on, so
/// that it learns neither their scale nor to be idle where they are flat.
struct Augmentation {
    /// r: f(c x) instead of f(x), from x_0 / c, with c = exp(u), u ~ U(-r, r), drawn for every coordinate of
    /// every instance. 0: none.
    double random_scaling = 0;
    /// m: another block "convex" of m coordinates y from y_0 = 0, and + 1/m sum_j min((v_j y_j - a_j)^2, 10)
    /// in the objective, with a ~ U(-1, 1), v = exp(u), u ~ U(-1, 1). 0: none.
    std::int64_t convex_term = 0;

    [[nodiscard]] bool is_none() const { return random_scaling == 0 && convex_term == 0; }
};

/// The distribution of problems of another optimizee, augmented: to everybody else an optimizee like any. Its
/// data are those of the other one and what is drawn here; solutions and metrics it has none.
[[nodiscard]] std::unique_ptr<const Optimizee> augmented(std::unique_ptr<const Optimizee> inner,
                                                         const Augmentation& augmentation);

}  // namespace l2o::framework
