#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "framework/evaluate/results_file.hpp"

namespace l2o::framework {

struct ReportFile {
    std::filesystem::path page{};        ///< report.html
    std::string note{};                  ///< why there are no pictures; "" : there are
    bool has_failed = false;             ///< for another reason than that there is no gnuplot
    std::vector<std::string> remarks{};  ///< what is not known of the runs, a phrase each
    Results results{};                   ///< of all runs together
};

/// Writes report.html, and beside it figures/ with the CSV, SVG, PDF and PNG file of every figure, from the
/// files of finished runs; nothing is run again. An earlier report in the folder is replaced, and nothing
/// else; see ReportFolder. Several runs
/// are compared with one another if they have the same instances and starts; contestants of the same name are
/// told apart by the number of their run.
/// @param output  a folder; "" : that of the only run
/// @throw Error  kIo: no finished run, or not to be written; kUsage: runs that cannot be compared.
ReportFile write_report(const std::vector<std::filesystem::path>& runs,
                        const std::filesystem::path& output = {});

}  // namespace l2o::framework
