#pragma once

#include <cstddef>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "framework/evaluate/results_file.hpp"
#include "tests/framework/store/scratch_folder.hpp"

namespace l2o::test {

/// The folder of a finished run.
std::filesystem::path finished_run(const ScratchFolder& folder,
                                   const char* name,
                                   const std::vector<framework::Curve>& curves,
                                   const std::string& seed = "1",
                                   const std::set<std::string>& ratios = {},
                                   const framework::Judging& judging = {.metric = "objective"},
                                   const std::string& evaluate = "");

/// As if the run had ended with what is in its folder now.
void write_results_again(const std::filesystem::path& run);

std::size_t count(const std::string& text, const std::string& part);

}  // namespace l2o::test
