#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace l2o::test {

/// A file in memory that has a path, for readers that take one.
class MemoryFile {
  public:
    MemoryFile(const std::uint8_t* data, std::size_t size) : descriptor_(::memfd_create("fuzz", 0)) {
        if (descriptor_ < 0 || ::write(descriptor_, data, size) != static_cast<ssize_t>(size)) std::abort();
    }
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;
    ~MemoryFile() { ::close(descriptor_); }

    [[nodiscard]] static std::string folder() { return "/proc/self/fd"; }
    [[nodiscard]] std::string name() const { return std::to_string(descriptor_); }
    [[nodiscard]] std::string path() const { return folder() + "/" + name(); }

  private:
    int descriptor_;
};

}  // namespace l2o::test
