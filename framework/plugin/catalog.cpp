#include "framework/plugin/catalog.hpp"

#include <fmt/format.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <utility>

#include "framework/error.hpp"
#include "framework/text/plugin_name.hpp"
#include "framework/text/suggest.hpp"

namespace l2o::framework {
namespace {

namespace fs = std::filesystem;

constexpr double kDescribeLimitS = 10;  // chosen: LibTorch from a cold disk takes 3

bool is_open_to_all(const fs::path& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && (status.st_mode & S_IWOTH) != 0;
}

/// Whether a manifest was written for this library; reads all of it only if there is no build id.
bool fits(const std::optional<Build>& described, LibraryFile& file) {
    if (!described || described->size != file.build().size || described->id != file.build().id) return false;
    return !described->id.empty() || *described == file.build_with_content();
}

std::vector<std::string> ids_of(const PluginDescription& plugin) {
    std::vector<std::string> ids;
    for (const ComponentDescription& component : plugin.components) ids.push_back(component.id);
    return ids;
}

bool is_same_library(const PluginDescription& a, const PluginDescription& b) {
    std::error_code code;
    return (a.build && !a.build->id.empty() && a.build == b.build) ||
           fs::equivalent(a.library, b.library, code);
}

/// Of the environment; "" in a setuid process, whose environment is another's.
std::string variable(const char* name) {
    const char* value = getauxval(AT_SECURE) == 0 ? std::getenv(name) : nullptr;
    return value == nullptr ? "" : value;
}

bool is_called(const Catalog::Entry& entry, Kind kind, const PluginName& name) {
    return entry.component.kind == kind && entry.component.id == name.id &&
           (!name.version || entry.plugin->version == *name.version);
}

std::vector<PluginFolder> named(const std::vector<fs::path>& paths) {
    std::vector<PluginFolder> folders;
    for (const fs::path& path : paths) folders.push_back({.path = path});
    return folders;
}

}  // namespace

std::vector<PluginFolder> plugin_search_path(const std::vector<fs::path>& given) {
    std::vector<PluginFolder> folders = named(given);
    std::istringstream stream(variable("L2O_PLUGIN_PATH"));
    for (std::string folder; std::getline(stream, folder, ':');) {
        if (!folder.empty()) folders.push_back({.path = folder});
    }
    // XDG Base Directory Specification 0.8: a relative path is ignored.
    fs::path user = variable("XDG_DATA_HOME");
    if (!user.is_absolute()) user = fs::path(variable("HOME")) / ".local" / "share";
    if (user.is_absolute()) folders.push_back({.path = user / "l2o" / "plugins", .is_named = false});
    std::error_code code;
    const fs::path program = fs::read_symlink("/proc/self/exe", code);
    if (!code)
        folders.push_back(
            {.path = program.parent_path().parent_path() / "lib" / "l2o" / "plugins", .is_named = false});
    return folders;
}

Catalog::Catalog(const std::vector<fs::path>& folders) : Catalog(named(folders)) {}

Catalog::Catalog(const std::vector<PluginFolder>& folders) {
    for (const PluginFolder& folder : folders) read_folder(folder);
    if (!shadowed_.empty()) {
        const Entry& first = shadowed_.front();
        notes_.push_back(fmt::format(
            "{} not used, as the {} '{}' of {}: another of the same id is found before; 'l2o list' "
            "shows all, and ID@VERSION names one",
            shadowed_.size() == 1 ? "1 component is" : std::to_string(shadowed_.size()) + " components are",
            name_of(first.component.kind),
            first.component.id,
            first.plugin->library.string()));
    }
    std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
        return std::pair(a.component.kind, a.component.id) < std::pair(b.component.kind, b.component.id);
    });
}

void Catalog::read_folder(const PluginFolder& given) {
    std::error_code code;
    const fs::path folder = fs::weakly_canonical(given.path, code);
    if (code || std::find(folders_.begin(), folders_.end(), folder) != folders_.end()) return;
    if (!given.is_named) {
        // Whoever may write to a folder above may put another in its place.
        for (const fs::path& path : {folder, folder.parent_path(), folder.parent_path().parent_path()}) {
            if (!is_open_to_all(path)) continue;
            notes_.push_back(folder.string() + ": not searched for plugins, because everybody may write to " +
                             path.string() +
                             "; take that right away (chmod o-w), or name the folder with --plugin-path or "
                             "L2O_PLUGIN_PATH");
            return;
        }
    }
    folders_.push_back(folder);
    std::vector<fs::path> manifests, libraries;
    bool is_wide = false;
    for (fs::directory_iterator file(folder, code), end; !code && file != end; file.increment(code)) {
        const std::string& name = file->path().native();
        if (name.ends_with(".l2o.json")) manifests.push_back(file->path());
        // One that plugins share is called lib*.so.
        if (name.ends_with(".so") && !file->path().filename().native().starts_with("lib"))
            libraries.push_back(file->path());
        is_wide = is_wide || (name.ends_with(kWideFolder) && is_x86_64_v4());
    }
    if (code && code != std::errc::no_such_file_or_directory)
        notes_.push_back(folder.string() + ": cannot be searched for plugins: " + code.message());
    std::sort(manifests.begin(), manifests.end());
    for (const fs::path& manifest : manifests) read_plugin(manifest, given.is_named, is_wide);
    std::sort(libraries.begin(), libraries.end());
    for (const fs::path& library : libraries) {
        if (!std::binary_search(manifests.begin(), manifests.end(), manifest_path(library)))
            note_unlisted(library);
    }
}

