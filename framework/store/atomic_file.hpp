#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>

#include "framework/store/file_handle.hpp"

namespace l2o::framework {

struct OutputPlace;

/// A file that appears at its path complete, or not at all: it is written under a temporary name in the same
/// folder, synced and renamed by commit(). Without commit() the destructor removes it and leaves the target
/// as it was. A killed process can leave a `.<name>.tmp.<pid>.<n>` behind, which is safe to delete.
///
/// Behind a link its target is replaced, or made if there is none yet, by a temporary file beside the target.
/// What is replaced hands on its mode, its access control list and, where that is permitted, its owner and
/// group; other extended attributes are not kept. A file that may not be written is not replaced, whatever
/// its folder permits. A new file has mode 0666 less the umask.
///
/// A device (not one of blocks), a FIFO with a reader and a descriptor of this process (/dev/stdout,
/// /dev/fd/3) are written through, also behind links, and never replaced: what is written is there at once,
/// and neither commit() nor the destructor changes that.
///
/// All functions throw Error(kIo); the target is then untouched, except that a failed sync of the folder
/// is reported after the rename.
class AtomicFile {
  public:
    /// @param target  in an existing folder: no folder, socket or block device, no FIFO that nobody reads.
    explicit AtomicFile(const std::filesystem::path& target);
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;
    ~AtomicFile();

    void write(std::string_view bytes);
    /// Makes the file visible; call once, last.
    void commit();

  private:
    explicit AtomicFile(const OutputPlace& place);

    std::filesystem::path target_;          // behind links
    std::filesystem::path temporary_name_;  // empty once commit() has renamed it, or if it is written through
    FileHandle file_;
};

/// Replaces or creates a file in one step; see AtomicFile.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

/// Throws what AtomicFile(path) would, now rather than after the work whose result is to go there. Leaves
/// nothing behind, and does not open what would be written through.
void check_output(const std::filesystem::path& path);

/// Whether a path names this process's own standard output, as /dev/stdout does: what is written there
/// shares it with what is printed. False if the path cannot be looked at.
[[nodiscard]] bool is_stdout(const std::filesystem::path& path);

/// The whole content of a regular file, which may be one of /proc.
/// @throw Error kIo: absent, not permitted, or a folder, FIFO, device or socket; waits for none of them.
[[nodiscard]] std::string read_file(const std::filesystem::path& path);

/// As read_file(); also what a FIFO has to say until its last writer is gone, as a shell's `<(command)` or
/// /dev/stdin behind a pipe.
/// @param max_bytes  more than that is an Error(kIo).
/// @param patience   how long a FIFO may be without a first writer. One that has a writer is waited for.
/// @throw Error kIo also if no writer comes; kInterrupted if cancel_flag() is set meanwhile.
[[nodiscard]] std::string read_file_or_pipe(const std::filesystem::path& path,
                                            std::size_t max_bytes = std::numeric_limits<std::size_t>::max(),
                                            std::chrono::milliseconds patience = std::chrono::seconds(10));

}  // namespace l2o::framework
