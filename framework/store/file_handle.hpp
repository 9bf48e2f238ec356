#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "framework/error.hpp"

namespace l2o::framework {

/// "<path>: <what>: <text of errno>; <advice>", as an Error(kIo).
[[nodiscard]] Error io_error(const std::filesystem::path& path,
                             std::string_view what,
                             int errno_value,
                             std::string_view advice);

/// An open POSIX file that closes itself; every failure is an Error(kIo) that names the path.
class FileHandle {
  public:
    /// @param flags  of open(2); O_CLOEXEC is added.
    /// @param mode   permissions of a file that is created, before the umask.
    FileHandle(std::filesystem::path path, int flags, unsigned mode = 0666);
    /// Takes over an open descriptor; errors call it `reported_path`.
    FileHandle(int descriptor, std::filesystem::path reported_path);
    /// For reading; waits for nothing, not for the writer of a FIFO either, whose descriptor stays
    /// non-blocking.
    static FileHandle input(std::filesystem::path path);
    FileHandle(FileHandle&& other) noexcept;
    FileHandle& operator=(FileHandle&&) = delete;
    FileHandle(const FileHandle&) = delete;
    FileHandle& operator=(const FileHandle&) = delete;
    ~FileHandle();

    [[nodiscard]] int descriptor() const { return descriptor_; }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    [[nodiscard]] std::int64_t size_bytes() const;
    /// S_IFREG, S_IFDIR, S_IFIFO ...
    [[nodiscard]] unsigned type() const;
    /// @throw Error kIo that says what the file is, if it is not of this type.
    void require(unsigned type) const;
    /// Whether its path still names it: it may have been removed or replaced since.
    [[nodiscard]] bool is_named() const;

    /// The rest of the file, from the current position.
    [[nodiscard]] std::string read_all();
    /// On an error part of the text may be in the file.
    void write(std::string_view bytes);
    void truncate(std::int64_t bytes);
    void sync();
    /// Unlike the destructor, reports what a network file system only finds out here.
    void close();

  private:
    std::filesystem::path path_;
    int descriptor_ = -1;
};

/// To be called first thing in main(): descriptors 0, 1 and 2 that the program was started without become
/// /dev/null. Else the next files that are opened get these numbers, and messages would land in them.
void reserve_standard_streams();

}  // namespace l2o::framework
