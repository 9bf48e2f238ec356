#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace l2o::framework {

/// Where a setting was written.
struct Origin {
    std::string file{};              ///< as it was named by the user, or "--set"
    int line = 0;                    ///< from 1; 0: no line
    std::filesystem::path folder{};  ///< absolute; what a relative path in the value refers to
    bool is_override = false;        ///< from the command line

    /// "sparse.info:12": opens a message.
    [[nodiscard]] std::string text() const { return line > 0 ? file + ":" + std::to_string(line) : file; }
};

/// A setting, a section or both. After composition the keys of a section are unique.
struct ConfigNode {
    std::string key{}, value{};
    Origin origin{};
    std::vector<ConfigNode> children{};

    [[nodiscard]] const ConfigNode* find(std::string_view name) const {
        for (const ConfigNode& child : children) {
            if (child.key == name) return &child;
        }
        return nullptr;
    }
};

}  // namespace l2o::framework
