#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "framework/store/file_handle.hpp"

namespace l2o::framework {

/// SHA-1 as 40 lower-case hexadecimal digits. It names things by their content; it is no protection against
/// somebody who wants two texts of one name.
[[nodiscard]] std::string sha1_hex(std::string_view bytes);
/// That of the rest of a file, from the current position. Throws Error(kIo).
[[nodiscard]] std::string sha1_hex(FileHandle& file);

/// Tells whether bytes are those that were there before, at the speed of memory. No accident leaves it as it
/// was; it is no protection against intent. Where the bytes are cut into pieces counts too.
class Checksum {
  public:
    void add(std::string_view piece);
    [[nodiscard]] std::string hex() const;  ///< 64 lower-case digits

  private:
    // Of the digits of pi: none is a length or a small number.
    std::array<std::uint64_t, 4> lanes_{
        0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89};
};

}  // namespace l2o::framework
