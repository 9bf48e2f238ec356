#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "framework/config/options.hpp"
#include "framework/plugin/optimizer.hpp"
#include "framework/unroll/point.hpp"

namespace l2o::framework {

/// Metadata of weight files: l2o.format, l2o.optimizer, l2o.options (JSON), l2o.plugin_version, l2o.version,
/// l2o.builds (see add_build()), what the caller adds, and a checksum of all. Tensor names and shapes are
/// those of the optimizer's parameters.
inline constexpr const char* kWeightFormat = "1";
inline constexpr const char* kTrainingHashKey = "l2o.training_hash";  ///< of the training that wrote it

/// Adds the build of a plugin's library under its kind and id: "optimizer lista" -> its build id, or else the
/// SHA-1 of its file.
void add_build(const Catalog::Entry& entry, std::map<std::string, std::string>& builds);
/// Metadata that says which builds made the weights: pass it to write_weights.
[[nodiscard]] std::map<std::string, std::string> build_metadata(
    const std::map<std::string, std::string>& builds);

/// Writes the parameters atomically, but for those that are derived from the problem (`const.*`, buffers):
/// they can be large, and are derived again in a moment.
void write_weights(const std::filesystem::path& path,
                   const Optimizer& optimizer,
                   const TensorSet& params,
                   const std::map<std::string, std::string>& more_metadata = {});

/// The id of the optimizer that a weight file belongs to. @throw Error kIo; kUsage if it is no weight file.
[[nodiscard]] std::string weight_optimizer(const std::filesystem::path& path);

/// The options a weight file was written with, as settings between the config's and the command line's.
/// @throw Error kIo; kUsage if the file belongs to another optimizer.
[[nodiscard]] std::vector<SettingText> weight_options(const std::filesystem::path& path,
                                                      const std::string& optimizer_id);

/// Metadata that names the data that `const.*` were derived from: pass it to write_weights.
[[nodiscard]] std::map<std::string, std::string> problem_metadata(const Optimizer& optimizer,
                                                                  const Optimizee& optimizee,
                                                                  const ProblemData& data);

/// Why a weight file that was found is not what the training of this hash left there: it cannot be read, was
/// written by another training, or has changed since; "" : it is. Files from before checksums are taken as
/// they are.
[[nodiscard]] std::string fault_of(const std::filesystem::path& path, const std::string& training_hash);

/// What somebody who uses a weight file should know of it, a sentence each: it has changed since it was
/// written, or was learned with other builds of these plugins. @throw Error kIo
[[nodiscard]] std::vector<std::string> origin_notes(const std::filesystem::path& path,
                                                    const std::map<std::string, std::string>& builds);
/// A sentence if it was learned for other data than those that the optimizer needs here and all instances
/// share (a matrix A); else "". @throw Error kIo
[[nodiscard]] std::string problem_note(const std::filesystem::path& path,
                                       const Optimizer& optimizer,
                                       const Optimizee& optimizee,
                                       const ProblemData& data);

/// Both, for weights that were given to an optimizer.
[[nodiscard]] std::vector<std::string> weight_notes(const std::filesystem::path& path,
                                                    const Optimizer& optimizer,
                                                    const Optimizee& optimizee,
                                                    const ProblemData& data);

/// Parameters from a file, converted to the optimizer's element type. What is derived (`const.*`) is taken
/// from the file if it is all there, and not of other data than these (see problem_metadata); else all of it
/// is derived again, and what the file has of it must agree. Any other missing, extra or misshapen tensor is
/// an Error(kUsage) that names it.
/// @param optimizee  the data's; NULL: `const.*` of the file are taken as they are.
[[nodiscard]] TensorSet read_weights(const std::filesystem::path& path,
                                     const Optimizer& optimizer,
                                     const Key& key,
                                     const ProblemData& data,
                                     const Optimizee* optimizee = nullptr);

}  // namespace l2o::framework
