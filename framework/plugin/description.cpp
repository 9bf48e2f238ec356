#include "framework/plugin/description.hpp"

#include <fmt/core.h>
#include <l2o/abi/loss.h>
#include <l2o/abi/optimizee.h>
#include <l2o/abi/optimizer.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <l2o/files/json.hpp>
#include <limits>
#include <sstream>
#include <string_view>
#include <tuple>
#include <utility>

#include "framework/config/options_text.hpp"
#include "framework/error.hpp"
#include "framework/plugin/library_file.hpp"
#include "framework/plugin/specs.hpp"
#include "framework/store/file_handle.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {
namespace {

constexpr int kManifestVersion = 2;  // 1: of plugins of an ABI before its candidate 1
constexpr const char* kWide = "x86-64-v4";
constexpr std::int64_t kMostManifestBytes = 8 << 20;  // chosen: those of this tree have 4 kB
constexpr std::size_t kMostName = 256, kMostText = 1024, kMostDoc = 1 << 16;
constexpr std::size_t kManifestDepth = 6;  // the choices of an option of a component

/// A plugin's text; what of it is not UTF-8, which no JSON holds, is escaped.
std::string text_of(const char* text) { return text == nullptr ? "" : valid_utf8(text); }

Kind kind_from_abi(const std::string& kind, const std::filesystem::path& library) {
    if (kind == L2O_KIND_OPTIMIZER) return Kind::kOptimizer;
    if (kind == L2O_KIND_OPTIMIZEE) return Kind::kOptimizee;
    if (kind == L2O_KIND_LOSS) return Kind::kLoss;
    throw Error(ExitCode::kPlugin,
                library.string() + ": component of kind '" + kind + "'; expected one of " +
                    L2O_KIND_OPTIMIZER ", " L2O_KIND_OPTIMIZEE ", " L2O_KIND_LOSS);
}

Kind kind_from_name(const std::string& name) {
    for (const Kind kind : {Kind::kOptimizer, Kind::kOptimizee, Kind::kLoss}) {
        if (name == name_of(kind)) return kind;
    }
    throw std::invalid_argument("kind '" + name + "'");
}

std::vector<Need> parse_needs(const std::string& text) {
    std::vector<Need> needs;
    std::istringstream stream(text);
    for (std::string name; std::getline(stream, name, ',');) {
        const bool optional = !name.empty() && name.back() == '?';
        if (optional) name.pop_back();
        if (!name.empty()) needs.push_back({name, optional});
    }
    return needs;
}

// A conversion of nlohmann::json's own takes any number, and one that does not fit is undefined behaviour.
template <class Integer>
Integer integer_at(const nlohmann::json& json, const char* key) {
    const nlohmann::json& value = json.at(key);
    const bool fits = value.is_number_unsigned()
                          ? std::in_range<Integer>(value.get<std::uint64_t>())
                          : value.is_number_integer() && std::in_range<Integer>(value.get<std::int64_t>());
    if (fits) return value.get<Integer>();
    throw std::invalid_argument(std::string(key) + " is " + value.dump(-1, ' ', true) +
                                "; expected a whole number of at most " +
                                std::to_string(std::numeric_limits<Integer>::max()));
}

Build build_from_json(const nlohmann::json& json) {
    Build build{
        .id = json.at("id"), .size = integer_at<std::int64_t>(json, "size"), .content = json.at("sha1")};
    const auto is_hex = [](const std::string& text) {
        return text.size() <= kMostName && text.find_first_not_of("0123456789abcdef") == std::string::npos;
    };
    if (!is_hex(build.id) || !is_hex(build.content) || build.content.empty())
        throw std::invalid_argument("build: expected hexadecimal digits for id and sha1");
    return build;
}

/// A text of somebody else for a terminal, a page or a file: UTF-8, blanks for control characters, cut.
std::string printable(const std::string& text, std::size_t most_bytes) {
    std::string out = valid_utf8(text);
    for (std::size_t i = 0; i < out.size(); ++i) {
        const auto byte = static_cast<unsigned char>(out[i]);
        // U+0080 to U+009F are two bytes of UTF-8; a terminal takes U+009B for the start of an escape
        // sequence.
        const bool is_c1 = byte == 0xC2 && static_cast<unsigned char>(out[i + 1]) < 0xA0;
        if (is_c1) out.erase(i, 1);
        if (is_c1 || byte < 0x20 || byte == 0x7F) out[i] = ' ';
    }
    if (out.size() <= most_bytes) return out;
    std::size_t end = most_bytes;
    while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xC0) == 0x80) --end;
    return out.substr(0, end);
}

