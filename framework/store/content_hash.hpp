#pragma once

#include <filesystem>
#include <string>

namespace l2o::framework {

/// Names what is at a path by its content: of a file sha1_hex() of its bytes; of a folder that of all regular
/// files in it and below, by name and content; "" : neither is there. Links are followed. A file that cannot
/// be read counts by its name: nobody else here has read it.
/// @throw Error kIo for a file that cannot be read; kUsage for a folder of more than 100,000 entries.
[[nodiscard]] std::string content_hash(const std::filesystem::path& path);

}  // namespace l2o::framework
