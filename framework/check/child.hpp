#pragma once

#include <functional>
#include <string>

namespace l2o::framework {

/// How a child process ended, and what it sent before.
struct ChildOutcome {
    enum class End { kDone, kCrashed, kExited, kHung } end = End::kDone;
    std::string sent;
    std::string how;  ///< "was killed by SIGSEGV", in words; "" when done
};

/// Runs body in a child process and returns what it returns. Nothing that the child does harms the caller:
/// a crash, an exit or a hang is an outcome. What it prints goes to stderr.
/// Forks: the caller has one thread, and has loaded no plugin.
[[nodiscard]] ChildOutcome run_in_child(const std::function<std::string()>& body, double time_limit_s);

}  // namespace l2o::framework
