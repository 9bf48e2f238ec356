#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "framework/plugin/description.hpp"
#include "framework/plugin/library.hpp"

namespace l2o::framework {

/// A folder that is searched for plugins.
struct PluginFolder {
    std::filesystem::path path;
    bool is_named = true;  ///< by the user; another is not used if everybody may write to it
};

/// Folders that are searched for plugins: those given, then L2O_PLUGIN_PATH (colon-separated), then
/// l2o/plugins in XDG_DATA_HOME (~/.local/share), then ../lib/l2o/plugins relative to the running program.
/// The last two are not named; what the environment says is ignored in a setuid process.
[[nodiscard]] std::vector<PluginFolder> plugin_search_path(
    const std::vector<std::filesystem::path>& given = {});

/// Everything that can be used, read from the manifests in some folders: no plugin code runs in this process.
///
/// A manifest is believed if its library is the build that it was written for, by build id and size (without
/// a build id: by content). Else the library is described again in a child process. What cannot be used is
/// left out, and costs nothing but itself.
class Catalog {
  public:
    struct Entry {
        ComponentDescription component;
        std::shared_ptr<const PluginDescription> plugin;
    };

    /// Folders that do not exist are skipped. Of two libraries that offer the same id the first is used; the
    /// other is shadowed.
    explicit Catalog(const std::vector<PluginFolder>& folders);
    explicit Catalog(const std::vector<std::filesystem::path>& folders);

    [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
    /// Those that another of the same kind and id stands before, in the order of search.
    [[nodiscard]] const std::vector<Entry>& shadowed() const { return shadowed_; }
    /// What was left out or described again, a sentence each, for the user.
    [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }
    /// Why a component that a manifest offers was left out; "" : none of this id was.
    [[nodiscard]] std::string left_out(const std::string& name) const;
    /// @param name  an id, or one version of several: "adam@1.0.0".
    /// @return NULL if there is none.
    [[nodiscard]] const Entry* look_up(Kind kind, const std::string& name) const;
    /// Throws Error(kUsage) with the nearest known id, or the versions that there are; Error(kPlugin) if it
    /// was left out.
    [[nodiscard]] const Entry& find(Kind kind, const std::string& name) const;
    /// Loads the library of an entry and returns its component. @throw Error kPlugin: it cannot be loaded, or
    /// is not what the entry says.
    [[nodiscard]] static const Component& load(const Entry& entry);
    /// The build of an entry's library that is loaded here.
    [[nodiscard]] static Build build_of(const Entry& entry);

  private:
    struct LeftOut {
        std::vector<std::string> ids;  // of the components, as far as they are known
        std::string why;
    };
    void read_folder(const PluginFolder& folder);
    /// A library in a folder of plugins that nobody can find.
    void note_unlisted(const std::filesystem::path& library);
    /// @param is_wide  there may be libraries for AVX-512, and they can run here.
    void read_plugin(const std::filesystem::path& manifest, bool is_named, bool is_wide);
    void add(PluginDescription description);

    std::vector<std::filesystem::path> folders_;
    std::vector<Entry> entries_, shadowed_;
    std::vector<std::string> notes_;
    std::vector<LeftOut> left_out_;
};

}  // namespace l2o::framework
