#pragma once

#include <atomic>
#include <cstdint>

namespace l2o::framework {

/// Not 0: whoever works is to stop as soon as it can, and throws Error(kInterrupted); long-running plugin
/// calls return L2O_STATUS_CANCELLED. Set by signal handlers.
[[nodiscard]] inline std::atomic<std::int32_t>& cancel_flag() {
    static std::atomic<std::int32_t> flag{0};
    return flag;
}

}  // namespace l2o::framework
