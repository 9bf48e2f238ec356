#pragma once

#include <cstdint>

namespace l2o::test {

/// Calls of operator new so far, in this program and in the plugins that it loads.
[[nodiscard]] std::int64_t allocations();

}  // namespace l2o::test
