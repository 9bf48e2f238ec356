#pragma once

#include <filesystem>
#include <string>

#include "framework/evaluate/results_file.hpp"

namespace l2o::framework {

/// A finished run with what every row did.
struct KeptRun {
    std::filesystem::path folder{};
    std::string name{};       ///< of the experiment
    std::string optimizee{};  ///< id of the plugin
    Results results{};        ///< the curves with their histories and staircases
};

/// Reads results.json and what lies beside it, and checks that the rows are those of these results.
/// Needs no plugin. @throw Error kIo: the run is not finished, its rows were not kept, or are of other
/// results
[[nodiscard]] KeptRun read_kept_run(const std::filesystem::path& folder);

}  // namespace l2o::framework
