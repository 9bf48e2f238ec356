#pragma once

#include <functional>
#include <string>

namespace l2o::framework {

/// Sends a line of text to the parent; it holds no line break.
using Send = std::function<void(const std::string&)>;

/// How the text about a child begins that was killed because it sent nothing for too long.
inline constexpr const char* kHung = "did not come back";

/// Runs body in a child process. Nothing that the child does harms the caller: a crash, an exit or a hang is
/// the result. What it prints goes to stderr.
/// Forks: the caller runs one thread, and a library that it has loaded has started none.
/// @param on_line  is called with every line that the child sends. If it throws, the child is killed.
/// @param silence_limit_s  a child that sends nothing is killed once it has computed for so long, or waited;
///        what a child of the child sends counts for both.
/// @return "" if body returned; else how the child ended: "crashed with SIGSEGV (Segmentation fault)".
[[nodiscard]] std::string run_in_child(const std::function<void(const Send&)>& body,
                                       const std::function<void(const std::string&)>& on_line,
                                       double silence_limit_s);

}  // namespace l2o::framework
