#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "framework/config/options.hpp"

namespace l2o::framework {

/// As manifests and 'l2o describe --json' have it; fields that say nothing are left out.
[[nodiscard]] nlohmann::json to_json(const OptionSchema& option);

/// Options as texts from the JSON document in a file's metadata, see options_from_json.
/// @param where  opens messages: "weights.safetensors: metadata l2o.options".
/// @throw Error kUsage if it is no object of plain values, or has a key twice.
std::map<std::string, std::string> options_from_text(std::string_view text, const std::string& where);

}  // namespace l2o::framework
