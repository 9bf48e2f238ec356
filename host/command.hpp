#pragma once

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/variables_map.hpp>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "framework/error.hpp"
#include "framework/plugin/catalog.hpp"

namespace l2o::host {

using Arguments = std::vector<std::string>;

/// Options that every verb takes.
struct Common {
    std::vector<std::filesystem::path> plugin_folders{};
    bool is_quiet = false;    ///< nothing but errors on stderr
    bool wants_json = false;  ///< stdout is one JSON document
    int threads = 1;
    std::optional<std::uint64_t> seed{};

    /// Says in notes what was left out of it.
    [[nodiscard]] framework::Catalog catalog() const;
};

/// What `l2o <verb> --help` shows, and what the command line of the verb may hold.
struct Usage {
    std::string verb;
    std::string synopsis;  ///< "[optimizers|optimizees|losses]": follows the verb
    std::string text;
    std::string examples;
    std::size_t max_arguments = 0;  ///< words that are not options
    boost::program_options::options_description options{"Options"};
};

/// The command line of one verb.
class CommandLine {
  public:
    /// nullopt: --help was asked for, and printed.
    /// @throw Error kUsage for an option that does not exist, with the nearest that does, or a wrong value.
    static std::optional<CommandLine> parse(const Usage& usage, const Arguments& given);

    [[nodiscard]] const Common& common() const { return common_; }
    [[nodiscard]] const Arguments& arguments() const { return arguments_; }
    [[nodiscard]] bool has(const std::string& option) const { return values_.count(option) > 0; }
    /// "" if it was not given.
    [[nodiscard]] std::string text(const std::string& option) const;
    [[nodiscard]] std::vector<std::string> texts(const std::string& option) const;
    /// Throws Error(kUsage) if it was not given.
    [[nodiscard]] std::string require(const std::string& option) const;
    [[nodiscard]] std::optional<std::int64_t> integer(
        const std::string& option,
        std::int64_t min,
        std::int64_t max = std::numeric_limits<std::int64_t>::max()) const;
    /// An Error(kUsage) about this command line, with where to read more.
    [[nodiscard]] framework::Error refusal(const std::string& text) const;

  private:
    std::string verb_;
    boost::program_options::variables_map values_;
    Arguments arguments_;
    Common common_;
};

/// "k=v" texts of an option, split. Throws Error(kUsage) naming the text.
std::vector<std::pair<std::string, std::string>> key_values(const CommandLine& line,
                                                            const std::string& option);

/// The same of an option that takes settings, each of them once.
std::map<std::string, std::string> given_settings(const CommandLine& line, const std::string& option);

/// Moves the options that every verb takes from before the verb to its arguments: {"--quiet", "list"} becomes
/// {"list", "--quiet"}.
Arguments verb_first(const Arguments& given);

/// Says on stderr, once, that the plugins run on the reference BLAS, if they do. Loads their libraries.
void warn_without_blas(const Common& common, const std::vector<framework::Catalog::Entry>& plugins);

/// Before the work whose result goes to the file of --output: refuses one that cannot be written, and one of
/// those that are read. If it is stdout, what is printed goes to stderr from now on, or nowhere with --quiet:
/// the result comes alone.
/// @throw Error kIo, see AtomicFile; kUsage.
void prepare_output(const CommandLine& line, const std::vector<std::filesystem::path>& inputs);

/// "note: ..." on stderr, unless --quiet.
void note(const Common& common, const std::string& text);

// The verbs; `given` is what follows the verb.
framework::ExitCode list(const Arguments& given);
framework::ExitCode describe(const Arguments& given);
framework::ExitCode check(const Arguments& given);
framework::ExitCode solve(const Arguments& given);
framework::ExitCode run(const Arguments& given);
framework::ExitCode train(const Arguments& given);
framework::ExitCode evaluate(const Arguments& given);
framework::ExitCode report(const Arguments& given);
framework::ExitCode export_run(const Arguments& given);

}  // namespace l2o::host
