#pragma once

#include <string>
#include <string_view>

namespace l2o::framework {

/// What to add to the range in a message on a text that is a whole number, and too large for parse_int():
/// " and at most 9223372036854775807"; else "".
std::string int_limit(std::string_view text);

}  // namespace l2o::framework
