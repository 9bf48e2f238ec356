#pragma once

#include <exception>
#include <optional>

#include "framework/error.hpp"

namespace l2o::framework {

/// What an exception of the standard library says about the system, as an error with a sentence: no memory
/// for what was asked for (kUsage), a path that cannot be looked at, a thread that cannot be had (kIo).
/// Nothing: it is none of these, and a bug.
[[nodiscard]] std::optional<Error> system_failure(const std::exception& error);

}  // namespace l2o::framework
