#include "host/command.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/positional_options.hpp>
#include <fstream>
#include <iostream>
#include <sstream>
#include <streambuf>
#include <thread>

#include "framework/config/value_text.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/text/printable.hpp"
#include "framework/text/suggest.hpp"
#include "host/console.hpp"

namespace l2o::host {
namespace {

namespace po = boost::program_options;
using framework::Error;
using framework::ExitCode;

unsigned help_columns() {
    constexpr std::size_t kMost = 110, kLeast = 40;  // Boost wants some room
    return static_cast<unsigned>(std::clamp(stdout_columns(), kLeast, kMost));
}

po::options_description common_options() {
    po::options_description options("Options of every verb", help_columns());
    options.add_options()  //
        ("plugin-path",
         po::value<std::vector<std::string>>()->composing()->value_name("FOLDER"),  //
         "look for plugins here first; may be given again")                         //
        ("threads",
         po::value<std::string>()->value_name("N"),                                      //
         "threads to use, default: one per core; results do not depend on it")           //
        ("seed", po::value<std::string>()->value_name("N"), "seed of all random draws")  //
        ("json", "print the result as JSON")                                             //
        ("quiet", "errors only: no progress and no notes on stderr")                     //
        ("help,h", "show this");
    return options;
}

/// Options that stand before the verb and take a word of their own.
bool takes_value(const std::string& option) {
    return option == "--plugin-path" || option == "--threads" || option == "--seed";
}

Error usage_error(const std::string& verb, const std::string& text) {
    return {ExitCode::kUsage, text + "; see 'l2o " + verb + " --help'"};
}

void print_help(const Usage& usage, const po::options_description& own) {
    std::cout << framework::folded("Usage: l2o " + usage.verb + (usage.synopsis.empty() ? "" : " ") +
                                       usage.synopsis + " [options]\n\n" + usage.text,
                                   stdout_columns())
              << "\n";
    if (!own.options().empty()) std::cout << own << "\n";
    std::cout << common_options() << "\nExamples:\n" << framework::folded(usage.examples, stdout_columns());
}

}  // namespace

framework::Catalog Common::catalog() const {
    for (const std::filesystem::path& folder : plugin_folders) {
        std::error_code none;
        if (!std::filesystem::is_directory(folder, none)) {
            throw Error(ExitCode::kUsage,
                        "--plugin-path is '" + folder.string() +
                            "', which is no folder; expected a folder "
                            "with *.l2o.json manifests");
        }
    }
    framework::Catalog catalog(framework::plugin_search_path(plugin_folders));
    for (const std::string& text : catalog.notes()) note(*this, text);
    return catalog;
}

std::optional<CommandLine> CommandLine::parse(const Usage& usage, const Arguments& given) {
    po::options_description own("Options of " + usage.verb, help_columns()), all;
    for (const auto& option : usage.options.options()) own.add(option);
    all.add(own).add(common_options());
    const auto ends = std::find(given.begin(), given.end(), "--");
    const auto is_help = [](const std::string& word) { return word == "--help" || word == "-h"; };
    if (std::any_of(given.begin(), ends, is_help)) {
        print_help(usage, own);
        return std::nullopt;
    }

    po::options_description hidden;
    hidden.add_options()("argument", po::value<std::vector<std::string>>());
    hidden.add(all);
    po::positional_options_description positions;
    positions.add("argument", -1);
    CommandLine line;
    line.verb_ = usage.verb;
    try {
        namespace style = po::command_line_style;
        po::store(po::command_line_parser(given)
                      .options(hidden)
                      .positional(positions)
                      .style(style::unix_style & ~style::allow_guessing)
                      .run(),
                  line.values_);
    } catch (const po::unknown_option& error) {
        std::vector<std::string> known;
        for (const auto& option : all.options()) known.push_back("--" + option->long_name());
        const std::string name = error.get_option_name();
        throw usage_error(
            usage.verb,
            "unknown option '" + name + "' of l2o " + usage.verb + framework::did_you_mean(name, known));
    } catch (const po::error& error) {
        throw usage_error(usage.verb, error.what());
    }
    line.arguments_ = line.texts("argument");
    if (line.arguments_.size() > usage.max_arguments) {
        throw line.refusal("l2o " + usage.verb + ": '" + line.arguments_[usage.max_arguments] +
                           "' is one word too many");
    }
    for (const std::string& folder : line.texts("plugin-path"))
        line.common_.plugin_folders.emplace_back(folder);
    line.common_.is_quiet = line.has("quiet");
    line.common_.wants_json = line.has("json");
    const auto cores = std::max(1U, std::thread::hardware_concurrency());
    line.common_.threads = static_cast<int>(line.integer("threads", 1, 4096).value_or(cores));
    if (const auto seed = line.integer("seed", 0)) line.common_.seed = static_cast<std::uint64_t>(*seed);
    return line;
}

std::string CommandLine::text(const std::string& option) const {
    return has(option) ? values_[option].as<std::string>() : "";
}

std::vector<std::string> CommandLine::texts(const std::string& option) const {
    return has(option) ? values_[option].as<std::vector<std::string>>() : std::vector<std::string>{};
}

std::string CommandLine::require(const std::string& option) const {
    if (text(option).empty()) throw refusal("l2o " + verb_ + ": --" + option + " is missing");
    return text(option);
}

std::optional<std::int64_t> CommandLine::integer(const std::string& option,
                                                 std::int64_t min,
                                                 std::int64_t max) const {
    if (!has(option)) return std::nullopt;
    const auto value = framework::parse_int(text(option));
    if (!value || *value < min || *value > max) {
        const bool is_bounded = max != std::numeric_limits<std::int64_t>::max();
        throw refusal(
            is_bounded
                ? fmt::format(
                      "--{} is '{}'; expected a whole number in [{}, {}]", option, text(option), min, max)
                : fmt::format("--{} is '{}'; expected a whole number >= {}{}",
                              option,
                              text(option),
                              min,
                              framework::int_limit(text(option))));
    }
    return value;
}

Error CommandLine::refusal(const std::string& text) const { return usage_error(verb_, text); }

std::vector<std::pair<std::string, std::string>> key_values(const CommandLine& line,
                                                            const std::string& option) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const std::string& text : line.texts(option)) {
        const std::size_t equals = text.find('=');
        if (equals == std::string::npos || equals == 0) {
            throw line.refusal("--" + option + " is '" + text + "'; expected key=value");
        }
        pairs.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    }
    return pairs;
}

