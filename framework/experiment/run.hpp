#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "framework/evaluate/results_file.hpp"
#include "framework/experiment/experiment.hpp"
#include "framework/experiment/run_folder.hpp"
#include "framework/store/environment.hpp"
#include "framework/train/train.hpp"

namespace l2o::framework {

struct RunOptions {
    RunPart part = RunPart::kAll;
    std::filesystem::path root = "runs";  ///< run folders, and weights/ for those found again
    /// A run folder to go on in; "" : a new one. Read experiment and part from it, see resumed_run().
    std::filesystem::path resume{};
    /// Train even if there are weights of the same hash; in a folder to go on in all that was trained or
    /// recorded there before is forgotten first.
    bool retrain = false;
    bool report = true;      ///< remembered for who goes on in the folder
    bool untrained = false;  ///< everybody from their start values, except with weights that are given
    /// Of the command that an interrupted run advises: "l2o VERB --resume FOLDER OPTIONS".
    std::string resume_verb = "run", resume_options{};
    int threads = 1;
    /// Contestants that are trained, or evaluated, side by side; each has its share of the threads. Weights
    /// and results do not depend on it.
    int jobs = 1;
    BuildInfo build{};        ///< for environment.json
    ProgressSink progress{};  ///< called by whoever works, with `jobs` from several threads
    std::function<void(const std::string&)> note{};  ///< what the user should know at once; may be empty
};

/// The weights of one learned contestant.
struct WeightsReport {
    std::string contestant;
    std::filesystem::path file;
    enum class Source { kTrained, kFound, kGiven } source{};
    double seconds = 0;                         ///< of the training, whenever it was; 0 if unknown
    std::optional<TrainingOutcome> training{};  ///< what that came to; nothing if the file does not tell
};

struct RunResult {
    std::filesystem::path folder;
    std::vector<WeightsReport> weights{};
    Results results{};          ///< its curves in the order of the file; none if nothing was evaluated
    bool report = true;         ///< a page was asked for, here and when the run began
    bool was_finished = false;  ///< nothing was left to do: all of this is from the folder
};

/// What a run folder was made for.
struct ResumedRun {
    Experiment experiment;  ///< without the contestants that were not asked for
    RunRequest request;
};
/// @throw Error kIo, kUsage
[[nodiscard]] ResumedRun resumed_run(const Catalog& catalog, const std::filesystem::path& folder);

/// Runs an experiment: binds every plugin, trains the contestants that need it, evaluates all of them on the
/// same instances and starts, and writes the run folder:
///
///     <root>/<experiment>/<time>-<hash>/  config.info  environment.json  request.json  metrics.jsonl
///                                         curves.csv  finals.csv  summary.csv  results.json
///                                         checkpoints/<contestant>.safetensors
///     <root>/weights/<optimizer>-<hash>.safetensors
///
/// A contestant is trained once: weights of the same hash are used again, and while another process trains
/// them it is waited for. They tell what their training came to; one that ended with ruined parameters keeps
/// earlier ones (TrainingOutcome::diverged). A killed run goes on from its last checkpoint with `resume`,
/// with those who are not yet evaluated; what is trained in its folder is known there, wherever the folder
/// has gone. One that is finished, and would come to the same, is told from what is stored. Everything that
/// can be refused is refused before anything is trained.
/// @throw Error  kPlugin, kUsage: a contestant does not suit the problem; kNumerical: every window
///               of a training diverged;
///               kInterrupted: CallContext::cancel_flag was set, and what is trained so far is kept.
[[nodiscard]] RunResult run_experiment(const Experiment& experiment, const RunOptions& options);

}  // namespace l2o::framework