void Catalog::note_unlisted(const fs::path& library) {
    notes_.push_back(
        library_error(
            library,
            "has no manifest beside it, so it is left out; write it with l2o-manifest " + library.string())
            .what());
}

void Catalog::read_plugin(const fs::path& manifest, bool is_named, bool is_wide) {
    std::vector<std::string> ids;
    try {
        PluginDescription plugin = read_manifest(manifest);
        ids = ids_of(plugin);
        const fs::path wide = is_wide ? built_for(plugin.library, true) : fs::path();
        const fs::path& library = is_wide ? wide : plugin.library;
        LibraryFile file(library);
        const bool is_open = file.is_open_to_all() ||
                             (is_wide && library != plugin.library && is_open_to_all(library.parent_path()));
        if (!is_named && is_open)
            throw library_error(library, "everybody may write to it; take that right away (chmod o-w)");
        const std::optional<Build>& described = plugin.build_of(library);
        if (fits(described, file)) return add(std::move(plugin));
        PluginDescription own = describe_in_child(plugin.library, kDescribeLimitS);
        notes_.push_back(
            library_error(library,
                          (described ? "its manifest describes build " + short_name(*described) +
                                           ", this is " + short_name(file.build_with_content())
                                     : "its manifest does not say which build it describes") +
                              "; it was described again; write the manifest again with l2o-manifest " +
                              plugin.library.string())
                .what());
        add(std::move(own));
    } catch (const Error& error) {
        const std::string text = error.what();
        left_out_.push_back({ids, text});
        notes_.push_back(text + "; it is left out");
    }
}

void Catalog::add(PluginDescription description) {
    const auto plugin = std::make_shared<const PluginDescription>(std::move(description));
    for (const ComponentDescription& component : plugin->components) {
        const auto known = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
            return entry.component.kind == component.kind && entry.component.id == component.id;
        });
        if (known == entries_.end()) {
            entries_.push_back({component, plugin});
        } else if (!is_same_library(*known->plugin, *plugin)) {
            shadowed_.push_back({component, plugin});
        }
    }
}

std::string Catalog::left_out(const std::string& name) const {
    const std::string id = PluginName(name).id;
    for (const LeftOut& plugin : left_out_) {
        if (std::find(plugin.ids.begin(), plugin.ids.end(), id) != plugin.ids.end()) return plugin.why;
    }
    return "";
}

const Catalog::Entry* Catalog::look_up(Kind kind, const std::string& name) const {
    const PluginName wanted(name);
    for (const auto* entries : {&entries_, &shadowed_}) {
        for (const Entry& entry : *entries) {
            if (is_called(entry, kind, wanted)) return &entry;
        }
    }
    return nullptr;
}

const Catalog::Entry& Catalog::find(Kind kind, const std::string& name) const {
    if (const Entry* entry = look_up(kind, name)) return *entry;
    const PluginName wanted(name);
    if (wanted.id.empty() && wanted.version)
        throw Error(ExitCode::kUsage,
                    "'" + name + "' is a version without an id; expected 'ID@" + *wanted.version + "'");
    std::vector<std::string> known;
    std::string versions;
    for (const auto* entries : {&entries_, &shadowed_}) {
        for (const Entry& entry : *entries) {
            if (entry.component.kind != kind) continue;
            known.push_back(entry.component.id);
            if (entry.component.id == wanted.id)
                versions += (versions.empty() ? "" : ", ") + wanted.id + "@" + entry.plugin->version + " (" +
                            entry.plugin->library.string() + ")";
        }
    }
    if (!versions.empty())
        throw Error(ExitCode::kUsage,
                    std::string("unknown ") + name_of(kind) + " '" + name +
                        "'; expected a version that there is: " + versions);
    if (const std::string why = left_out(name); !why.empty()) throw Error(ExitCode::kPlugin, why);
    std::string text =
        std::string("unknown ") + name_of(kind) + " '" + name + "'" + did_you_mean(wanted.id, known);
    if (known.empty()) {
        text += "; no " + std::string(name_of(kind)) + " plugin was found in";
        for (const fs::path& folder : folders_) text += " " + folder.string();
        text += "; set --plugin-path or L2O_PLUGIN_PATH";
    }
    throw Error(ExitCode::kUsage, text);
}

const Component& Catalog::load(const Entry& entry) {
    const fs::path file = built_for(entry.plugin->library, is_x86_64_v4());
    const std::optional<Build>& expected = entry.plugin->build_of(file);
    const Library& library = load_library(file, expected ? &*expected : nullptr);
    if (const std::string place = difference(library.description, *entry.plugin); !place.empty())
        throw library_error(file,
                            "its manifest says something else than the library, at " + place +
                                "; write it again with l2o-manifest " + entry.plugin->library.string());
    for (std::size_t i = 0; i < library.components.size(); ++i) {
        const ComponentDescription& component = library.description.components[i];
        if (component.kind == entry.component.kind && component.id == entry.component.id)
            return library.components[i];
    }
    throw library_error(file,
                        std::string("does not contain the ") + name_of(entry.component.kind) + " '" +
                            entry.component.id + "'");
}

Build Catalog::build_of(const Entry& entry) {
    return entry.plugin->build_of(built_for(entry.plugin->library, is_x86_64_v4())).value_or(Build{});
}

}  // namespace l2o::framework
