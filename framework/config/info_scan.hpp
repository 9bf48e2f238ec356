#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace l2o::framework {

/// The key under which an `#include` line stands in the tree until its file takes its place.
inline constexpr const char* kIncludeKey = "#include";

/// Sections within sections: whoever walks the tree recurses over it.
inline constexpr std::size_t kMaxDepth = 100;

/// What Boost's INFO parser needs or does not tell.
struct InfoScan {
    /// The same lines, `#include "f"` turned into the setting `"#include" "f"`, and the list that follows the
    /// first key `sweep` of a section into one value: see sweep_values().
    std::string text;
    std::vector<int> key_lines;  ///< line of each key, in file order
};

/// Looks over a file in INFO format before it is parsed.
/// Refuses what INFO accepts silently, or rejects without saying why: a brace glued to a word (it would
/// become part of the word), a `#` that is no include, a brace or a string that is never closed, a string
/// that goes on after the end of the text, a backslash that starts no escape, an escape that makes a control
/// character, sections nested deeper than kMaxDepth. Other faults of syntax are left to the parser.
/// @throw Error kUsage, naming file and line.
InfoScan scan_info(std::string_view text, const std::string& file);

}  // namespace l2o::framework
