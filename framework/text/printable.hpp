#pragma once

#include <cstddef>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace l2o::framework {

/// Why a text from outside is not taken as one: "byte 3 is 0xe4, which is not UTF-8", "byte 0 is the control
/// character 0x1b"; "" if it is UTF-8 whose only control characters are tabs and ends of lines.
[[nodiscard]] std::string text_fault(std::string_view text);

/// The text with every byte that is not UTF-8 as "\xNN".
[[nodiscard]] std::string valid_utf8(std::string_view text);

/// The text for a terminal: what is not UTF-8, controls it (ESC, BEL, C1 ...) or turns the direction of
/// writing is shown as "\xNN" or "\uNNNN", which are the escapes of JSON where JSON has some. Ends of lines
/// and tabs stay.
[[nodiscard]] std::string printable(std::string_view text);

/// The same without ends of lines and tabs: "\n", "\r", "\t"; for names and messages.
[[nodiscard]] std::string one_line(std::string_view text);

/// Columns of a printable text in a terminal: none for a combining character, two for a wide one.
[[nodiscard]] std::size_t width_of(std::string_view text);

/// A printable text cut to that many columns; what was cut ends in "...".
[[nodiscard]] std::string cut_to(std::string_view text, std::size_t columns);

/// One line's words broken into lines of at most `columns`, the first after `first`, the others after
/// `indent`; every line ends in '\n'. A word that is too long stays whole.
[[nodiscard]] std::string wrapped(std::string_view text,
                                  std::string_view first,
                                  std::string_view indent,
                                  std::size_t columns);

/// A text whose lines are at most `columns` long where its words allow: what is longer goes on below its own
/// beginning, indented.
[[nodiscard]] std::string folded(std::string_view text, std::size_t columns);

/// A JSON text of ours, or nothing if it is none in UTF-8, has a key twice or more than `max_depth` objects
/// and lists within one another: see files::parse_json, which says what is wrong.
[[nodiscard]] std::optional<nlohmann::json> parsed_json(std::string_view text, std::size_t max_depth);

/// A JSON document that is UTF-8 whatever its texts: see valid_utf8.
[[nodiscard]] std::string json_text(const nlohmann::json& json, int indent = -1);

}  // namespace l2o::framework
