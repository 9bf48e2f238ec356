#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "framework/config/node.hpp"

namespace l2o::framework {

/// The text of a file in INFO format, or of a pipe, which can be read once; at most 16 MiB.
/// @throw Error kIo if it cannot be read; see read_file_or_pipe.
[[nodiscard]] std::string read_info_text(const std::filesystem::path& file);

/// Reads a file in INFO format with everything it includes.
/// `#include "other.info"` stands for the settings of that file, at that place; its path is relative to the
/// folder of the file that has the line. What comes later in a file wins over what it includes, see
/// merge_section; a key that one file has twice in a section is refused, with both places. Linear in the
/// bytes.
/// @throw Error kIo if a file cannot be read; kUsage, naming file and line, for a fault of syntax, a key that
///        is given twice or has a dot, what is no text (see text_fault), a cycle of includes, or too many.
ConfigNode read_info(const std::filesystem::path& file);

/// The same for a text; relative includes are looked for in the folder of `file`, which need not exist.
ConfigNode parse_info(std::string_view text, const std::filesystem::path& file);

/// A tree as text in INFO format; read_info gives the same keys and values, in the same order.
/// @pre the tree is composed: the keys of a section are unique, and their texts have no text_fault.
std::string to_info(const ConfigNode& root);

/// The same with the keys of each section sorted: equal for configurations that mean the same. For hashes.
std::string canonical_text(const ConfigNode& root);

}  // namespace l2o::framework
