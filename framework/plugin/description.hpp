#pragma once

#include <l2o/abi/plugin.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
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

    friend bool operator==(const Need&, const Need&) = default;
};

/// What tells one build of a library from another.
struct Build {
    std::string id{};       ///< its GNU build id, in hexadecimal; "" : it was linked without one
    std::int64_t size = 0;  ///< of its file, in bytes
    std::string content{};  ///< sha1_hex() of its file; "" : not known

    friend bool operator==(const Build&, const Build&) = default;
};
/// For messages: the first digits of the build id, or else of the content.
[[nodiscard]] std::string short_name(const Build& build);

/// What is known of a component without creating it.
struct ComponentDescription {
    Kind kind{};
    std::string id, title, doc;
    std::vector<std::string> tags;
    std::vector<Need> needs;
    std::vector<OptionSchema> options;

    [[nodiscard]] bool has_tag(const std::string& tag) const;
    friend bool operator==(const ComponentDescription&, const ComponentDescription&) = default;
};

/// What is known of a plugin library, from its manifest or from the library itself. Texts are UTF-8 without
/// control characters; names are words.
struct PluginDescription {
    std::filesystem::path library;
    std::string id, version, license, vendor, runtime;
    std::uint32_t abi_major = 0, abi_minor = 0, required_minor = 0;
    std::vector<ComponentDescription> components;
    /// What was described. Absent in manifests of before; `wide`: of the one in the folder x86-64-v4.
    std::optional<Build> build{}, wide{};

    /// That of the library that is loaded here, see built_for().
    [[nodiscard]] const std::optional<Build>& build_of(const std::filesystem::path& file) const {
        return file == library ? build : wide;
    }
};
/// Whether two descriptions promise the same, whatever the builds: "" if so, else the place of the first
/// difference, as "/components/0/options/1/key".
[[nodiscard]] std::string difference(const PluginDescription& a, const PluginDescription& b);

/// Reads the static tables of a loaded library; throws Error(kPlugin) if they are malformed.
[[nodiscard]] PluginDescription describe(const l2o_plugin& plugin, const std::filesystem::path& library);

[[nodiscard]] nlohmann::json to_json(const Build& build);
[[nodiscard]] nlohmann::json to_json(const PluginDescription& plugin);
/// The inverse; `library` lies in the folder. Throws std::exception that says what is malformed.
[[nodiscard]] PluginDescription plugin_from_json(nlohmann::json json, const std::filesystem::path& folder);
/// Reads the manifest beside a library; throws Error(kPlugin), or kIo, that names the file.
[[nodiscard]] PluginDescription read_manifest(const std::filesystem::path& manifest);
/// ".../l2o_optimizer_adam.so" -> ".../l2o_optimizer_adam.l2o.json".
[[nodiscard]] std::filesystem::path manifest_path(const std::filesystem::path& library);

}  // namespace l2o::framework