/// A name that is compared, looked up and printed; @throw std::invalid_argument
void check_name(const std::string& name, const std::string& what, bool has_blanks = false) {
    if (!name.empty() && name == printable(name, kMostName) &&
        (has_blanks || name.find_first_of(" /") == std::string::npos))
        return;
    throw std::invalid_argument(what + " '" + printable(name, kMostName) +
                                "'; expected a word of at most 256 bytes, without blanks, '/' and control "
                                "characters");
}

/// Makes the texts of a plugin printable. @throw std::invalid_argument for a name that is none
void make_printable(PluginDescription& plugin) {
    for (std::string* text : {&plugin.id, &plugin.version, &plugin.license, &plugin.vendor, &plugin.runtime})
        *text = printable(*text, kMostText);
    for (ComponentDescription& component : plugin.components) {
        check_name(component.id, "component id");
        component.title = printable(component.title, kMostText);
        component.doc = printable(component.doc, kMostDoc);
        for (std::string& tag : component.tags) tag = printable(tag, kMostName);
        for (const Need& need : component.needs) check_name(need.name, "need", true);
        for (OptionSchema& option : component.options) {
            check_name(option.key, "option");
            option.doc = printable(option.doc, kMostDoc);
            for (const std::string& choice : option.choices) check_name(choice, "choice", true);
            if (option.def && *option.def != printable(*option.def, kMostDoc))
                throw std::invalid_argument("option '" + option.key +
                                            "' has a default with control characters; expected a value");
            if (std::isnan(option.min) || std::isnan(option.max))
                throw std::invalid_argument("option '" + option.key + "' has a bound that is no number");
        }
    }
}

/// A text of a manifest, which is read once.
std::string take(nlohmann::json& json, const char* key) {
    return std::move(json.at(key).get_ref<std::string&>());
}

OptionSchema option_from_json(nlohmann::json& json) {
    OptionSchema option;
    option.key = take(json, "key");
    option.type = integer_at<std::int32_t>(json, "type");
    option.doc = take(json, "doc");
    if (json.contains("default")) option.def = take(json, "default");
    if (json.contains("min")) option.min = json.at("min");
    if (json.contains("max")) option.max = json.at("max");
    if (json.contains("choices")) option.choices = json.at("choices").get<std::vector<std::string>>();
    if (json.contains("flags")) option.flags = integer_at<std::uint64_t>(json, "flags");
    return option;
}

}  // namespace

const char* name_of(Kind kind) {
    switch (kind) {
        case Kind::kOptimizer:
            return "optimizer";
        case Kind::kOptimizee:
            return "optimizee";
        case Kind::kLoss:
            return "loss";
    }
    return "";
}

std::string short_name(const Build& build) {
    constexpr std::size_t kDigits = 12;
    if (!build.id.empty()) return build.id.substr(0, kDigits);
    return build.content.empty() ? "without a build id" : "sha1 " + build.content.substr(0, kDigits);
}

bool ComponentDescription::has_tag(const std::string& tag) const {
    return std::find(tags.begin(), tags.end(), tag) != tags.end();
}

