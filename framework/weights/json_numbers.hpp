#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

namespace l2o::framework {

// Numbers of an object that was read from somebody's file.
// @throw nlohmann::json::exception if there is none of this name.

/// A whole number in [0, 1e15]. @throw files::JsonFault "'KEY' is -1; expected ...", for anything else
[[nodiscard]] std::int64_t count_of(const nlohmann::json& object, const char* key);
/// null, which JSON has for what is not finite, is NAN.
[[nodiscard]] double real_of(const nlohmann::json& object, const char* key);

}  // namespace l2o::framework
