#pragma once

#include <optional>

#include "framework/config/node.hpp"

namespace l2o::framework {

/// Puts a sweep of train.seed in the place of `train { seeds 5 }`: five of them from the seed that is set on,
/// or from 0. What the contestant sets wins over the shared section.
/// @param train  the shared section of who is trained; nothing: there is none.
/// @throw Error kUsage: a number of seeds that is none, or a seed that is swept beside it.
void expand_seeds(ConfigNode& contestant, std::optional<ConfigNode>& train);

}  // namespace l2o::framework
