#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace l2o::framework {

/// What the caller knows about its own build; empty: not told.
struct BuildInfo {
    std::string version;  ///< of l2o
    std::string type;     ///< of CMake, e.g. "Release"
    std::string flags;    ///< of the compiler
};

/// What a result may depend on: l2o_version, build {compiler, type, flags}, cpu {model, threads},
/// memory_bytes, kernel and date_utc (ISO 8601, seconds). Names neither the machine nor the user; a value
/// that cannot be found out is null.
[[nodiscard]] nlohmann::json environment(const BuildInfo& build);

}  // namespace l2o::framework
