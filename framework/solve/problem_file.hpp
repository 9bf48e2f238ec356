#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "framework/plugin/catalog.hpp"
#include "framework/plugin/optimizee.hpp"
#include "framework/tensor/tensor.hpp"

namespace l2o::framework {

/// Problems of a user: an optimizee of the right sizes, its instances, and starts if the file has them.
struct ProblemFile {
    std::unique_ptr<const Optimizee> optimizee;
    ProblemData data;
    Tensor x0;  ///< [B, n], all blocks one after the other; empty: not in the file
};

/// Reads a .safetensors file, as `l2o solve` does: metadata `l2o.optimizee` names the optimizee,
/// `l2o.options` has its options as a JSON object and may be absent; the tensors are the optimizee's data by
/// name, and `x0`. Options that size an axis of the data follow from the shapes. The file's real tensors
/// decide the precision of the computation; without any it is float64.
/// @throw Error kIo; kUsage that names file and tensors; kPlugin if the optimizee refuses its options.
[[nodiscard]] ProblemFile read_problem(const Catalog& catalog, const std::filesystem::path& file);

/// x0 [B, n] taken apart into blocks [B, shape].
[[nodiscard]] std::vector<Tensor> split_blocks(const Tensor& x0, const Optimizee& optimizee);

/// Number of variables of one instance: the sizes of all blocks.
[[nodiscard]] std::int64_t variables_of(const Optimizee& optimizee);

}  // namespace l2o::framework
