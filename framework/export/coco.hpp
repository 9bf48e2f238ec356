#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "framework/export/trials.hpp"

namespace l2o::framework {

/// What a run is called there: an optimizee is one function of a suite.
struct BenchmarkName {
    std::string suite = "bbob";
    std::int64_t function = 1;
};

/// What cocopp reads: a folder per contestant, with bbobexp_fN_DIMn.info and data_fN/bbobexp_fN_DIMn.dat and
/// .tdat. Instances count from 1; the starts of one are trials of the same instance. The format is that of
/// Hansen et al. 2021 (COCO: a platform for comparing continuous optimizers), `bbob-new2`, without x.
/// @param dimension  of x
[[nodiscard]] ExportFiles coco_files(const std::vector<Trials>& all,
                                     const BenchmarkName& name,
                                     std::int64_t dimension);

}  // namespace l2o::framework
