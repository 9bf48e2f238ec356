#pragma once

#include <filesystem>
#include <string>

#include "framework/experiment/experiment.hpp"
#include "framework/store/environment.hpp"
#include "framework/store/file_handle.hpp"

namespace l2o::framework {

/// Makes a folder and those above it, as far as they are missing. @throw Error kIo
void make_folders(const std::filesystem::path& path);

/// Keeps other l2o out of a folder until the handle is gone, however this process ends.
/// @param advice  what to do if somebody is at work there, for the message
/// @throw Error kIo if somebody is working in the folder.
[[nodiscard]] FileHandle lock_folder(const std::filesystem::path& path, const std::string& advice);

/// Names of the files of one run: <root>/<experiment>/<time>-<hash>/...
struct RunFolder {
    std::filesystem::path path;

    /// Makes a folder that nobody has, with config.info and environment.json in it.
    /// @throw Error kIo
    static RunFolder create(const std::filesystem::path& root,
                            const Experiment& experiment,
                            const BuildInfo& build);
    /// One that an earlier run made; it is only looked at. @throw Error kIo if it has no config.info.
    static RunFolder open(const std::filesystem::path& path);

    /// See lock_folder().
    [[nodiscard]] FileHandle lock() const;
    /// Removes a folder that no epoch of a training has been recorded in, and the empty ones above it.
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
    /// The folder that holds the runs of all experiments, and the weights of all.
    [[nodiscard]] std::filesystem::path root() const { return path.parent_path().parent_path(); }
};

}  // namespace l2o::framework
