#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "framework/experiment/experiment.hpp"
#include "framework/store/environment.hpp"
#include "framework/store/file_handle.hpp"

namespace l2o::framework {

/// Which part of a run: train what has no weights, evaluate everybody, or first the one and then the other.
enum class RunPart { kAll, kTrain, kEvaluate };

/// What a run was asked for. Its folder keeps it (request.json), so that --resume goes on with that and no
/// more.
struct RunRequest {
    RunPart part = RunPart::kAll;
    std::vector<std::string> contestants{};  ///< empty: all of the experiment
    bool untrained = false;
    bool report = true;                    ///< a page at the end
    std::vector<std::string> retrained{};  ///< contestants that are trained even if there are weights
    std::vector<std::string> forgotten{};  ///< of these, whose earlier files here may not all be gone
    std::string hash{};                    ///< of the experiment; "": unknown
    std::filesystem::path root{};          ///< that the folder was made in; "": unknown
    std::string finished{};  ///< names the results, and all that they depend on; "": there are none
};

/// Makes a folder and those above it, as far as they are missing. @throw Error kIo
void make_folders(const std::filesystem::path& path);

/// Keeps other l2o out of a folder until the handle is gone, however this process ends.
/// @param advice  what to do if somebody is at work there, for the message
/// @throw Error kIo if somebody is working in the folder.
[[nodiscard]] FileHandle lock_folder(const std::filesystem::path& path, const std::string& advice);

/// Names of the files of one run: <root>/<experiment>/<time>-<hash>/...
struct RunFolder {
    std::filesystem::path path;

    /// Makes a folder that nobody has, with config.info, environment.json and request.json in it.
    /// @param request  its hash and root are filled in.
    /// @throw Error kIo
    static RunFolder create(const std::filesystem::path& root,
                            const Experiment& experiment,
                            const BuildInfo& build,
                            RunRequest request = {});
    /// One that an earlier run made, where it really is: links are followed. It is only looked at.
    /// @throw Error kIo if it has no config.info.
    static RunFolder open(const std::filesystem::path& path);

    /// All of everything if there is no request.json. @throw Error kIo if it is not what write() wrote.
    [[nodiscard]] RunRequest request() const;
    /// @throw Error kIo
    void write(const RunRequest& request) const;
    /// Tells of an experiment's plugins in environment.json: id, version, build and path of each.
    /// @return those whose builds it told to be others: "optimizer adam@1.0.0 (build 1a2b... before, 3c4d...
    /// now)";
    ///         "" if there are none. @throw Error kIo
    [[nodiscard]] std::string record_plugins(const Experiment& experiment) const;
    /// Where the weights that are trained in this folder are found again: in weights/ of the root that it was
    /// made in, or that it was moved in together with all that is in there; "": there is none any more.
    [[nodiscard]] std::filesystem::path shared_weights(const RunRequest& request,
                                                       const std::string& experiment) const;

    /// See lock_folder().
    [[nodiscard]] FileHandle lock() const;
    /// Removes a folder that no epoch of a training has been recorded in and that keeps no evaluation, and
    /// the empty ones above it.
    void remove_if_unused() const;

    [[nodiscard]] std::filesystem::path config() const { return path / "config.info"; }
    [[nodiscard]] std::filesystem::path metrics() const { return path / "metrics.jsonl"; }
    [[nodiscard]] std::filesystem::path curves() const { return path / "curves.csv"; }
    [[nodiscard]] std::filesystem::path finals() const { return path / "finals.csv"; }
    [[nodiscard]] std::filesystem::path results() const { return path / "results.json"; }
    [[nodiscard]] std::filesystem::path summary() const { return path / "summary.csv"; }
    [[nodiscard]] std::filesystem::path checkpoints() const { return path / "checkpoints"; }
    /// State of an unfinished training, and its weights once it is finished.
    [[nodiscard]] std::filesystem::path training(const std::string& contestant) const {
        return checkpoints() / (contestant + ".train.safetensors");
    }
    [[nodiscard]] std::filesystem::path weights(const std::string& contestant) const {
        return checkpoints() / (contestant + ".safetensors");
    }
    /// What a contestant did, row by row: until all of them are evaluated, or with `keep_rows` for good.
    [[nodiscard]] std::filesystem::path evaluation(const std::string& contestant) const {
        return checkpoints() / (contestant + ".evaluation.safetensors");
    }
    /// Of a folder that was made in it: the one that holds the runs of all experiments, and weights/ of all.
    [[nodiscard]] std::filesystem::path root() const { return path.parent_path().parent_path(); }
};

}  // namespace l2o::framework
