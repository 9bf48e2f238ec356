#include <fmt/core.h>

#include <algorithm>
#include <boost/program_options/value_semantic.hpp>
#include <iostream>
#include <map>
#include <sstream>
#include <string_view>
#include <utility>

#include "framework/config/options_text.hpp"
#include "framework/experiment/section_schemas.hpp"
#include "framework/plugin/published.hpp"
#include "framework/text/json.hpp"
#include "framework/text/plugin_name.hpp"
#include "framework/text/printable.hpp"
#include "framework/text/suggest.hpp"
#include "framework/text/table.hpp"
#include "host/command.hpp"
#include "host/console.hpp"

namespace l2o::host {
namespace {

using framework::Catalog, framework::Kind, framework::OptionSchema, framework::SectionSchema;

namespace po = boost::program_options;

Usage usage() {
    Usage usage{
        .verb = "describe",
        .synopsis = "ID|train|evaluate|safeguard|sweep|tune",
        .text =
            "Shows what a plugin does, where it comes from, what it needs and the options it takes; or the\n"
            "settings of a section of experiment files: train, evaluate, safeguard, sweep or tune.\n"
            "If plugins of several kinds have the id, all are shown; ID@VERSION names one of several\n"
            "versions. An optimizee is shown with its variables, the data of its problem files and its\n"
            "metrics, which follow from its options (--set); this creates it, in a separate process.\n"
            "Otherwise no plugin code runs.\n",
        .examples =
            "  l2o describe lista\n"
            "  l2o describe train\n"
            "  l2o describe lista@1.0.0\n"
            "  l2o describe lasso --set m=5 --set n=10\n"
            "  l2o describe adam --json\n",
        .max_arguments = 1};
    usage.options.add_options()("set",
                                po::value<std::vector<std::string>>()->composing()->value_name("KEY=VALUE"),
                                "an option of the optimizee; may be given again");
    return usage;
}

/// "train, evaluate, safeguard, sweep, tune"
std::string section_names() {
    std::string names;
    for (const SectionSchema* section : framework::section_schemas())
        names += (names.empty() ? "" : ", ") + section->key;
    return names;
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

/// What an optimizee publishes; under "refusal" why that is not known.
nlohmann::json published(const CommandLine& line, const Catalog::Entry& entry) {
    constexpr double kTimeLimitS = 60;
    const std::map<std::string, std::string> settings = given_settings(line, "set");
    try {
        return published_in_child(entry, settings, kTimeLimitS);
    } catch (const framework::Error& error) {
        if (!settings.empty()) throw;
        return {{"refusal", error.what()}};
    }
}

/// A table, if it has rows, and under every row what there is to say about it.
void print_rows(const std::vector<std::string>& head,
                const std::vector<std::vector<std::string>>& rows,
                const std::vector<std::string>& docs) {
    if (rows.empty()) return;
    framework::TextTable table{.lines = {head}};
    table.lines.insert(table.lines.end(), rows.begin(), rows.end());
    std::istringstream lines(table.text());
    std::string line;
    std::getline(lines, line);
    std::cout << "\n" << line << "\n";
    for (const std::string& doc : docs) {
        std::getline(lines, line);
        std::cout << line << "\n" << (doc.empty() ? "" : paragraph(doc, "      "));
    }
}

void print_published(const nlohmann::json& published) {
    if (published.contains("refusal")) {
        std::cout << "\n"
                  << paragraph("what it publishes is not known without --set KEY=VALUE: " +
                                   published.at("refusal").get<std::string>(),
                               "  ");
        return;
    }
    const auto tensors = [&](const char* key, const char* title) {
        std::vector<std::vector<std::string>> rows;
        std::vector<std::string> docs;
        for (const nlohmann::json& tensor : published.at(key)) {
            std::string doc = tensor.at("doc");
            const auto is = [&](const std::string& what) { doc = what + (doc.empty() ? "" : "; ") + doc; };
            if (tensor.value("role", "") == "max") is("to be maximised");
            if (tensor.contains("bounds")) is("in " + tensor.at("bounds").get<std::string>());
            if (tensor.value("optimum", false)) is("known optimum");
            if (tensor.value("solution", false)) is("solution");
            rows.push_back({tensor.at("name"), tensor.at("shape"), tensor.at("dtype")});
            docs.push_back(doc);
        }
        print_rows({title, "shape", "dtype"}, rows, docs);
    };
    tensors("blocks", "variable");
    tensors("data", "data");
    if (!published.at("data").empty())
        std::cout << paragraph("in a problem file real numbers are float32 in all tensors, or float64", "  ");
    std::vector<std::vector<std::string>> metrics;
    std::vector<std::string> docs;
    for (const nlohmann::json& metric : published.at("metrics")) {
        const std::string doc = metric.at("doc");
        metrics.push_back({metric.at("name"), metric.at("better")});
        docs.push_back((metric.at("needs_solution").get<bool>() ? "needs the solution; " : "") + doc);
    }
    print_rows({"metric", "better"}, metrics, docs);
    std::string answers;
    for (std::size_t i = 0; i < published.at("answers").size(); ++i) {
        const double cost = published.at("costs").at(i);
        answers += (answers.empty() ? "" : ", ") + published.at("answers").at(i).get<std::string>() +
                   (cost == 1 ? "" : fmt::format(" (costs {:g})", cost));
    }
    std::cout << "\n  answers  " << answers
              << (published.at("stochastic").get<bool>() ? ", of a minibatch" : "") << "\n";
}

/// Options below each other: key, default, values, and the doc in a paragraph of its own.
class OptionTable {
  public:
    /// @param title  of the column of keys.
    explicit OptionTable(std::string title) : title_(std::move(title)), key_(framework::width_of(title_)) {}

    /// Before anything is printed: columns are as wide as all options need.
    void fit(const OptionSchema& option) {
        key_ = std::max(key_, framework::width_of(framework::one_line(option.key)));
        def_ = std::max(def_, framework::width_of(framework::one_line(option.def.value_or("required"))));
    }
    void print_head() const { std::cout << "\n" << row(title_, "default", "values"); }
    void print(const OptionSchema& option, const std::string& expected) const {
        std::cout << row(option.key, option.def.value_or("required"), expected)
                  << (option.doc.empty() ? "" : paragraph(option.doc, "      "));
    }

  private:
    [[nodiscard]] std::string row(const std::string& name,
                                  const std::string& absent,
                                  const std::string& values) const {
        const auto padded = [](const std::string& text, std::size_t columns) {
            const std::string line = framework::one_line(text);
            return line + std::string(columns - framework::width_of(line) + 2, ' ');
        };
        return framework::wrapped(framework::one_line(values),
                                  "  " + padded(name, key_) + padded(absent, def_),
                                  std::string(4, ' '),
                                  text_columns());
    }

    std::string title_;
    std::size_t key_, def_ = std::string_view("default").size();
};

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
    OptionTable table("option");
    for (const OptionSchema& option : component.options) table.fit(option);
    table.print_head();
    for (const OptionSchema& option : component.options)
        table.print(option, framework::expected_value(option));
}

/// The values that a setting of ours takes.
std::string expected_in(const SectionSchema& section, const OptionSchema& option) {
    if (section.plugin.empty() || option.key != "use") return framework::expected_value(option);
    return "see 'l2o list " + section.plugin + (section.plugin == "loss" ? "es" : "s") + "'";
}

std::string dotted(const std::string& path, const std::string& key) {
    return path.empty() ? key : path + "." + key;
}

/// Settings are printed under their paths, as in 'l2o run FILE train.PATH=VALUE'.
void fit(const SectionSchema& section, const std::string& path, OptionTable& table) {
    for (OptionSchema option : section.options) {
        option.key = dotted(path, option.key);
        table.fit(option);
    }
    for (const SectionSchema& child : section.sections) fit(child, dotted(path, child.key), table);
}

void print(const SectionSchema& section, const std::string& path, const OptionTable& table) {
    for (OptionSchema option : section.options) {
        const std::string expected = expected_in(section, option);
        option.key = dotted(path, option.key);
        table.print(option, expected);
    }
    for (const SectionSchema& child : section.sections) {
        const std::string below = dotted(path, child.key);
        std::cout << "\n" << paragraph(below + " { ... }: " + child.doc, "  ");
        print(child, below, table);
    }
}

/// The manual of a section.
void print(const SectionSchema& section) {
    std::cout << section.key << " { ... }, a section of experiment files\n" << paragraph(section.doc, "  ");
    OptionTable table("setting");
    fit(section, "", table);
    table.print_head();
    print(section, "", table);
}

nlohmann::json json_of(const SectionSchema& section) {
    nlohmann::json out{{"id", section.key},
                       {"doc", section.doc},
                       {"options", nlohmann::json::array()},
                       {"sections", nlohmann::json::array()}};
    if (!section.plugin.empty()) out["plugin"] = section.plugin;
    for (const OptionSchema& option : section.options) {
        out["options"].push_back(to_json(option));
        out["options"].back()["expected"] = expected_in(section, option);
    }
    for (const SectionSchema& child : section.sections) out["sections"].push_back(json_of(child));
    return out;
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
    if (line->arguments().empty())
        throw line->refusal("l2o describe: the id of a plugin is missing; expected one, or " +
                            section_names());
    const std::string& name = line->arguments()[0];
    const Catalog catalog = line->common().catalog();
    nlohmann::json all = nlohmann::json::array();
    bool is_first = true;
    if (line->has("set") && catalog.look_up(Kind::kOptimizee, name) == nullptr)
        throw line->refusal("--set is for the options of an optimizee, and there is none called '" + name +
                            "'");
    for (const SectionSchema* section : framework::section_schemas()) {
        if (section->key != name) continue;
        if (line->common().wants_json) {
            all.push_back(json_of(*section));
            all.back()["kind"] = "section";
        } else {
            print(*section);
        }
        is_first = false;
    }
    for (const Kind kind : {Kind::kOptimizer, Kind::kOptimizee, Kind::kLoss}) {
        const Catalog::Entry* entry = catalog.look_up(kind, name);
        if (entry == nullptr) continue;
        const bool is_problem = kind == Kind::kOptimizee;
        // What is wrong with --set is told instead, not below.
        const nlohmann::json publishes = is_problem ? published(*line, *entry) : nlohmann::json();
        if (line->common().wants_json) {
            all.push_back(json_of(*entry));
            if (is_problem) all.back()["published"] = publishes;
        } else {
            std::cout << (is_first ? "" : "\n");
            print(*entry);
            if (is_problem) print_published(publishes);
        }
        is_first = false;
    }
    if (is_first) {
        if (const std::string why = catalog.left_out(name); !why.empty())
            throw framework::Error(framework::ExitCode::kPlugin, why);
        const std::string id = framework::PluginName(name).id;
        if (id.empty()) (void)catalog.find(Kind::kOptimizer, name);  // tells what is missing
        for (const Kind kind : {Kind::kOptimizer, Kind::kOptimizee, Kind::kLoss})
            if (catalog.look_up(kind, id) != nullptr) (void)catalog.find(kind, name);  // lists the versions
        std::vector<std::string> ids;
        for (const Catalog::Entry& entry : catalog.entries()) ids.push_back(entry.component.id);
        for (const SectionSchema* section : framework::section_schemas()) ids.push_back(section->key);
        throw framework::Error(framework::ExitCode::kUsage,
                               "unknown plugin '" + name + "'" + framework::did_you_mean(id, ids) +
                                   "; 'l2o list' shows all, and " + section_names() + " are sections");
    }
    if (line->common().wants_json) print_json(all);
    return framework::ExitCode::kOk;
}

}  // namespace l2o::host
