#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "framework/store/metrics_log.hpp"
#include "framework/train/checkpoint.hpp"
#include "framework/train/estimator.hpp"
#include "framework/train/meta_optimizer.hpp"
#include "framework/train/stages.hpp"
#include "framework/train/train.hpp"
#include "framework/train/training_batches.hpp"
#include "framework/train/validation.hpp"

namespace l2o::framework {

/// One training, from its first trajectory or from a checkpoint to its last; what train() is made of.
class Trainer {
  public:
    Trainer(const TrainTask& task,
            const Optimizer& optimizer,
            const Optimizee& optimizee,
            const TrainFiles& files,
            int threads,
            const ProgressSink& progress);
    TrainResult run();

  private:
    using Clock = std::chrono::steady_clock;

    // Stages and checkpoints: train.cpp.
    static double seconds_since(Clock::time_point start) {
        return std::chrono::duration<double>(Clock::now() - start).count();
    }
    void prepare();
    [[nodiscard]] bool has_numbers() const;
    /// What a training that begins anew in a folder, or from an earlier checkpoint, recorded before goes.
    void open_log();
    /// @return whether it was the last one.
    bool run_stage(const Stage& stage);
    [[nodiscard]] bool is_stale() const;
    /// Of a trajectory; where lengths are drawn, of the longest ones.
    static std::int64_t windows_of(const Stage& stage);
    void save();
    void save_if_due(const Stage& stage);
    void report(double loss) const;

    // Trajectories and their windows: window.cpp.
    /// Whether the trajectory in hand is one of imitation.
    [[nodiscard]] bool imitates() const;
    [[nodiscard]] Estimator& current() { return imitates() ? *imitation_ : *estimator_; }
    /// Of the trajectory in hand.
    [[nodiscard]] std::int64_t horizon(const Stage& stage) const;
    void start();
    /// @return false if the trajectory diverged and is abandoned.
    bool run_window(const Stage& stage);
    /// A window has taught nothing.
    bool skip(const std::string& why, bool is_unsolved = false);
    /// Whether no window of the stage has been learned from.
    [[nodiscard]] bool is_first_step() const;
    /// Parameters that a window was finite with.
    void remember(std::span<const double> rates);
    void end_trajectory(const Stage& stage, bool is_finite, Validation* validation);
    /// mean += (1 - average) (phi - mean) of what the stage trains.
    void average(std::span<const double> rates);
    double validate(Validation& validation);

    // What a stage ends with: stage_end.cpp.
    /// What a stage has come to.
    [[nodiscard]] TensorSet& last() { return kept_.mean.empty() ? kept_.phi : kept_.mean; }
    /// Parameters from before the last ones were ruined; null if they are not.
    const TensorSet* before_ruin(Validation& validation, const Validation::Score& score);
    /// That the last windows diverged, or most of all, tells of ruined parameters even where validation
    /// instances do not.
    [[nodiscard]] bool windows_diverge() const;
    /// Instead of parameters that gained nothing, where windows diverge; null if they did gain.
    const TensorSet* before_divergence(Validation& validation, const TensorSet& kept);
    /// Chooses what the stage ends with; at the end of the last one also finds out what the training came to.
    const TensorSet& end_stage(const Lesson& lesson, std::optional<Validation>& validation, bool is_last);
    /// For a training that does not validate. @return false if there is nothing to compare on.
    bool start_comparison(const Lesson& lesson, std::optional<Validation>& validation);

    const TrainTask& task_;
    const TrainSettings& settings_;
    const Optimizer& optimizer_;
    const Optimizee& optimizee_;
    const TrainFiles& files_;
    int threads_;
    const ProgressSink& progress_;
    Keys keys_;
    std::vector<Stage> stages_;
    std::vector<std::unique_ptr<const Loss>> losses_;  // of the stages
    std::int64_t total_ = 0;

    Parameters kept_;
    TensorSet start_;  // what the training began with
    TrainingOutcome outcome_;
    double evaluations_before_ = 0;  // of what it starts from
    TensorSet gradient_;
    TrainingBatches batches_;
    std::unique_ptr<Estimator> estimator_, imitation_;      // imitation: null if there is none
    std::unique_ptr<MetaOptimizer> meta_, imitation_meta_;  // the same
    std::optional<MetricsLog> log_;
    Cursor cursor_;
    std::optional<Checkpoint> resumed_;
    bool has_checkpoint_ = false;
    std::string last_divergence_;
    Clock::time_point started_, last_checkpoint_;
    double seconds_before_ = 0;
};

}  // namespace l2o::framework
