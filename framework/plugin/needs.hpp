#pragma once

#include <l2o/abi/spec.h>

#include <string>
#include <vector>

#include "framework/plugin/description.hpp"

namespace l2o::framework {

/// For each need of a component the index among an optimizee's data specs; -1: optional and absent.
/// @param solutions  whether the component may see solutions (a loss may, an optimizer never).
/// @throw Error kPlugin, in one sentence, if the optimizee does not offer what is needed.
[[nodiscard]] std::vector<int> match_needs(const ComponentDescription& component,
                                           const std::vector<const l2o_spec*>& data,
                                           const std::string& optimizee,
                                           bool solutions);

}  // namespace l2o::framework