PluginDescription describe(const l2o_plugin& plugin, const std::filesystem::path& library) {
    const auto entry = [&](auto* const* list, std::uint32_t i, const std::string& what) {
        if (list == nullptr || list[i] == nullptr)
            throw library_error(library, what + " " + std::to_string(i) + " is NULL; expected its table");
        return normalised(*list[i]);
    };
    PluginDescription description{.library = library,
                                  .id = text_of(plugin.id),
                                  .version = text_of(plugin.version),
                                  .license = text_of(plugin.license),
                                  .vendor = text_of(plugin.vendor),
                                  .runtime = text_of(plugin.runtime),
                                  .abi_major = plugin.built_major,
                                  .abi_minor = plugin.built_minor,
                                  .required_minor = plugin.required_minor,
                                  .components = {}};
    for (const auto& [field, text] : {std::pair<const char*, const std::string&>{"id", description.id},
                                      {"version", description.version},
                                      {"license", description.license},
                                      {"vendor", description.vendor}}) {
        if (text.empty())
            throw library_error(
                library,
                fmt::format("says no {}: l2o_plugin.{} is empty; expected a text, as every plugin says "
                            "what it is, who answers for it and on what terms",
                            field,
                            field));
    }
    for (std::uint32_t i = 0; i < plugin.n_components; ++i) {
        const l2o_component table = entry(plugin.components, i, "component");
        ComponentDescription component;
        component.kind = kind_from_abi(text_of(table.kind), library);
        component.id = text_of(table.id);
        for (std::uint32_t k = 0; k < i; ++k) {
            const ComponentDescription& other = description.components[k];
            if (other.kind == component.kind && other.id == component.id)
                throw library_error(library,
                                    fmt::format("its components {} and {} are both {} '{}'; give each of a "
                                                "kind an id of its own",
                                                k,
                                                i,
                                                name_of(component.kind),
                                                printable(component.id, kMostText)));
        }
        component.title = text_of(table.title);
        component.doc = text_of(table.doc);
        component.needs = parse_needs(text_of(table.needs));
        for (auto tag = table.tags; tag != nullptr && *tag != nullptr; ++tag)
            component.tags.emplace_back(*tag);
        for (std::uint32_t k = 0; k < table.n_options; ++k) {
            component.options.push_back(
                option_schema(entry(table.options, k, "component '" + component.id + "': option")));
        }
        description.components.push_back(std::move(component));
    }
    try {
        make_printable(description);
    } catch (const std::invalid_argument& error) {
        throw Error(ExitCode::kPlugin, library.string() + ": " + error.what());
    }
    return description;
}

nlohmann::json to_json(const Build& build) {
    return {{"id", build.id}, {"size", build.size}, {"sha1", build.content}};
}

nlohmann::json to_json(const PluginDescription& plugin) {
    nlohmann::json json{{"manifest", kManifestVersion},
                        {"library", plugin.library.filename().string()},
                        {"id", plugin.id},
                        {"version", plugin.version},
                        {"license", plugin.license},
                        {"vendor", plugin.vendor},
                        {"runtime", plugin.runtime},
                        {"abi",
                         {{"major", plugin.abi_major},
                          {"minor", plugin.abi_minor},
                          {"required_minor", plugin.required_minor}}},
                        {"components", nlohmann::json::array()}};
    if (plugin.build) json["build"] = to_json(*plugin.build);
    if (plugin.wide) json[kWide] = to_json(*plugin.wide);
    for (const ComponentDescription& component : plugin.components) {
        nlohmann::json out{{"kind", name_of(component.kind)},
                           {"id", component.id},
                           {"title", component.title},
                           {"doc", component.doc},
                           {"tags", component.tags},
                           {"needs", nlohmann::json::array()},
                           {"options", nlohmann::json::array()}};
        for (const Need& need : component.needs)
            out["needs"].push_back(need.name + (need.optional ? "?" : ""));
        for (const OptionSchema& option : component.options) out["options"].push_back(to_json(option));
        json["components"].push_back(std::move(out));
    }
    return json;
}

