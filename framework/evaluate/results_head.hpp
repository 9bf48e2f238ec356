#pragma once

#include <filesystem>

#include "framework/evaluate/results_file.hpp"

namespace l2o::framework {

/// Reads results.json into an empty struct; of the curves what it tells of them. @throw Error kIo
void read_results_head(const std::filesystem::path& path, Results& results);

}  // namespace l2o::framework
