#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "framework/evaluate/evaluate.hpp"

namespace l2o::framework {

/// Keeps what a contestant did, bit for bit: every row at every recorded point. `hash` names all that it
/// depends on: an evaluation that was interrupted goes on with it. Replaced atomically. @throw Error kIo
/// @pre find_reached() has not been called.
void write_curve(const std::filesystem::path& path, const Curve& curve, const std::string& hash);

/// What write_curve() kept; nothing if it is of another hash, or not as it was written.
[[nodiscard]] std::optional<Curve> read_curve(const std::filesystem::path& path, const std::string& hash);

/// The same, whatever it depends on. @throw Error kIo: absent, or not as it was written.
[[nodiscard]] Curve read_curve(const std::filesystem::path& path);

}  // namespace l2o::framework
