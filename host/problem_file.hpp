#pragma once

#include <filesystem>
#include <memory>

#include "framework/plugin/catalog.hpp"
#include "framework/plugin/optimizee.hpp"
#include "framework/tensor/tensor.hpp"

namespace l2o::host {

/// Problems of a user: an optimizee of the right sizes, its instances, and starts if the file has them.
struct ProblemFile {
    std::unique_ptr<const framework::Optimizee> optimizee;
    framework::ProblemData data;
    framework::Tensor x0;  ///< [B, n], all blocks one after the other; empty: not in the file
};

/// Reads a .safetensors file: metadata `l2o.optimizee` names the optimizee, `l2o.options` has its options as
/// a JSON object and may be absent; the tensors are the optimizee's data by name, and `x0`. Options that size
/// an axis of the data follow from the shapes. The file's real tensors decide the precision of the
/// computation.
/// @throw Error kIo; kUsage that names file and tensors; kPlugin if the optimizee refuses its options.
ProblemFile read_problem(const framework::Catalog& catalog, const std::filesystem::path& file);

/// Number of variables of one instance: the sizes of all blocks.
std::int64_t variables_of(const framework::Optimizee& optimizee);

}  // namespace l2o::host
