#pragma once

#include <cstdint>

namespace l2o::framework {

/// What each of `restarts` starts has of a budget, rounded up; of 0, which is no limit, 0. See Course.
[[nodiscard]] inline std::int64_t share_of_start(std::int64_t budget, std::int64_t restarts) {
    return budget / restarts + (budget % restarts > 0 ? 1 : 0);
}

}  // namespace l2o::framework
