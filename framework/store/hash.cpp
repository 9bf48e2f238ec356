#include "framework/store/hash.hpp"

#include <fmt/format.h>

#include <boost/uuid/detail/sha1.hpp>

namespace l2o::framework {

std::string sha1_hex(std::string_view bytes) {
    boost::uuids::detail::sha1 sha1;
    sha1.process_bytes(bytes.data(), bytes.size());
    boost::uuids::detail::sha1::digest_type digest;
    sha1.get_digest(digest);
    // Five words, the most significant byte of each first in the hash; from Boost 1.86 on, twenty bytes.
    std::string hex;
    for (const auto unit : digest) hex += fmt::format("{:0{}x}", unit, 2 * sizeof unit);
    return hex;
}

}  // namespace l2o::framework
