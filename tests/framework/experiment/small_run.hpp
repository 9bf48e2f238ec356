#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "framework/experiment/experiment.hpp"
#include "framework/experiment/run.hpp"
#include "framework/progress.hpp"
#include "tests/framework/store/scratch_folder.hpp"

namespace l2o::test {

/// An experiment of seconds: 'lista', which learns, beside 'ista'; 2 x 2 rows in shards of 3. `more` is laid
/// over it.
framework::Experiment small_experiment(const std::string& more = "");
/// Its run, with the runs of this folder.
framework::RunResult run(const ScratchFolder& folder,
                         framework::RunOptions options = {},
                         const std::string& more = "");
/// What `l2o run --resume` does.
framework::RunResult resume(const std::filesystem::path& path, framework::RunOptions options = {});

/// Another learned contestant and one that takes part only in the comparison.
inline constexpr const char* kShort = "short { optimizer { use lista\n layers 3 }\n train { epochs 2 } }";
inline const std::string kMore = std::string("contestants { ") + kShort + " }";

/// The last point of every row, contestant by contestant.
std::vector<std::vector<double>> rows(const framework::RunResult& result);
std::map<std::string, std::vector<double>> tensors(const std::filesystem::path& file);

/// Interrupts once `what` is `done` steps on.
framework::ProgressSink interrupt_at(const std::string& what, std::int64_t done);
/// What is said of a run that these options interrupt.
std::string interrupted(const ScratchFolder& folder,
                        framework::RunOptions options,
                        const std::string& more = "");
/// Of "...; go on with: l2o run --resume FOLDER".
std::filesystem::path advised_folder(const std::string& text);

/// What is evaluated, in order.
framework::ProgressSink listing(std::vector<std::string>& evaluated);
/// A file of a run without the columns that the clock decides.
std::string without_times(const std::filesystem::path& path);

}  // namespace l2o::test
