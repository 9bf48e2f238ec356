#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "framework/evaluate/evaluate.hpp"

namespace l2o::framework {

/// Keeps what a contestant did, bit for bit, for an evaluation that is interrupted before all others are
/// done. `hash` names all that it depends on. Replaced atomically. @throw Error kIo
/// @pre find_reached() has not been called.
void write_curve(const std::filesystem::path& path, const Curve& curve, const std::string& hash);

/// What write_curve() kept; nothing if it is of another hash, or not as it was written.
[[nodiscard]] std::optional<Curve> read_curve(const std::filesystem::path& path, const std::string& hash);

}  // namespace l2o::framework