std::map<std::string, std::string> given_settings(const CommandLine& line, const std::string& option) {
    std::map<std::string, std::string> settings;
    for (const auto& [key, value] : key_values(line, option)) {
        const auto [earlier, is_new] = settings.emplace(key, value);
        if (!is_new)
            throw line.refusal("--" + option + " gives '" + key + "' twice, '" + earlier->second + "' and '" +
                               value + "'; expected one of them");
    }
    return settings;
}

Arguments verb_first(const Arguments& given) {
    Arguments before;
    std::size_t i = 0;
    for (; i < given.size() && given[i].starts_with("-"); ++i) {
        before.push_back(given[i]);
        if (takes_value(given[i]) && i + 1 < given.size()) before.push_back(given[++i]);
    }
    Arguments out(given.begin() + static_cast<std::ptrdiff_t>(i), given.end());
    out.insert(out.begin() + (out.empty() ? 0 : 1), before.begin(), before.end());
    return out;
}

void warn_without_blas(const Common& common, const std::vector<framework::Catalog::Entry>& plugins) {
    for (const framework::Catalog::Entry& entry : plugins) (void)framework::Catalog::load(entry);
    std::ostringstream maps;
    maps << std::ifstream("/proc/self/maps").rdbuf();
    const std::string text = maps.str();
    const auto has = [&text](const char* library) { return text.find(library) != std::string::npos; };
    if (!has("libtorch") && !has("libblas")) return;
    if (has("openblas") || has("mkl") || has("blis")) return;
    note(common,
         "plugins run on the reference BLAS, which is many times slower; install libopenblas0-pthread");
}

void prepare_output(const CommandLine& line, const std::vector<std::filesystem::path>& inputs) {
    const std::string file = line.require("output");
    for (const std::filesystem::path& input : inputs) {
        std::error_code none;
        if (std::filesystem::is_regular_file(input, none) && std::filesystem::equivalent(file, input, none))
            throw line.refusal("--output is '" + file + "', which is " + input.string() +
                               " itself, a file that is read; expected another name");
    }
    framework::check_output(file);
    if (!framework::is_stdout(file)) return;
    class Nowhere : public std::streambuf {
        int overflow(int c) override { return traits_type::not_eof(c); }
    };
    static Nowhere nowhere;
    std::cout.rdbuf(line.common().is_quiet ? &nowhere : std::cerr.rdbuf());
}

void note(const Common& common, const std::string& text) {
    if (!common.is_quiet) std::cerr << "l2o: note: " << message(text) << "\n";
}

}  // namespace l2o::host
