#include "framework/train/train.hpp"

#include <l2o/abi/draft/alternates.h>

#include <cmath>

#include "framework/cancel.hpp"
#include "framework/error.hpp"
#include "framework/rollout/start.hpp"
#include "framework/train/back_propagation.hpp"
#include "framework/train/covariance_search.hpp"
#include "framework/train/evolution.hpp"
#include "framework/train/imitation.hpp"
#include "framework/train/shards.hpp"
#include "framework/train/trainer.hpp"
#include "framework/weights/weights.hpp"

namespace l2o::framework {

namespace {

/// Whether every step moves the blocks of one player alone.
bool takes_turns(const Optimizer& optimizer) {
    const l2o_optimizer_info& info = optimizer.info();
    return (info.flags & L2O_OPTIMIZER_TAKES_TURNS_DRAFT1) != 0 ||
           ((info.flags & L2O_OPTIMIZER_ALTERNATES_DRAFT1) != 0 && info.max_questions == 0);
}

}  // namespace

Trainer::Trainer(const TrainTask& task,
                 const Optimizer& optimizer,
                 const Optimizee& optimizee,
                 const TrainFiles& files,
                 int threads,
                 const ProgressSink& progress)
    : task_(task),
      settings_(task.settings),
      optimizer_(optimizer),
      optimizee_(optimizee),
      files_(files),
      threads_(threads),
      progress_(progress),
      keys_(keys_of(task.seed, settings_.seed)),
      stages_(stages_of(settings_, optimizer)),
      batches_(settings_.memory_bytes) {
    bool with_solutions = false;
    for (const Stage& stage : stages_) {
        total_ += stage.epochs * windows_of(stage);
        const PluginChoice& choice = stage.loss ? *stage.loss : settings_.loss;
        const Loss& loss = *losses_.emplace_back(
            std::make_unique<Loss>(choice.entry, choice.resolve(), task_of(optimizee, 0)));
        with_solutions = with_solutions || loss.needs_solution();
        if (loss.scores_turns() && !takes_turns(optimizer))
            throw Error(
                ExitCode::kUsage,
                "train.loss: '" + loss.id() + "' scores steps of one player at a time, and '" +
                    optimizer.id() +
                    "' moves both at once; expected an optimizer such as 'l2o_minmax', or a loss such "
                    "as 'residual_ratio'");
        if (!stage.has_one_window() && !loss.scores_windows()) {
            throw Error(ExitCode::kUsage,
                        "train.unroll is " + std::to_string(stage.unroll) + " and train.horizon " +
                            std::to_string(stage.horizon) + ": loss '" + loss.id() +
                            "' scores no windows of a trajectory; set unroll to the "
                            "horizon, or "
                            "use trajectory_sum");
        }
    }
    for (Stage& stage : stages_) stage.with_solutions = with_solutions;
    if (settings_.instances % settings_.batch != 0) {
        throw Error(ExitCode::kUsage,
                    "train.instances is " + std::to_string(settings_.instances) +
                        "; expected a multiple of train.batch, " + std::to_string(settings_.batch) +
                        ", or 0 for fresh instances in every trajectory");
    }
    if (settings_.estimator == EstimatorKind::kCmaEs) {
        for (const Stage& stage : stages_) CovarianceSearch::check(optimizer, stage);
    } else if (settings_.estimator == EstimatorKind::kBptt) {
        if (optimizer.vjp() == nullptr) {
            throw Error(ExitCode::kPlugin,
                        "optimizer '" + optimizer.id() +
                            "' has no derivative (step_vjp); it cannot be trained by bptt; use "
                            "'estimator es', 'estimator pes' or 'estimator cma_es'");
        }
    } else if (settings_.imitation && optimizer.vjp() == nullptr) {
        throw Error(ExitCode::kPlugin,
                    "optimizer '" + optimizer.id() +
                        "' has no derivative (step_vjp); it cannot learn by imitation; remove "
                        "train.imitation");
    } else if (settings_.pairs < 1 || settings_.batch % settings_.pairs != 0) {
        throw Error(ExitCode::kUsage,
                    "train.evolution.pairs is " + std::to_string(settings_.pairs) +
                        "; expected a divisor of train.batch, " + std::to_string(settings_.batch));
    }
}

TrainResult Trainer::run() try {
    started_ = last_checkpoint_ = Clock::now();
    prepare();
    seconds_before_ = cursor_.seconds;
    for (bool is_last = false; !is_last; ++cursor_.stage)
        is_last = run_stage(stages_[static_cast<std::size_t>(cursor_.stage)]);
    if (log_) log_->sync();
    if (cursor_.meta_steps == 0 && cursor_.skipped > 0) {
        const bool lacks_solutions = cursor_.unsolved > 0;
        if (!lacks_solutions && !has_numbers())
            throw Error(ExitCode::kNumerical,
                        "training of '" + task_.name + "': f of '" + optimizee_.id() +
                            "' is not finite at any start, before the first step: look at the problem ('l2o "
                            "check'), not at who solves it");
        throw Error(ExitCode::kNumerical,
                    "training of '" + task_.name + "': all " + std::to_string(cursor_.skipped) +
                        (lacks_solutions ? " windows taught nothing" : " windows diverged") +
                        (last_divergence_.empty() ? "" : " (" + last_divergence_ + ")") +
                        (lacks_solutions
                             ? "; train with a loss that needs no solution (trajectory_sum), or on problems "
                               "that have one"
                             : "; start with smaller steps (output_scale, learning_rate) or set "
                               "train.clip_norm"));
    }
    outcome_.meta_steps = cursor_.meta_steps;
    outcome_.skipped = cursor_.skipped;
    outcome_.trajectories = cursor_.trajectory;
    outcome_.diverged_trajectories = cursor_.diverged_trajectories;
    outcome_.evaluations = cursor_.evaluations + evaluations_before_;
    TrainResult result{outcome_};
    result.params = std::move(kept_.phi);
    result.seconds = seconds_before_ + seconds_since(started_);
    result.best_validation = cursor_.best_validation;
    result.engine_bytes = cursor_.engine_bytes;
    return result;
} catch (const Error& error) {
    if (error.code() != ExitCode::kInterrupted) throw;
    throw Error(ExitCode::kInterrupted,
                "training of '" + task_.name + "' interrupted, " + error.what() +
                    (has_checkpoint_ ? "; its state is in " + files_.checkpoint.string() : ""));
}

/// At the starts of the first instances.
bool Trainer::has_numbers() const {
    const ProblemData data = optimizee_.sample(
        keys_.train_data, Split::kTrain, first_instance(0, settings_), settings_.batch, false);
    return has_finite_start(
        optimizee_, keys_.train_steps, data, optimizee_.init_point(keys_.train_start, 0, data));
}

void Trainer::prepare() {
    // Starting values may be derived from the data (the Lipschitz constant of A, the mean of |b|): from
    // the first batch.
    const ProblemData data = optimizee_.sample(
        keys_.train_data, Split::kTrain, first_instance(0, settings_), settings_.batch, false);
    if (settings_.warm_start.empty()) {
        kept_.phi = TensorSet(optimizer_.init_params(keys_.init_params, data));
    } else {
        const TensorFile file = read_safetensors(settings_.warm_start);
        kept_.phi = read_weights(file, optimizer_, keys_.init_params, data, &optimizee_);
        const std::optional<TrainingOutcome> before = training_of(file);
        const double seconds = training_seconds(file);
        outcome_.warm_start_seconds = seconds > 0 ? seconds + (before ? before->warm_start_seconds : 0) : NAN;
        evaluations_before_ = before ? before->evaluations : NAN;
        for (const std::string& text : weight_notes(file, task_.builds, optimizer_, optimizee_, data))
            if (files_.note) files_.note(text);
    }
    start_ = clone(kept_.phi);
    kept_.best = clone(kept_.phi);
    kept_.good = clone(kept_.phi);
    if (settings_.average > 0) kept_.mean = clone(kept_.phi);
    cursor_.best_validation = NAN;
    if (files_.resume && std::filesystem::exists(files_.checkpoint)) {
        resumed_ = Checkpoint::read(files_.checkpoint, task_.hash);
        has_checkpoint_ = true;
        resumed_->check_place(stages_, keys_);
        cursor_ = resumed_->cursor;
        resumed_->restore_parameters(optimizer_, kept_);
    }
    if (!files_.metrics.empty()) open_log();
}

void Trainer::open_log() try {
    if (files_.resume)
        log_.emplace(files_.metrics, MetricsLog::Kept{"contestant", task_.name, cursor_.records});
    else
        log_.emplace(files_.metrics);
} catch (const Error& error) {
    if (!resumed_) throw;
    throw Error(error.code(),
                std::string(error.what()) + "; put it back, or remove " + files_.checkpoint.string() +
                    ", and the training begins anew");
}

bool Trainer::run_stage(const Stage& stage) {
    const auto make_meta = [&] {
        return std::make_unique<MetaOptimizer>(
            settings_.meta_optimizer, optimizer_, kept_.phi, stage.rates, threads_);
    };
    meta_ = make_meta();
    gradient_ = gradient_like(optimizer_, kept_.phi, stage.rates);
    const Loss& loss = *losses_[static_cast<std::size_t>(cursor_.stage)];
    const Lesson lesson{optimizer_, optimizee_, loss, kept_.phi, keys_, settings_, stage, batches_, threads_};
    if (settings_.estimator == EstimatorKind::kBptt)
        estimator_ = std::make_unique<BackPropagation>(lesson);
    else if (settings_.estimator == EstimatorKind::kCmaEs)
        estimator_ = std::make_unique<CovarianceSearch>(lesson);
    else
        estimator_ = std::make_unique<Evolution>(lesson);
    imitation_.reset();
    imitation_meta_.reset();
    if (stage.imitation > 0) {
        imitation_ = std::make_unique<Imitation>(lesson);
        imitation_meta_ = make_meta();
    }
    std::optional<Validation> validation;
    if (settings_.validate_every > 0)
        validation.emplace(lesson, settings_.validate_instances, settings_.validate_instances);
    if (resumed_) {
        resumed_->restore_meta({*meta_, imitation_meta_.get()});
        const auto index = static_cast<std::uint64_t>(cursor_.trajectory);
        for (Estimator* estimator : {estimator_.get(), imitation_.get()}) {
            if (estimator != nullptr)
                estimator->restore(resumed_->file, index, estimator == &current() ? cursor_.t : 0);
        }
        resumed_.reset();
    } else {
        cursor_.epoch = cursor_.t = 0;
        cursor_.best_validation = NAN;
        cursor_.stale = cursor_.validations = 0;
        cursor_.improved = false;
        cursor_.is_finite = true;
        cursor_.skipped_since_step = 0;
        kept_.best.copy_from(kept_.phi);
        if (!kept_.mean.empty()) kept_.mean.copy_from(kept_.phi);
        if (validation) validate(*validation);
        // A first checkpoint before the first record: a training that has begun can be interrupted.
        if (cursor_.stage == 0) save();
    }
    while (cursor_.epoch < stage.epochs && !is_stale()) {
        if (cursor_.t == 0) start();
        const bool goes_on = run_window(stage);
        cursor_.engine_bytes = std::max(cursor_.engine_bytes, current().bytes());
        if (!goes_on || cursor_.t >= horizon(stage)) {
            end_trajectory(stage, goes_on, validation ? &*validation : nullptr);
        }
        save_if_due(stage);
    }
    total_ -= (stage.epochs - cursor_.epoch) * windows_of(stage);
    // A curriculum ends where a stage has taught nothing.
    const bool is_last = cursor_.stage + 1 == static_cast<std::int64_t>(stages_.size()) ||
                         (settings_.schedule == Schedule::kCurriculum && is_stale() && !cursor_.improved);
    const double paid = validation ? validation->paid() : 0;
    try {
        const TensorSet& kept = end_stage(lesson, validation, is_last);
        if (validation) cursor_.evaluations += validation->paid() - paid;
        if (&kept != &kept_.phi) kept_.phi.copy_from(kept);
    } catch (const Error& error) {
        // A long solve saw the interruption; the end of the stage is reached again.
        if (error.code() == ExitCode::kInterrupted) save();
        throw;
    }
    return is_last;
}

bool Trainer::is_stale() const {
    if (settings_.schedule == Schedule::kCurriculum)
        return cursor_.validations >= settings_.patience && cursor_.stale > 0;
    return settings_.patience > 0 && cursor_.stale >= settings_.patience;
}

std::int64_t Trainer::windows_of(const Stage& stage) {
    return (stage.horizon + stage.unroll - 1) / stage.unroll;
}

void Trainer::save() {
    if (files_.checkpoint.empty()) return;
    if (log_) log_->sync();
    cursor_.seconds = seconds_before_ + seconds_since(started_);
    TensorRefs carried = estimator_->carried(imitates() ? 0 : cursor_.t);
    if (imitates()) carried.merge(imitation_->carried(cursor_.t));
    write_checkpoint(files_.checkpoint,
                     task_.hash,
                     cursor_,
                     optimizer_,
                     kept_,
                     {*meta_, imitation_meta_.get()},
                     std::move(carried));
    last_checkpoint_ = Clock::now();
    has_checkpoint_ = true;
}

void Trainer::save_if_due(const Stage& stage) {
    const bool interrupted = cancel_flag() != 0;
    if (interrupted || seconds_since(last_checkpoint_) >= settings_.checkpoint_every_s) save();
    if (interrupted) {
        throw Error(ExitCode::kInterrupted,
                    "at epoch " + std::to_string(cursor_.epoch) + " of " + std::to_string(stage.epochs) +
                        (stages_.size() > 1 ? " (" + stage.name + ")" : ""));
    }
}

void Trainer::report(double loss) const {
    if (!progress_) return;
    progress_({.what = "training " + task_.name,
               .done = cursor_.meta_steps + cursor_.skipped,
               .total = total_,
               .loss = loss});
}

void check_training(const TrainTask& task, const Optimizer& optimizer, const Optimizee& optimizee) {
    const TrainFiles files;
    const ProgressSink progress;
    const Trainer suits(task, optimizer, optimizee, files, 1, progress);
}

TrainResult train(const TrainTask& task,
                  const Optimizer& optimizer,
                  const Optimizee& optimizee,
                  const TrainFiles& files,
                  int threads,
                  const ProgressSink& progress) {
    try {
        return Trainer(task, optimizer, optimizee, files, threads, progress).run();
    } catch (const Diverged& diverged) {
        // Not in a window: drawing the problems, or starting.
        throw Error(ExitCode::kNumerical, "training of '" + task.name + "': " + diverged.text);
    }
}

}  // namespace l2o::framework
