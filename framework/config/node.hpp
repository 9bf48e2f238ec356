#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace l2o::framework {

/// The key of a list of values in the place of one: `learning_rate { sweep 0.1 0.2 }`.
inline constexpr const char* kSweepKey = "sweep";
/// Beside it, the name that those share which advance together.
inline constexpr const char* kZipKey = "zip";

/// Where a setting was written.
struct Origin {
    std::string file{};              ///< as it was named by the user, or "--set"
    int line = 0;                    ///< from 1; 0: no line
    std::filesystem::path folder{};  ///< absolute; what a relative path in the value refers to

    /// "sparse.info:12": opens a message.
    [[nodiscard]] std::string text() const { return line > 0 ? file + ":" + std::to_string(line) : file; }
};

/// A setting, a section or both. After composition the keys of a section are unique.
struct ConfigNode {
    std::string key{}, value{};
    Origin origin{};
    std::vector<ConfigNode> children{};
    std::string written{};  ///< the key as it is in the file, for messages; "": that is `key`

    [[nodiscard]] const ConfigNode* find(std::string_view name) const {
        for (const ConfigNode& child : children) {
            if (child.key == name) return &child;
        }
        return nullptr;
    }

    /// Whether this is a list of values, see sweep_values(). A plugin may have an option of that name.
    [[nodiscard]] bool is_sweep() const {
        const ConfigNode* list = find(kSweepKey);
        return list != nullptr && list->children.empty() && find("use") == nullptr;
    }
};

}  // namespace l2o::framework
