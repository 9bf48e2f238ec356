#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "framework/config/options.hpp"
#include "framework/plugin/optimizer.hpp"
#include "framework/rollout/point.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/weights/outcome.hpp"

namespace l2o::framework {

/// Metadata of weight files: l2o.format, l2o.optimizer, l2o.options (JSON), l2o.plugin_version, l2o.version,
/// l2o.builds (see add_build()), what the caller adds (see training_metadata(), problem_metadata()), and a
/// checksum of all. Tensor names and shapes are
/// those of the optimizer's parameters.
inline constexpr const char* kWeightFormat = "1";

/// Adds the build of a plugin's library under its kind and id: "optimizer lista" -> its build id, or else the
/// SHA-1 of its file.
void add_build(const Catalog::Entry& entry, std::map<std::string, std::string>& builds);
/// Those of all plugins, whether they are loaded or not.
[[nodiscard]] std::map<std::string, std::string> known_builds(const Catalog& catalog);
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

/// Metadata that says what the weights were learned in: pass it to write_weights.
/// @param hash     of the training, see training_hash()
/// @param seconds  that it took
[[nodiscard]] std::map<std::string, std::string> training_metadata(const std::string& hash,
                                                                   double seconds,
                                                                   const TrainingOutcome& outcome);
/// What the training of a weight file came to; nothing if the file does not tell.
/// @throw Error kUsage if it tells something else.
[[nodiscard]] std::optional<TrainingOutcome> training_of(const TensorFile& file);
/// 0: unknown.
[[nodiscard]] double training_seconds(const TensorFile& file);

/// A weight file that was found where a training leaves its weights.
struct FoundWeights {
    TensorFile file{};
    /// Why it is not what the training of this hash left there: it cannot be read, was written by another
    /// training, was changed since, or has no checksum to know that by, or does not suit the optimizer; "" :
    /// it is.
    std::string fault{};
    ExitCode code = ExitCode::kOk;  ///< of a fault: kIo if it cannot be read, else kUsage
};
/// @param optimizer  that the training was of
[[nodiscard]] FoundWeights found_weights(const std::filesystem::path& path,
                                         const std::string& training_hash,
                                         const Optimizer& optimizer);

/// What somebody who uses a weight file should know of it, a sentence each: it has changed since it was
/// written, or was learned with other builds of its plugins than these. A file without a checksum or builds,
/// as others publish them, is taken as it is.
[[nodiscard]] std::vector<std::string> origin_notes(const TensorFile& file,
                                                    const std::map<std::string, std::string>& builds);
/// A sentence if it was learned for other data than those that the optimizer needs here and all instances
/// share (a matrix A); else "".
[[nodiscard]] std::string problem_note(const TensorFile& file,
                                       const Optimizer& optimizer,
                                       const Optimizee& optimizee,
                                       const ProblemData& data);
/// A sentence if it was learned with other values of options than those of the optimizer; else "".
/// @throw Error kUsage: metadata that are no options
[[nodiscard]] std::string option_note(const TensorFile& file, const Optimizer& optimizer);

/// All of these, for weights that were given to an optimizer, and what there is to remark on their training.
/// @throw Error kUsage, see training_of()
[[nodiscard]] std::vector<std::string> weight_notes(const TensorFile& file,
                                                    const std::map<std::string, std::string>& builds,
                                                    const Optimizer& optimizer,
                                                    const Optimizee& optimizee,
                                                    const ProblemData& data);

/// Parameters from a file, converted to the optimizer's element type. What is derived (`const.*`) is taken
/// from the file if it is all there, and not of other data than these (see problem_metadata); else all of it
/// is derived again, and what the file has of it must agree. Any other missing, extra or misshapen tensor is
/// an Error(kUsage) that names it.
/// @param optimizee  the data's; NULL: `const.*` of the file are taken as they are.
[[nodiscard]] TensorSet read_weights(const TensorFile& file,
                                     const Optimizer& optimizer,
                                     const Key& key,
                                     const ProblemData& data,
                                     const Optimizee* optimizee = nullptr);

}  // namespace l2o::framework
