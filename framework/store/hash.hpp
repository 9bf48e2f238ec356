#pragma once

#include <string>
#include <string_view>

namespace l2o::framework {

/// SHA-1 as 40 lower-case hexadecimal digits. It names things by their content; it is no protection against
/// somebody who wants two texts of one name.
[[nodiscard]] std::string sha1_hex(std::string_view bytes);

}  // namespace l2o::framework
