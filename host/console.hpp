#pragma once

#include <cstddef>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace l2o::host {

/// As long as it lives, what is written to std::cout and std::cerr is text that controls no terminal: see
/// framework::printable. Whatever comes from files, plugins or the command line may be printed as it is.
class PrintableStreams {
  public:
    PrintableStreams();
    PrintableStreams(const PrintableStreams&) = delete;
    PrintableStreams& operator=(const PrintableStreams&) = delete;
    ~PrintableStreams();

  private:
    class Filter;
    std::unique_ptr<Filter> out_, err_;
};

/// From now on std::cout alone writes to what stdout is: what anybody else prints there, as a plugin with
/// printf(), goes to stderr. /dev/stdout is stderr then, too.
void keep_stdout();

/// Prints the document of --json, of which there is one.
void print_json(const nlohmann::json& document);
/// Whether that was done: an error that comes later is in it.
[[nodiscard]] bool has_printed_json();

/// An error or a note as the one line that is shown, with the middle of a very long one left out.
[[nodiscard]] std::string message(std::string_view text);

/// Where std::cout writes to.
[[nodiscard]] int stdout_descriptor();
/// Columns of the terminal that stdout is; framework::kAnyWidth if it is none, or does not say.
[[nodiscard]] std::size_t stdout_columns();

/// The terminal behind stderr, as far as a line can be rewritten there.
struct StderrTerminal {
    /// False for a file, a pipe, and what understands no control sequences (TERM=dumb).
    [[nodiscard]] static bool is_there();
    /// Columns; 80 if it does not say.
    [[nodiscard]] static std::size_t columns();
    /// Puts a printable text in the place of the line that the cursor is in, cut to what fits; "" clears it.
    static void rewrite_line(std::string_view text);
};

}  // namespace l2o::host
