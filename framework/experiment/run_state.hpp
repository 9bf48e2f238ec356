#pragma once

#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "framework/experiment/entrant.hpp"
#include "framework/experiment/run.hpp"
#include "framework/experiment/test_set.hpp"

namespace l2o::framework {

/// What the parts of a run work on, of a new one or of one that is gone on with.
struct RunState {
    /// Binds every plugin. @throw Error kPlugin, kUsage: what cannot be trained or evaluated
    RunState(const Experiment& of, const RunOptions& asked);

    [[nodiscard]] bool needs_training(const Entrant& entrant) const;
    /// Of an evaluation that was asked for: nobody is trained for it.
    [[nodiscard]] bool is_untrained() const;
    void note(const std::string& text) const;  // [any thread]

    /// One piece of work for each of some entrants.
    /// @param threads   that the piece may use.
    /// @param progress  of this piece.
    using Work = std::function<void(std::size_t entrant, int threads, const ProgressSink& progress)>;
    /// Does it, as many at a time as there are jobs. After a failure no piece is begun; it is told at once,
    /// and thrown when those under way are done.
    void each(const std::vector<std::size_t>& which, const std::string& what, const Work& work) const;

    const Experiment& experiment;
    const RunOptions& options;
    const Keys keys;
    const Optimizee optimizee;
    TestSet test{};
    std::vector<Entrant> entrants{};
    std::vector<WeightsReport> tried{};                 ///< of candidates that were not chosen
    std::vector<std::filesystem::path> tuning_files{};  ///< that the run removes at its end
    std::optional<RunFolder> folder{};
    RunRequest request{};
    std::filesystem::path shared{};  ///< of the weights of all runs; "": there is none

  private:
    void warn_of_memory() const;

    mutable std::mutex note_mutex_;
};

}  // namespace l2o::framework
