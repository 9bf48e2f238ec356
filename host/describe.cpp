#include <fmt/core.h>

#include <algorithm>
#include <iostream>
#include <set>

#include "framework/config/suggest.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"
#include "host/command.hpp"
#include "host/console.hpp"

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

/// The columns that texts may take.
std::size_t text_columns() {
    constexpr std::size_t kReadable = 90;
    return std::min(kReadable, stdout_columns());
}

std::string paragraph(const std::string& text, const std::string& indent) {
    return framework::wrapped(framework::printable(text), indent, indent, text_columns());
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
        if (!text.empty()) {
            std::cout << framework::wrapped(
                framework::one_line(text), fmt::format("  {:<9}", name), std::string(4, ' '), text_columns());
        }
    };
    std::cout << framework::wrapped(framework::one_line(std::string(name_of(component.kind)) + " " +
                                                        component.id + ": " + component.title),
                                    "",
                                    "  ",
                                    text_columns())
              << (component.doc.empty() ? "" : paragraph(component.doc, "  "));
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
    std::size_t key = 6, def = 7;  // "option", "default"
    for (const framework::OptionSchema& option : component.options) {
        key = std::max(key, framework::width_of(framework::one_line(option.key)));
        def = std::max(def, framework::width_of(framework::one_line(option.def.value_or("required"))));
    }
    const auto row = [&](const std::string& name, const std::string& absent, const std::string& values) {
        const auto padded = [](const std::string& text, std::size_t columns) {
            const std::string line = framework::one_line(text);
            return line + std::string(columns - framework::width_of(line) + 2, ' ');
        };
        return framework::wrapped(framework::one_line(values),
                                  "  " + padded(name, key) + padded(absent, def),
                                  std::string(4, ' '),
                                  text_columns());
    };
    std::cout << "\n" << row("option", "default", "values");
    for (const framework::OptionSchema& option : component.options) {
        std::cout << row(option.key, option.def.value_or("required"), framework::expected_value(option))
                  << (option.doc.empty() ? "" : paragraph(option.doc, "      "));
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
    if (line->common().wants_json) std::cout << framework::json_text(all, 2) << "\n";
    return framework::ExitCode::kOk;
}

}  // namespace l2o::host
