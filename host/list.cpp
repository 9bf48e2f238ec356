#include <iostream>

#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"
#include "framework/text/suggest.hpp"
#include "framework/text/table.hpp"
#include "host/command.hpp"
#include "host/console.hpp"

namespace l2o::host {
namespace {

using framework::Catalog, framework::Kind;

Usage usage() {
    return {
        .verb = "list",
        .synopsis = "[optimizers|optimizees|losses]",
        .text =
            "Lists the installed plugins by their manifests, without running plugin code; a library that\n"
            "does not match its manifest is asked itself, in a separate process. Of several plugins with\n"
            "the same id the first is used, in the order of --plugin-path, L2O_PLUGIN_PATH, the user's\n"
            "folder (l2o/plugins in XDG_DATA_HOME, else ~/.local/share) and the program's; ID@VERSION\n"
            "names another one.\n",
        .examples =
            "  l2o list\n"
            "  l2o list optimizers --json\n"
            "  l2o list --plugin-path ~/my-plugins\n",
        .max_arguments = 1};
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

/// The kind that a word names, in the plural or the singular; nullopt: all kinds.
std::optional<Kind> wanted_kind(const CommandLine& line) {
    if (line.arguments().empty()) return std::nullopt;
    const std::string& word = line.arguments()[0];
    if (word == "optimizers" || word == "optimizer") return Kind::kOptimizer;
    if (word == "optimizees" || word == "optimizee") return Kind::kOptimizee;
    if (word == "losses" || word == "loss") return Kind::kLoss;
    const std::vector<std::string> known{"optimizers", "optimizees", "losses"};
    throw line.refusal("unknown kind '" + word + "'" + framework::did_you_mean(word, known));
}

using Entries = std::vector<const Catalog::Entry*>;

Entries of_kind(const std::vector<Catalog::Entry>& all, std::optional<Kind> kind) {
    Entries entries;
    for (const Catalog::Entry& entry : all) {
        if (!kind || entry.component.kind == *kind) entries.push_back(&entry);
    }
    return entries;
}

void print_table(const Entries& entries) {
    framework::TextTable table{.lines = {{"kind", "id", "version", "title", "tags"}}, .elastic = {3, 4}};
    for (const Catalog::Entry* entry : entries) {
        const framework::ComponentDescription& component = entry->component;
        table.lines.push_back({name_of(component.kind),
                               component.id,
                               entry->plugin->version,
                               component.title,
                               joined(component.tags)});
    }
    std::cout << table.text(stdout_columns());
}

/// Those that another stands before, each with the library that is used.
void print_shadowed(const Catalog& catalog, const Entries& shadowed) {
    framework::TextTable table{.lines = {{"not used", "library", "used in its place"}}, .elastic = {1, 2}};
    for (const Catalog::Entry* entry : shadowed) {
        const Catalog::Entry& used = catalog.find(entry->component.kind, entry->component.id);
        table.lines.push_back({entry->component.id + "@" + entry->plugin->version,
                               entry->plugin->library.string(),
                               used.plugin->library.string()});
    }
    std::cout << "\n" << table.text(stdout_columns());
}

void print_as_json(const Catalog& catalog, const Entries& entries, const Entries& shadowed) {
    nlohmann::json out = nlohmann::json::array();
    for (const Entries* list : {&entries, &shadowed}) {
        for (const Catalog::Entry* entry : *list) {
            out.push_back({{"kind", name_of(entry->component.kind)},
                           {"id", entry->component.id},
                           {"version", entry->plugin->version},
                           {"title", entry->component.title},
                           {"tags", entry->component.tags},
                           {"library", entry->plugin->library.string()}});
            const Catalog::Entry& used = catalog.find(entry->component.kind, entry->component.id);
            out.back()["shadowed_by"] =
                list == &shadowed ? nlohmann::json(used.plugin->library.string()) : nlohmann::json(nullptr);
        }
    }
    print_json(out);
}

}  // namespace

framework::ExitCode list(const Arguments& given) {
    const auto line = CommandLine::parse(usage(), given);
    if (!line) return framework::ExitCode::kOk;
    const std::optional<Kind> kind = wanted_kind(*line);
    const Catalog catalog = line->common().catalog();
    const Entries entries = of_kind(catalog.entries(), kind), shadowed = of_kind(catalog.shadowed(), kind);
    if (line->common().wants_json) {
        print_as_json(catalog, entries, shadowed);
    } else if (entries.empty()) {
        note(line->common(), "no plugins found; set --plugin-path or L2O_PLUGIN_PATH");
    } else {
        print_table(entries);
        if (!shadowed.empty()) print_shadowed(catalog, shadowed);
    }
    return framework::ExitCode::kOk;
}

}  // namespace l2o::host
