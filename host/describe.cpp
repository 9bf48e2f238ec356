#include <fmt/core.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "framework/config/suggest.hpp"
#include "host/command.hpp"

namespace l2o::host {
namespace {

using framework::Catalog;

Usage usage() {
    return {.verb = "describe",
            .synopsis = "ID",
            .text =
                "Shows what a plugin does, where it comes from, what it needs and the options it takes.\n"
                "An id that several kinds have shows all of them. No plugin code runs.\n",
            .examples =
                "  l2o describe lista\n"
                "  l2o describe adam --json\n",
            .max_arguments = 1};
}

/// Paragraph text broken into lines of at most `columns`, each after the indent.
std::string wrapped(const std::string& text, const std::string& indent, std::size_t columns = 90) {
    std::istringstream words(text);
    std::string out, line;
    for (std::string word; words >> word;) {
        if (!line.empty() && indent.size() + line.size() + 1 + word.size() > columns) {
            out += indent + line + "\n";
            line.clear();
        }
        line += (line.empty() ? "" : " ") + word;
    }
    return out + indent + line + "\n";
}

std::string need_texts(const std::vector<framework::Need>& needs) {
    std::string text;
    for (const framework::Need& need : needs)
        text += (text.empty() ? "" : ", ") + need.name + (need.optional ? " (optional)" : "");
    return text;
}

void print(const Catalog::Entry& entry) {
    const framework::ComponentDescription& component = entry.component;
    const auto field = [](const char* name, const std::string& text) {
        if (!text.empty()) std::cout << fmt::format("  {:<9}{}\n", name, text);
    };
    std::cout << name_of(component.kind) << " " << component.id << ": " << component.title << "\n"
              << (component.doc.empty() ? "" : wrapped(component.doc, "  "));
    std::string tags;
    for (const std::string& tag : component.tags) tags += (tags.empty() ? "" : ", ") + tag;
    field("version", entry.plugin->version);
    field("vendor", entry.plugin->vendor);
    field("license", entry.plugin->license);
    field("runtime", entry.plugin->runtime);
    field("library", entry.plugin->library.string());
    field("tags", tags);
    field("needs", need_texts(component.needs));
    if (component.options.empty()) {
        std::cout << "  it has no options\n";
        return;
    }
    std::size_t key = 3, def = 7;
    for (const framework::OptionSchema& option : component.options) {
        key = std::max(key, option.key.size());
        def = std::max(def, option.def.value_or("required").size());
    }
    std::cout << fmt::format(
        "\n  {:<{}}  {:<{}}  values\n", "option", std::max<std::size_t>(key, 6), "default", def);
    key = std::max<std::size_t>(key, 6);
    for (const framework::OptionSchema& option : component.options) {
        std::cout << fmt::format("  {:<{}}  {:<{}}  {}\n",
                                 option.key,
                                 key,
                                 option.def.value_or("required"),
                                 def,
                                 framework::expected_value(option))
                  << (option.doc.empty() ? "" : wrapped(option.doc, "      "));
    }
}

/// The manifest of the plugin, with this component in the place of the list of all.
nlohmann::json json_of(const Catalog::Entry& entry) {
    nlohmann::json plugin = to_json(*entry.plugin);
    nlohmann::json out;
    for (const nlohmann::json& component : plugin.at("components")) {
        if (component.at("kind") == name_of(entry.component.kind) && component.at("id") == entry.component.id)
            out = component;
    }
    for (std::size_t i = 0; i < entry.component.options.size(); ++i)
        out["options"][i]["expected"] = framework::expected_value(entry.component.options[i]);
    plugin.erase("components");
    plugin.erase("manifest");
    plugin["library"] = entry.plugin->library.string();
    plugin["build"] = to_json(Catalog::build_of(entry));
    plugin.erase("x86-64-v4");
    out["plugin"] = plugin;
    return out;
}

}  // namespace

framework::ExitCode describe(const Arguments& given) {
    const auto line = CommandLine::parse(usage(), given);
    if (!line) return framework::ExitCode::kOk;
    if (line->arguments().empty()) throw line->refusal("l2o describe: the id of a plugin is missing");
    const std::string& id = line->arguments()[0];
    const Catalog catalog = line->common().catalog();
    nlohmann::json all = nlohmann::json::array();
    std::set<std::string> known;
    bool is_first = true;
    for (const Catalog::Entry& entry : catalog.entries()) {
        known.insert(entry.component.id);
        if (entry.component.id != id) continue;
        if (line->common().wants_json) {
            all.push_back(json_of(entry));
        } else {
            std::cout << (is_first ? "" : "\n");
            print(entry);
        }
        is_first = false;
    }
    if (is_first) {
        if (const std::string why = catalog.left_out(id); !why.empty())
            throw framework::Error(framework::ExitCode::kPlugin, why);
        const std::vector<std::string> ids(known.begin(), known.end());
        throw framework::Error(
            framework::ExitCode::kUsage,
            "unknown plugin '" + id + "'" + framework::did_you_mean(id, ids) + "; 'l2o list' shows all");
    }
    if (line->common().wants_json) std::cout << all.dump(2) << "\n";
    return framework::ExitCode::kOk;
}

}  // namespace l2o::host
