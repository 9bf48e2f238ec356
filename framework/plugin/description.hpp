#pragma once

#include <l2o/abi/plugin.h>

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "framework/config/options.hpp"

namespace l2o::framework {

enum class Kind { kOptimizer, kOptimizee, kLoss };
/// "optimizer", "optimizee", "loss".
[[nodiscard]] const char* name_of(Kind kind);

/// One problem-data tensor that a component asks for: "A" or, optional, "b?".
struct Need {
    std::string name;
    bool optional = false;
};

/// What is known of a component without creating it.
struct ComponentDescription {
    Kind kind{};
    std::string id, title, doc;
    std::vector<std::string> tags;
    std::vector<Need> needs;
    std::vector<OptionSchema> options;

    [[nodiscard]] bool has_tag(const std::string& tag) const;
};

/// What is known of a plugin library, from its manifest or from the library itself.
struct PluginDescription {
    std::filesystem::path library;
    std::string id, version, license, vendor, runtime;
    std::uint32_t abi_major = 0, abi_minor = 0, required_minor = 0;
    std::vector<ComponentDescription> components;
};

/// Reads the static tables of a loaded library; throws Error(kPlugin) if they are malformed.
[[nodiscard]] PluginDescription describe(const l2o_plugin& plugin, const std::filesystem::path& library);

[[nodiscard]] nlohmann::json to_json(const PluginDescription& plugin);
/// Reads the manifest beside a library; throws Error(kPlugin) that names the file.
[[nodiscard]] PluginDescription read_manifest(const std::filesystem::path& manifest);
/// ".../l2o_optimizer_adam.so" -> ".../l2o_optimizer_adam.l2o.json".
[[nodiscard]] std::filesystem::path manifest_path(const std::filesystem::path& library);

}  // namespace l2o::framework
