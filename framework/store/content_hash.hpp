#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace l2o::framework {

/// Names what is at a path by its content: of a file sha1_hex() of its bytes; of a folder that of all regular
/// files in it and below, by name and content; "" : neither is there. Links are followed. A file of a folder
/// that cannot be read counts by its name: nobody else here has read it.
/// @throw Error kIo for a file, or a folder below, that cannot be read; kUsage for a folder of more than
///        100,000 entries.
[[nodiscard]] std::string content_hash(const std::filesystem::path& path);

/// content_hash() of paths, each looked at once.
class Contents {
  public:
    const std::string& of(const std::filesystem::path& path);
    /// @throw Error kIo if there is none
    const std::string& of_file(const std::filesystem::path& path);

  private:
    std::map<std::filesystem::path, std::string> known_;
};

/// What was at a path.
struct FileContent {
    std::string path, sha1;  ///< sha1: see content_hash()
    bool operator==(const FileContent&) const = default;
};
/// By the setting that names the path: "optimizee.matrix".
using FileContents = std::map<std::string, FileContent>;

}  // namespace l2o::framework