PluginDescription plugin_from_json(nlohmann::json json, const std::filesystem::path& folder) {
    if (const int version = integer_at<int>(json, "manifest"); version != kManifestVersion) {
        throw std::invalid_argument("version " + std::to_string(version) + ", this host reads version " +
                                    std::to_string(kManifestVersion));
    }
    PluginDescription plugin;
    const std::string library = take(json, "library");
    if (library.empty() || library.find('/') != std::string::npos || library == "." || library == "..")
        throw std::invalid_argument("library '" + printable(library, kMostText) +
                                    "'; expected the name of a file beside it");
    plugin.library = folder / library;
    plugin.id = take(json, "id");
    plugin.version = take(json, "version");
    plugin.license = take(json, "license");
    plugin.vendor = take(json, "vendor");
    plugin.runtime = take(json, "runtime");
    plugin.abi_major = integer_at<std::uint32_t>(json.at("abi"), "major");
    plugin.abi_minor = integer_at<std::uint32_t>(json.at("abi"), "minor");
    plugin.required_minor = integer_at<std::uint32_t>(json.at("abi"), "required_minor");
    if (json.contains("build")) plugin.build = build_from_json(json.at("build"));
    if (json.contains(kWide)) plugin.wide = build_from_json(json.at(kWide));
    for (nlohmann::json& in : json.at("components")) {
        ComponentDescription component;
        component.kind = kind_from_name(in.at("kind"));
        component.id = take(in, "id");
        component.title = take(in, "title");
        component.doc = take(in, "doc");
        component.tags = in.at("tags").get<std::vector<std::string>>();
        for (const nlohmann::json& need : in.at("needs")) {
            for (Need& parsed : parse_needs(need)) component.needs.push_back(std::move(parsed));
        }
        for (nlohmann::json& option : in.at("options")) {
            component.options.push_back(option_from_json(option));
        }
        plugin.components.push_back(std::move(component));
    }
    make_printable(plugin);
    return plugin;
}

PluginDescription read_manifest(const std::filesystem::path& manifest) {
    const auto refuse = [&](const std::string& text) -> Error {
        return {ExitCode::kPlugin,
                manifest.string() + ": " + text + "; expected what l2o-manifest writes beside a library"};
    };
    std::string text;
    try {
        FileHandle file = FileHandle::input(manifest);
        if (file.type() != S_IFREG || file.size_bytes() > kMostManifestBytes)
            throw refuse("no manifest, which is a regular file of at most 8 MiB");
        text = file.read_all();
    } catch (const Error& error) {
        if (error.code() == ExitCode::kPlugin) throw;
        throw Error(ExitCode::kPlugin, error.what());
    }
    try {
        return plugin_from_json(files::parse_json(text, kManifestDepth, "a manifest"),
                                manifest.parent_path());
    } catch (const std::exception& error) {
        throw Error(ExitCode::kPlugin,
                    manifest.string() + ": malformed manifest: " + printable(error.what(), kMostDoc) +
                        "; write it again with l2o-manifest " + manifest.stem().stem().string() + ".so");
    }
}

std::string difference(const PluginDescription& a, const PluginDescription& b) {
    const auto promises = [](const PluginDescription& plugin) {
        return std::tie(plugin.id,
                        plugin.version,
                        plugin.license,
                        plugin.vendor,
                        plugin.runtime,
                        plugin.abi_major,
                        plugin.abi_minor,
                        plugin.required_minor,
                        plugin.components);
    };
    if (promises(a) == promises(b)) return "";
    const auto json = [](const PluginDescription& plugin) {
        nlohmann::json out = to_json(plugin);
        for (const char* key : {"library", "build", kWide}) out.erase(key);
        return out;
    };
    const nlohmann::json patch = nlohmann::json::diff(json(a), json(b));
    return patch.empty() ? "/" : patch.at(0).at("path").get<std::string>();
}

std::filesystem::path manifest_path(const std::filesystem::path& library) {
    std::filesystem::path path = library;
    return path.replace_extension(".l2o.json");
}

}  // namespace l2o::framework
