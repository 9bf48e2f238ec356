#pragma once

#include <string>

#include "framework/export/coco.hpp"

namespace l2o::framework {

/// What IOHanalyzer and iohinspector read: a folder per contestant, with IOHprofiler_fN_NAME_DIMn.json and
/// data_fN_NAME/IOHprofiler_fN_DIMn.dat. raw_y is f - f_opt; options, swept settings and the training seed
/// are attributes of the experiment. Source of the format: de Nobel et al. 2024 (IOHexperimenter).
/// @param function_name  the optimizee
[[nodiscard]] ExportFiles ioh_files(const std::vector<Trials>& all,
                                    const BenchmarkName& name,
                                    const std::string& function_name,
                                    std::int64_t dimension);

}  // namespace l2o::framework
