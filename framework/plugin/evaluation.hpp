#pragma once

#include <vector>

#include "framework/plugin/optimizee.hpp"

namespace l2o::framework {

/// f, g or both at points, where nobody keeps a context for more of them.
/// @param key   of draws of the problem.
/// @param data  of these rows.
/// @param x     [B, shape] per block.
/// @throw Diverged, Error: what the problem says of it.
void evaluate_once(const Optimizee& optimizee,
                   const Key& key,
                   const ProblemData& data,
                   const std::vector<Tensor>& x,
                   const l2o_eval_out& out);

}  // namespace l2o::framework
