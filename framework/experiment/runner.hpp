#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "framework/experiment/entrant.hpp"
#include "framework/experiment/run.hpp"
#include "framework/experiment/test_set.hpp"
#include "framework/experiment/tuning.hpp"
#include "framework/store/lock_file.hpp"
#include "framework/weights/weights.hpp"

namespace l2o::framework {

/// One run, new or gone on with; what run_experiment() is made of.
class Runner {
  public:
    Runner(const Experiment& experiment, const RunOptions& options);
    RunResult run();

  private:
    // The order of the work, and what is taken up of an earlier session: run.cpp.
    void add_weights(RunResult& result) const;
    /// What cannot be written is told before the work. From here on the results are not those of the run.
    void begin_again();
    [[nodiscard]] bool needs_training(const Entrant& entrant) const;
    /// Of an evaluation that was asked for: nobody is trained for it.
    [[nodiscard]] bool is_untrained() const;
    void note(const std::string& text) const;  // [any thread]
    /// One piece of work for each of some contestants.
    /// @param threads   that the piece may use.
    /// @param progress  of this piece.
    using Work = std::function<void(std::size_t entrant, int threads, const ProgressSink& progress)>;
    /// Does it, as many at a time as there are jobs. After a failure no piece is begun; it is told at once,
    /// and thrown when those under way are done.
    void each(const std::vector<std::size_t>& entrants, const std::string& what, const Work& work) const;
    /// Of a folder to go on in: what was asked for there, and where its weights are.
    void take_up();
    [[nodiscard]] static bool is_among(const std::vector<std::string>& names, const std::string& name);
    [[nodiscard]] std::vector<std::string> trained_names() const;

    // Where weights come from: run_weights.cpp.
    /// Weights that are given, or that an earlier training has left: in this folder, or for everybody.
    void find_weights(Entrant& entrant);
    void find_shared(Entrant& entrant);
    /// Where the weights of a training are found again.
    [[nodiscard]] std::filesystem::path stored_weights(const Contestant& contestant) const;
    /// The only process that trains these weights for everybody; the others wait. Null: nobody else does.
    [[nodiscard]] std::unique_ptr<LockFile> lock_training(const Contestant& contestant) const;
    /// Weights that were found, if they are what their training left.
    void use_found(Entrant& entrant, const std::filesystem::path& stored);
    void use(Entrant& entrant, TensorFile file, WeightsReport::Source source);
    void train_one(Entrant& entrant, int threads, const ProgressSink& progress);
    /// Parameters of all that can have them: from files, also right after a training, so that a run that
    /// finds weights again gives the same bits.
    void load_parameters();
    TensorSet parameters(Entrant& entrant) const;

    // The choice among candidates: run_tuning.cpp.
    /// Of those whose contestant is tuned, only the best stay.
    void tune();
    [[nodiscard]] std::map<std::size_t, Curve> try_candidates(const Candidates& candidates,
                                                              const EvaluateSettings& settings,
                                                              const TestSet& set);

    // The comparison, and what is kept of it: run_evaluation.cpp.
    /// Names what the run has come to: the results that are stored, and all that they depend on.
    [[nodiscard]] std::string results_hash() const;
    /// @return false if something is left to do, or would come to something else.
    bool take_results(RunResult& result) const;
    void remove_evaluations() const;  ///< all but the rows that are kept
    /// Names all that the evaluation of a contestant depends on: the configuration, the program, the plugins'
    /// libraries, the parameters, the instances and the starts.
    [[nodiscard]] std::string evaluation_hash(const Entrant& entrant) const;
    /// Of everybody together.
    [[nodiscard]] std::string entrants_hash() const;
    /// What an earlier session of this run has kept of a contestant.
    [[nodiscard]] std::optional<Curve> kept_curve(const std::filesystem::path& file,
                                                  const Entrant& entrant,
                                                  const EvaluateSettings& settings) const;
    void evaluate_all(Results& results);
    void quote_times(std::vector<Curve>& curves) const;

    const Experiment& experiment_;
    const RunOptions& options_;
    const Keys keys_;
    const Optimizee optimizee_;
    TestSet test_;
    std::vector<Entrant> entrants_;
    std::string entrants_hash_;         // once some may be gone
    std::vector<WeightsReport> tried_;  // of those that are gone
    std::vector<std::filesystem::path> tuning_files_;
    std::optional<RunFolder> folder_;
    RunRequest request_;
    std::filesystem::path shared_;  // of the weights of all runs; "": there is none
    mutable std::mutex note_mutex_;
};

}  // namespace l2o::framework
