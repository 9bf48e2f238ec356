#pragma once

#include <vector>

#include "framework/plugin/optimizee.hpp"

namespace l2o::framework {

/// Which instances have a NAN in a tensor that solve() writes: the optimizee vouches for no solution of
/// theirs. Nothing that needs one is known of them, whatever an optimizer does.
[[nodiscard]] std::vector<bool> unsolved_instances(const ProblemData& data, const Optimizee& optimizee);

}  // namespace l2o::framework
