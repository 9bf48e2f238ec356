#include "framework/plugin/description.hpp"

#include <l2o/abi/loss.h>
#include <l2o/abi/optimizee.h>
#include <l2o/abi/optimizer.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "framework/error.hpp"
#include "framework/store/atomic_file.hpp"

namespace l2o::framework {
namespace {

constexpr int kManifestVersion = 1;

std::string text_of(const char* text) { return text == nullptr ? "" : text; }

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

nlohmann::json to_json(const OptionSchema& option) {
    nlohmann::json json{{"key", option.key}, {"type", option.type}, {"doc", option.doc}};
    if (option.def) json["default"] = *option.def;
    if (std::isfinite(option.min)) json["min"] = option.min;
    if (std::isfinite(option.max)) json["max"] = option.max;
    if (!option.choices.empty()) json["choices"] = option.choices;
    if (option.flags != 0) json["flags"] = option.flags;
    return json;
}

OptionSchema option_from_json(const nlohmann::json& json) {
    OptionSchema option;
    option.key = json.at("key");
    option.type = integer_at<std::int32_t>(json, "type");
    option.doc = json.at("doc");
    if (json.contains("default")) option.def = json.at("default").get<std::string>();
    if (json.contains("min")) option.min = json.at("min");
    if (json.contains("max")) option.max = json.at("max");
    if (json.contains("choices")) option.choices = json.at("choices").get<std::vector<std::string>>();
    if (json.contains("flags")) option.flags = integer_at<std::uint32_t>(json, "flags");
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

bool ComponentDescription::has_tag(const std::string& tag) const {
    return std::find(tags.begin(), tags.end(), tag) != tags.end();
}

PluginDescription describe(const l2o_plugin& plugin, const std::filesystem::path& library) {
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
    for (std::uint32_t i = 0; i < plugin.n_components; ++i) {
        const l2o_component& table = *plugin.components[i];
        ComponentDescription component;
        component.kind = kind_from_abi(text_of(table.kind), library);
        component.id = text_of(table.id);
        component.title = text_of(table.title);
        component.doc = text_of(table.doc);
        component.needs = parse_needs(text_of(table.needs));
        for (auto tag = table.tags; tag != nullptr && *tag != nullptr; ++tag)
            component.tags.emplace_back(*tag);
        for (std::uint32_t k = 0; k < table.n_options; ++k) {
            component.options.push_back(option_schema(*table.options[k]));
        }
        if (component.id.empty() || component.id.find_first_of(" \t\n/") != std::string::npos) {
            throw Error(ExitCode::kPlugin,
                        library.string() + ": component id '" + component.id +
                            "'; expected a word, or reverse DNS for a third party");
        }
        description.components.push_back(std::move(component));
    }
    return description;
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

PluginDescription read_manifest(const std::filesystem::path& manifest) {
    const std::string text = read_file(manifest);
    try {
        const nlohmann::json json = nlohmann::json::parse(text);
        if (const int version = integer_at<int>(json, "manifest"); version != kManifestVersion) {
            throw std::invalid_argument("version " + std::to_string(version) + ", this host reads version " +
                                        std::to_string(kManifestVersion));
        }
        PluginDescription plugin;
        const std::filesystem::path library = json.at("library").get<std::string>();
        if (library.filename() != library) throw std::invalid_argument("library '" + library.string() + "'");
        plugin.library = manifest.parent_path() / library;
        plugin.id = json.at("id");
        plugin.version = json.at("version");
        plugin.license = json.at("license");
        plugin.vendor = json.at("vendor");
        plugin.runtime = json.at("runtime");
        plugin.abi_major = integer_at<std::uint32_t>(json.at("abi"), "major");
        plugin.abi_minor = integer_at<std::uint32_t>(json.at("abi"), "minor");
        plugin.required_minor = integer_at<std::uint32_t>(json.at("abi"), "required_minor");
        for (const nlohmann::json& in : json.at("components")) {
            ComponentDescription component;
            component.kind = kind_from_name(in.at("kind"));
            component.id = in.at("id");
            component.title = in.at("title");
            component.doc = in.at("doc");
            component.tags = in.at("tags").get<std::vector<std::string>>();
            for (const nlohmann::json& need : in.at("needs")) {
                for (Need& parsed : parse_needs(need)) component.needs.push_back(std::move(parsed));
            }
            for (const nlohmann::json& option : in.at("options")) {
                component.options.push_back(option_from_json(option));
            }
            plugin.components.push_back(std::move(component));
        }
        return plugin;
    } catch (const std::exception& error) {
        throw Error(ExitCode::kPlugin,
                    manifest.string() + ": malformed manifest: " + error.what() +
                        "; write it again with l2o-manifest " + manifest.stem().stem().string() + ".so");
    }
}

std::filesystem::path manifest_path(const std::filesystem::path& library) {
    std::filesystem::path path = library;
    return path.replace_extension(".l2o.json");
}

}  // namespace l2o::framework
