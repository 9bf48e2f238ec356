#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace l2o {

/// A table or description of the other side, in a zeroed struct of this header: a shorter one leaves zeros, a
/// longer one is cut (rule R2 of l2o/abi/base.h). Nothing else looks at struct_size.
template <class S>
[[nodiscard]] S normalised(const S& given) {
    S own{};
    std::memcpy(static_cast<void*>(&own), &given, std::min<std::size_t>(given.struct_size, sizeof own));
    own.struct_size = sizeof own;
    return own;
}

}  // namespace l2o
