#pragma once

#include <filesystem>

namespace l2o::framework {

/// The working folder; "" if it has been removed or cannot be looked at: absolute paths need none.
[[nodiscard]] std::filesystem::path working_folder();

/// A path from the root on, without "." and "..", which are taken out of the text: links are not looked at.
/// @throw Error kIo for a relative path if there is no working folder.
[[nodiscard]] std::filesystem::path absolute_path(const std::filesystem::path& path);

}  // namespace l2o::framework
