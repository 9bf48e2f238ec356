#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace l2o::framework {

/// The most values of one list, and the most contestants that the sweeps of an experiment may make.
inline constexpr std::size_t kMostSwept = 256;

/// The values of a list: "0.1 0.2", words separated by blanks, those that have some in quotes, as in a file;
/// "log 1e-4 1e-1 7", so many numbers evenly spaced in their logarithm, the ends among them;
/// "linear 0 1 5", evenly spaced. The ends are as they are written, numbers between them
/// have six digits.
/// @throw std::invalid_argument: what was expected instead.
[[nodiscard]] std::vector<std::string> sweep_values(std::string_view list);

/// The last part of every key, or more of it where two keys have the same: "optimizer.hidden" is "hidden".
[[nodiscard]] std::vector<std::string> short_keys(const std::vector<std::string>& keys);

/// Values as sweep_values() reads them back.
[[nodiscard]] std::string sweep_list(const std::vector<std::string>& values);

}  // namespace l2o::framework
