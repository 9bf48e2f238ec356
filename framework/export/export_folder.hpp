#pragma once

#include <filesystem>
#include <string>

#include "framework/export/trials.hpp"

namespace l2o::framework {

/// Writes files into a folder, each atomically, beside those of other exports: `.l2o-export` there lists all
/// of them. A file of that name that no export wrote, or that was changed since, is not replaced; this is
/// found out before any is written.
/// @param option  "--coco", for messages
/// @throw Error kIo
void write_export(const std::filesystem::path& folder, const ExportFiles& files, const std::string& option);

}  // namespace l2o::framework
