#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "framework/report/figure.hpp"

namespace l2o::framework {

/// Commands that draw figures as NAME.svg, NAME.pdf and NAME.png in the folder that they run in. Names of
/// series, titles and labels are text, whatever they are. @pre every figure has series
[[nodiscard]] std::string gnuplot_script(const std::vector<Figure>& figures);

/// What became of the pictures.
struct Drawn {
    std::string note{};       ///< "", or why there are none, not even some: a sentence for the report
    bool has_failed = false;  ///< for another reason than that there is no gnuplot
};

/// Writes NAME.csv of every figure and figures.gp into a folder and has gnuplot draw them there, for a minute
/// at most.
/// @throw Error kIo if a file cannot be written
[[nodiscard]] Drawn draw(const std::filesystem::path& folder, const std::vector<Figure>& figures);

}  // namespace l2o::framework
