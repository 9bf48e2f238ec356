#pragma once

#include <span>
#include <vector>

#include "framework/plugin/optimizee.hpp"

namespace l2o::framework {

/// Euclidean norm of a row over all blocks, also where squares would underflow; INFINITY where an entry is
/// not finite.
/// @param blocks  float32 or float64, [B, shape] each.
[[nodiscard]] double size_of_row(std::span<const Tensor> blocks, std::int64_t row);

/// |F| of a game at points, by row: the norm of the gradients of all players.
/// @param key   of draws of the problem.
/// @param data  of these rows.
/// @param x     [B, shape] per block.
/// @throw Diverged, Error: what the problem says of it.
[[nodiscard]] std::vector<double> residuals_of(const Optimizee& optimizee,
                                               const Key& key,
                                               const ProblemData& data,
                                               const std::vector<Tensor>& x);

}  // namespace l2o::framework
