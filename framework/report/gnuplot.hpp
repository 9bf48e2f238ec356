#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "framework/report/figure.hpp"

namespace l2o::framework {

/// Commands that draw figures from their CSV files, as NAME.svg, NAME.pdf and NAME.png in the same folder.
[[nodiscard]] std::string gnuplot_script(const std::vector<Figure>& figures);

/// Writes NAME.csv of every figure and figures.gp into a folder and has gnuplot draw them there, for a minute
/// at most.
/// @return "", or why there are no pictures: a sentence for the report.   @throw Error kIo if a file cannot
/// be
///         written
[[nodiscard]] std::string draw(const std::filesystem::path& folder, const std::vector<Figure>& figures);

}  // namespace l2o::framework
