#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "framework/store/file_handle.hpp"

namespace l2o::framework {

/// A file that appears at its path complete, or not at all: it is written under a temporary name in the same
/// folder, synced and renamed by commit(). Without commit() the destructor removes it and leaves the target
/// as it was. A killed process can leave a `.<name>.tmp.<pid>.<n>` behind, which is safe to delete.
///
/// All functions throw Error(kIo); the target is then untouched, except that a failed sync of the folder
/// is reported after the rename.
class AtomicFile {
  public:
    /// @param target  in an existing folder; if it exists, it must be a regular file or a link (the link is
    ///                replaced, not what it points to).
    explicit AtomicFile(std::filesystem::path target);
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;
    ~AtomicFile();

    void write(std::string_view bytes);
    /// Makes the file visible; call once, last.
    void commit();

  private:
    std::filesystem::path target_;
    std::filesystem::path temporary_name_;  // empty once commit() has renamed it
    FileHandle file_;
};

/// Replaces or creates a file in one step; see AtomicFile.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

/// The whole content; throws Error(kIo).
[[nodiscard]] std::string read_file(const std::filesystem::path& path);

}  // namespace l2o::framework
