#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "framework/plugin/description.hpp"
#include "framework/plugin/library.hpp"

namespace l2o::framework {

/// Folders that are searched for plugins: those given, then L2O_PLUGIN_PATH (colon-separated; ignored in a
/// setuid process), then ../lib/l2o/plugins relative to the running program.
[[nodiscard]] std::vector<std::filesystem::path> plugin_search_path(
    const std::vector<std::filesystem::path>& given = {});

/// Everything that can be used, read from the manifests in some folders: no plugin code runs.
class Catalog {
  public:
    struct Entry {
        ComponentDescription component;
        std::shared_ptr<const PluginDescription> plugin;
    };

    /// Folders that do not exist are skipped. Throws Error(kPlugin) if two libraries offer the same id,
    /// naming both.
    explicit Catalog(const std::vector<std::filesystem::path>& folders);

    [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
    /// Throws Error(kUsage) with the nearest known id.
    [[nodiscard]] const Entry& find(Kind kind, const std::string& id) const;
    /// Loads the library of an entry and returns its component.
    [[nodiscard]] static const Component& load(const Entry& entry);

  private:
    std::vector<std::filesystem::path> folders_;
    std::vector<Entry> entries_;
};

}  // namespace l2o::framework
