#pragma once

#include <string>

#include "framework/plugin/catalog.hpp"

namespace l2o::framework {

/// "; known: fista, ista": the tail of a message on a plugin that is not named.
[[nodiscard]] std::string known_plugins(const Catalog& catalog, Kind kind);

}  // namespace l2o::framework
