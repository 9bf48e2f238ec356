#pragma once

#include <optional>

namespace l2o::framework {

/// Bytes that this process can still have: what the system can give without swapping, or what its limit of
/// address space leaves (`ulimit -v`), whichever is less. Nothing where neither can be found out.
[[nodiscard]] std::optional<double> available_memory();

}  // namespace l2o::framework
