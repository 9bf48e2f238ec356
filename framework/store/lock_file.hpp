#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "framework/store/file_handle.hpp"

namespace l2o::framework {

/// A file that one process holds at a time, however that process ends, and that is gone once it lets go. On a
/// file system without locks everybody holds it.
class LockFile {
  public:
    /// Waits until the file is ours.
    /// @param owner    a line about us, for those who wait meanwhile.
    /// @param waiting  called ten times a second while somebody else has it, with their line; what it throws
    ///                 ends the waiting.
    /// @throw Error kIo if the file cannot be made.
    LockFile(const std::filesystem::path& path,
             const std::string& owner,
             const std::function<void(const std::string& holder)>& waiting);
    LockFile(const LockFile&) = delete;
    LockFile& operator=(const LockFile&) = delete;
    ~LockFile();

  private:
    FileHandle file_;
};

}  // namespace l2o::framework
