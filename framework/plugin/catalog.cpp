#include "framework/plugin/catalog.hpp"

#include <sys/auxv.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "framework/config/suggest.hpp"
#include "framework/error.hpp"

namespace l2o::framework {

std::vector<std::filesystem::path> plugin_search_path(const std::vector<std::filesystem::path>& given) {
    std::vector<std::filesystem::path> folders = given;
    if (const char* variable = std::getenv("L2O_PLUGIN_PATH");
        variable != nullptr && getauxval(AT_SECURE) == 0) {
        std::istringstream stream(variable);
        for (std::string folder; std::getline(stream, folder, ':');) {
            if (!folder.empty()) folders.emplace_back(folder);
        }
    }
    std::error_code code;
    const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", code);
    if (!code) folders.push_back(program.parent_path().parent_path() / "lib" / "l2o" / "plugins");
    return folders;
}

Catalog::Catalog(const std::vector<std::filesystem::path>& folders) {
    for (const std::filesystem::path& given : folders) {
        std::error_code code;
        const std::filesystem::path folder = std::filesystem::weakly_canonical(given, code);
        if (code || std::find(folders_.begin(), folders_.end(), folder) != folders_.end()) continue;
        folders_.push_back(folder);
        std::vector<std::filesystem::path> manifests;
        for (const auto& file : std::filesystem::directory_iterator(folder, code)) {
            if (file.path().string().ends_with(".l2o.json")) manifests.push_back(file.path());
        }
        std::sort(manifests.begin(), manifests.end());
        for (const std::filesystem::path& manifest : manifests) {
            const auto plugin = std::make_shared<const PluginDescription>(read_manifest(manifest));
            for (const ComponentDescription& component : plugin->components) {
                for (const Entry& entry : entries_) {
                    if (entry.component.kind != component.kind || entry.component.id != component.id)
                        continue;
                    throw Error(ExitCode::kPlugin,
                                std::string("two plugins offer the ") + name_of(component.kind) + " '" +
                                    component.id + "': " + entry.plugin->library.string() + " and " +
                                    plugin->library.string() + "; remove one, or change the plugin path");
                }
                entries_.push_back({component, plugin});
            }
        }
    }
    std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
        return std::pair(a.component.kind, a.component.id) < std::pair(b.component.kind, b.component.id);
    });
}

const Catalog::Entry& Catalog::find(Kind kind, const std::string& id) const {
    std::vector<std::string> known;
    for (const Entry& entry : entries_) {
        if (entry.component.kind != kind) continue;
        if (entry.component.id == id) return entry;
        known.push_back(entry.component.id);
    }
    std::string text = std::string("unknown ") + name_of(kind) + " '" + id + "'" + did_you_mean(id, known);
    if (known.empty()) {
        text += "; no " + std::string(name_of(kind)) + " plugin was found in";
        for (const std::filesystem::path& folder : folders_) text += " " + folder.string();
        text += "; set --plugin-path or L2O_PLUGIN_PATH";
    }
    throw Error(ExitCode::kUsage, text);
}

const Component& Catalog::load(const Entry& entry) {
    const Library& library = load_library(built_for(entry.plugin->library, is_x86_64_v4()));
    for (std::size_t i = 0; i < library.components.size(); ++i) {
        const ComponentDescription& component = library.description.components[i];
        if (component.kind == entry.component.kind && component.id == entry.component.id) {
            return library.components[i];
        }
    }
    throw Error(ExitCode::kPlugin,
                entry.plugin->library.string() + " does not contain the " + name_of(entry.component.kind) +
                    " '" + entry.component.id +
                    "' of its manifest; write the manifest again with l2o-manifest");
}

}  // namespace l2o::framework
