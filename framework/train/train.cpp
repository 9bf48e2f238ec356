#include "framework/train/train.hpp"

#include <chrono>
#include <cmath>
#include <l2o/numerics/philox.hpp>
#include <l2o/numerics/sum.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "framework/error.hpp"
#include "framework/experiment/weights.hpp"
#include "framework/store/metrics_log.hpp"
#include "framework/train/back_propagation.hpp"
#include "framework/train/checkpoint.hpp"
#include "framework/train/evolution.hpp"
#include "framework/train/imitation.hpp"
#include "framework/train/meta_optimizer.hpp"
#include "framework/train/shards.hpp"
#include "framework/train/stages.hpp"
#include "framework/train/training_batches.hpp"
#include "framework/train/validation.hpp"
#include "framework/unroll/arithmetic.hpp"

namespace l2o::framework {
namespace {

constexpr std::uint64_t kImitationTag = 0x696d6974;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Euclidean norm over all tensors.
double norm_of(const TensorSet& gradient) {
    double sum = 0;
    for (const Tensor& tensor : gradient.tensors()) {
        if (!tensor) continue;
        with_values(
            [&](auto values) {
                sum += numerics::sum_over(values.size(), [values](std::size_t i) {
                    return static_cast<double>(values[i]) * static_cast<double>(values[i]);
                });
            },
            tensor);
    }
    return std::sqrt(sum);
}

void scale(Tensor& tensor, double factor) {
    if (!tensor) return;
    with_values(
        [factor](auto values) {
            using T = typename decltype(values)::value_type;
            for (auto& value : values) value *= static_cast<T>(factor);
        },
        tensor);
}

/// One training, from its first trajectory or from a checkpoint to its last.
class Trainer {
  public:
    Trainer(const Experiment& experiment,
            const Contestant& contestant,
            const Optimizer& optimizer,
            const Optimizee& optimizee,
            const TrainFiles& files,
            int threads,
            const ProgressSink& progress)
        : contestant_(contestant),
          settings_(*contestant.train),
          optimizer_(optimizer),
          optimizee_(optimizee),
          files_(files),
          threads_(threads),
          progress_(progress),
          keys_(keys_of(experiment.seed)),
          stages_(stages_of(settings_, optimizer)),
          batches_(settings_.memory_bytes) {
        bool with_solutions = false;
        for (const Stage& stage : stages_) {
            total_ += stage.epochs * windows_of(stage);
            const PluginChoice& choice = stage.loss ? *stage.loss : settings_.loss;
            const Loss& loss =
                *losses_.emplace_back(std::make_unique<Loss>(choice.entry, choice.resolve(), optimizee));
            with_solutions = with_solutions || loss.needs_solution();
            if (!stage.has_one_window() && !loss.additive()) {
                throw Error(ExitCode::kUsage,
                            "train.unroll is " + std::to_string(stage.unroll) + " and train.horizon " +
                                std::to_string(stage.horizon) + ": loss '" + loss.id() +
                                "' is not a sum over time, so windows cannot be scored; set unroll to the "
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
        if (settings_.estimator == EstimatorKind::kBptt) {
            if (optimizer.vjp() == nullptr) {
                throw Error(ExitCode::kPlugin,
                            "optimizer '" + optimizer.id() +
                                "' has no derivative (step_vjp); it cannot be trained by bptt; use "
                                "'estimator es' or 'estimator pes'");
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

    TrainResult run() try {
        started_ = last_checkpoint_ = Clock::now();
        prepare();
        seconds_before_ = cursor_.seconds;
        for (bool is_last = false; !is_last; ++cursor_.stage)
            is_last = run_stage(stages_[static_cast<std::size_t>(cursor_.stage)]);
        if (log_) log_->sync();
        if (cursor_.meta_steps == 0 && cursor_.skipped > 0) {
            throw Error(
                ExitCode::kNumerical,
                "training of '" + contestant_.name + "': all " + std::to_string(cursor_.skipped) +
                    " windows diverged" + (last_divergence_.empty() ? "" : " (" + last_divergence_ + ")") +
                    "; start with smaller steps (output_scale, learning_rate) or set train.clip_norm");
        }
        outcome_.meta_steps = cursor_.meta_steps;
        outcome_.skipped = cursor_.skipped;
        outcome_.trajectories = cursor_.trajectory;
        outcome_.diverged_trajectories = cursor_.diverged_trajectories;
        TrainResult result{outcome_};
        result.params = std::move(kept_.phi);
        result.seconds = seconds_before_ + seconds_since(started_);
        result.best_validation = cursor_.best_validation;
        result.engine_bytes = cursor_.engine_bytes;
        return result;
    } catch (const Error& error) {
        if (error.code() != ExitCode::kInterrupted) throw;
        throw Error(ExitCode::kInterrupted,
                    "training of '" + contestant_.name + "' interrupted, " + error.what() +
                        (has_checkpoint_ ? "; its state is in " + files_.checkpoint.string() : ""));
    }

  private:
    void prepare() {
        // Starting values may be derived from the data (the Lipschitz constant of A, the mean of |b|): from
        // the first batch.
        const ProblemData data =
            optimizee_.sample(keys_.train_data, Split::kTrain, 0, settings_.batch, false);
        if (settings_.warm_start.empty()) {
            kept_.phi = TensorSet(optimizer_.init_params(keys_.init_params, data));
        } else {
            const TensorFile file = read_safetensors(settings_.warm_start);
            kept_.phi = read_weights(file, optimizer_, keys_.init_params, data, &optimizee_);
            for (const std::string& text : weight_notes(file, optimizer_, optimizee_, data))
                if (files_.note) files_.note(text);
        }
        start_ = clone(kept_.phi);
        kept_.best = clone(kept_.phi);
        kept_.good = clone(kept_.phi);
        if (settings_.average > 0) kept_.mean = clone(kept_.phi);
        cursor_.best_validation = NAN;
        if (files_.resume && std::filesystem::exists(files_.checkpoint)) {
            resumed_ = Checkpoint::read(files_.checkpoint, contestant_.hash);
            has_checkpoint_ = true;
            resumed_->check_place(stages_, keys_);
            cursor_ = resumed_->cursor;
            resumed_->restore_parameters(optimizer_, kept_);
        }
        if (!files_.metrics.empty()) open_log();
    }

    /// What a training that begins anew in a folder, or from an earlier checkpoint, recorded before goes.
    void open_log() try {
        if (files_.resume)
            log_.emplace(files_.metrics, MetricsLog::Kept{"contestant", contestant_.name, cursor_.records});
        else
            log_.emplace(files_.metrics);
    } catch (const Error& error) {
        if (!resumed_) throw;
        throw Error(error.code(),
                    std::string(error.what()) + "; put it back, or remove " + files_.checkpoint.string() +
                        ", and the training begins anew");
    }

    /// @return whether it was the last one.
    bool run_stage(const Stage& stage) {
        meta_ = std::make_unique<MetaOptimizer>(settings_.meta_optimizer, optimizer_, kept_.phi, stage.rates);
        gradient_ = gradient_like(optimizer_, kept_.phi, stage.rates);
        const Loss& loss = *losses_[static_cast<std::size_t>(cursor_.stage)];
        const Lesson lesson{
            optimizer_, optimizee_, loss, kept_.phi, keys_, settings_, stage, batches_, threads_};
        if (settings_.estimator == EstimatorKind::kBptt)
            estimator_ = std::make_unique<BackPropagation>(lesson);
        else
            estimator_ = std::make_unique<Evolution>(lesson);
        imitation_.reset();
        imitation_meta_.reset();
        if (stage.imitation > 0) {
            imitation_ = std::make_unique<Imitation>(lesson);
            imitation_meta_ =
                std::make_unique<MetaOptimizer>(settings_.meta_optimizer, optimizer_, kept_.phi, stage.rates);
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
        try {
            const TensorSet& kept = end_stage(lesson, validation, is_last);
            if (&kept != &kept_.phi) kept_.phi.copy_from(kept);
        } catch (const Error& error) {
            // A long solve saw the interruption; the end of the stage is reached again.
            if (error.code() == ExitCode::kInterrupted) save();
            throw;
        }
        return is_last;
    }

    /// What a stage has come to.
    [[nodiscard]] TensorSet& last() { return kept_.mean.empty() ? kept_.phi : kept_.mean; }

    /// Parameters from before the last ones were ruined; null if they are not.
    const TensorSet* before_ruin(Validation& validation, const Validation::Score& score) {
        if (std::isfinite(score.loss)) return nullptr;
        const Validation::Score good = validation.score(kept_.good);
        // Instances that all parameters diverge on say nothing about the last ones.
        if (std::isfinite(good.loss) || (score.most_diverged() && !good.most_diverged())) return &kept_.good;
        const bool is_late = score.most_diverged() && !validation.score(kept_.best).most_diverged();
        return is_late ? &kept_.best : nullptr;
    }

    /// That the last windows diverged, or most of all, tells of ruined parameters even where validation
    /// instances do not.
    [[nodiscard]] bool windows_diverge() const {
        constexpr std::int64_t kInARow = 2;  // chosen: a single one may be its instances' doing
        return cursor_.skipped_since_step >= kInARow || cursor_.skipped > cursor_.meta_steps;
    }

    /// Instead of parameters that gained nothing, where windows diverge; null if they did gain.
    const TensorSet* before_divergence(Validation& validation, const TensorSet& kept) {
        const std::vector<double> start = validation.score(start_).rows;
        const auto has_gained = [&](const TensorSet& params) {
            const Gain gain = gain_of(start, validation.score(params).rows);
            return gain.is_measured() ? gain.is_better() : gain.loss < gain.start_loss;
        };
        if (has_gained(kept)) return nullptr;
        for (const TensorSet* earlier : {&kept_.good, &kept_.best})
            if (has_gained(*earlier)) return earlier;
        return &start_;
    }

    /// Chooses what the stage ends with; at the end of the last one also finds out what the training came to.
    const TensorSet& end_stage(const Lesson& lesson, std::optional<Validation>& validation, bool is_last) {
        const bool is_validated = validation.has_value();
        const TensorSet *kept = &last(), *before = nullptr;
        std::optional<Validation::Score> score;  // of what is kept
        // Before the last stage only if something is wrong: what is found out too late is still in `good`.
        const bool is_looked_at =
            is_validated ? !cursor_.is_finite : is_last || cursor_.skipped_since_step > 0;
        if (is_looked_at && (is_validated || start_comparison(lesson, validation))) {
            score = validation->score(*kept);
            before = before_ruin(*validation, *score);
        } else if (!validation && cursor_.skipped_since_step > 0) {
            before = &kept_.good;
        }
        if (is_validated && settings_.restore)
            kept = &kept_.best;
        else if (before != nullptr)
            kept = before;
        if (before == nullptr && validation && windows_diverge()) {
            before = before_divergence(*validation, *kept);
            if (before != nullptr) kept = before;
        }
        if (validation && kept != &kept_.good) kept_.good.copy_from(*kept);
        if (!is_last) return *kept;
        outcome_.diverged = before != nullptr;
        if (!validation) return *kept;
        if (!score || kept != &last()) score = validation->score(*kept);
        outcome_.gain = gain_of(validation->score(start_).rows, score->rows);
        if (!outcome_.gain->is_measured())
            outcome_.unmeasured = "one validation instance; expected 2 or more";
        return *kept;
    }

    /// For a training that does not validate. @return false if there is nothing to compare on.
    bool start_comparison(const Lesson& lesson, std::optional<Validation>& validation) {
        outcome_.unmeasured.clear();  // of an earlier stage
        const std::int64_t instances = instances_to_compare(settings_, stages_, optimizee_);
        if (instances == 0) {
            outcome_.unmeasured = "it would take longer than the training may; set train.validate";
            return false;
        }
        try {
            validation.emplace(lesson, instances, std::min(instances, settings_.batch));
            return true;
        } catch (const Error& error) {
            if (error.code() == ExitCode::kInterrupted) throw;
            outcome_.unmeasured = error.what();  // data without instances for it, for one
        } catch (const Diverged& diverged) {
            outcome_.unmeasured = diverged.text;
        }
        return false;
    }

    /// Whether the trajectory in hand is one of imitation.
    [[nodiscard]] bool imitates() const {
        if (!imitation_) return false;
        const Key key = numerics::derive_key(
            keys_.train_steps, kImitationTag, static_cast<std::uint64_t>(cursor_.trajectory));
        return numerics::Stream(key, 0).uniform() <
               stages_[static_cast<std::size_t>(cursor_.stage)].imitation;
    }
    [[nodiscard]] Estimator& current() { return imitates() ? *imitation_ : *estimator_; }

    [[nodiscard]] bool is_stale() const {
        if (settings_.schedule == Schedule::kCurriculum)
            return cursor_.validations >= settings_.patience && cursor_.stale > 0;
        return settings_.patience > 0 && cursor_.stale >= settings_.patience;
    }

    /// Of the trajectory in hand.
    [[nodiscard]] std::int64_t horizon(const Stage& stage) const {
        return stage.horizon_of(keys_, static_cast<std::uint64_t>(cursor_.trajectory));
    }

    /// Of a trajectory; where lengths are drawn, of the longest ones.
    static std::int64_t windows_of(const Stage& stage) {
        return (stage.horizon + stage.unroll - 1) / stage.unroll;
    }

    void start() try {
        cursor_.t = current().start(static_cast<std::uint64_t>(cursor_.trajectory));
    } catch (const Error& error) {
        // A long solve saw the interruption. Between two trajectories nothing is lost.
        if (error.code() == ExitCode::kInterrupted && cursor_.t == 0) save();
        throw;
    }

    /// @return false if the trajectory diverged and is abandoned.
    bool run_window(const Stage& stage) {
        const std::int64_t n =
            std::min(stage.unroll_of(keys_, static_cast<std::uint64_t>(cursor_.trajectory), cursor_.t),
                     horizon(stage) - cursor_.t);
        const double cot = settings_.mean ? 1.0 / static_cast<double>(settings_.batch) : 1.0;
        const Unroll::Window window = current().window(cursor_.t, n, cot, gradient_);
        for (std::size_t i = 0; i < stage.gradient_factors.size(); ++i) {
            if (gradient_[i] && stage.gradient_factors[i] != 1)
                scale(gradient_[i], stage.gradient_factors[i]);
        }
        const double norm = window.is_finite ? norm_of(gradient_) : NAN;
        if (!std::isfinite(norm)) return skip(window.diverged);
        if (settings_.clip_norm > 0 && norm > settings_.clip_norm) {
            for (Tensor& tensor : gradient_.tensors()) scale(tensor, settings_.clip_norm / norm);
        }
        std::vector<double> rates = stage.rates;
        for (double& rate : rates) rate *= stage.decayed(cursor_.epoch);
        remember(rates);
        try {
            (imitates() ? *imitation_meta_ : *meta_).step(gradient_, rates);
        } catch (const Diverged& diverged) {
            return skip(diverged.text);
        }
        if (!kept_.mean.empty()) average(rates);
        ++cursor_.meta_steps;
        ++cursor_.windows;
        cursor_.skipped_since_step = 0;
        cursor_.t += n;
        cursor_.loss += window.loss / static_cast<double>(settings_.batch);
        cursor_.gradient_norm = std::max(cursor_.gradient_norm, norm);
        report(window.loss / static_cast<double>(settings_.batch));
        return true;
    }

    /// A window has taught nothing.
    bool skip(const std::string& why) {
        ++cursor_.skipped;
        ++cursor_.skipped_since_step;
        last_divergence_ = why;
        report(NAN);
        return false;
    }

    /// Parameters that a window was finite with.
    void remember(std::span<const double> rates) {
        // Those of an earlier stage are all replaced.
        const bool is_first = meta_->t() == 0 && (!imitation_meta_ || imitation_meta_->t() == 0);
        for (std::size_t i = 0; i < kept_.good.size(); ++i) {
            if (is_first || (gradient_[i] && rates[i] != 0)) copy_values(kept_.good[i], last()[i]);
        }
    }

    void end_trajectory(const Stage& stage, bool is_finite, Validation* validation) {
        if (cursor_.windows == 0) cursor_.loss = cursor_.gradient_norm = NAN;
        // Of a trajectory that was given up the finite windows stand for the others.
        if (!is_finite && cursor_.windows > 0)
            cursor_.loss *= static_cast<double>(horizon(stage)) / static_cast<double>(cursor_.t);
        nlohmann::json record{{"contestant", contestant_.name},
                              {"stage", stage.name},
                              {"epoch", cursor_.epoch},
                              {"steps", cursor_.t},
                              {"loss", cursor_.loss},
                              {"gradient_norm", cursor_.gradient_norm},
                              {"skipped", cursor_.skipped},
                              {"engine_bytes", cursor_.engine_bytes},
                              {"seconds", seconds_before_ + seconds_since(started_)}};
        if (!is_finite) {
            record["diverged"] = true;
            ++cursor_.diverged_trajectories;
        }
        if (imitation_) record["imitation"] = imitates();
        if (stage.unroll_from > 0) {
            std::int64_t windows = 0;
            const auto index = static_cast<std::uint64_t>(cursor_.trajectory);
            for (std::int64_t t = 0; t < cursor_.t; t += stage.unroll_of(keys_, index, t)) ++windows;
            record["windows"] = windows;
        }
        ++cursor_.epoch;
        ++cursor_.trajectory;
        cursor_.t = cursor_.windows = 0;
        cursor_.loss = cursor_.gradient_norm = 0;
        if (validation != nullptr &&
            (cursor_.epoch % settings_.validate_every == 0 || cursor_.epoch == stage.epochs)) {
            record["validation"] = validate(*validation);
            ++cursor_.validations;
            cursor_.improved = cursor_.improved || cursor_.stale == 0;
        }
        if (log_) {
            log_->append(record);
            ++cursor_.records;
        }
    }

    /// mean += (1 - average) (phi - mean) of what the stage trains.
    void average(std::span<const double> rates) {
        for (std::size_t i = 0; i < kept_.mean.size(); ++i) {
            if (!gradient_[i] || rates[i] == 0) continue;
            with_values(
                [&](auto mean, auto phi) {
                    using T = typename decltype(phi)::value_type;
                    const T share = static_cast<T>(1 - settings_.average);
                    for (std::size_t j = 0; j < phi.size(); ++j) mean[j] += share * (phi[j] - mean[j]);
                },
                kept_.mean[i],
                kept_.phi[i]);
        }
    }

    double validate(Validation& validation) {
        const Validation::Score score = validation.score(last());
        cursor_.is_finite = std::isfinite(score.loss);
        if (cursor_.is_finite && !(score.loss >= cursor_.best_validation)) {
            cursor_.best_validation = score.loss;
            cursor_.stale = 0;
            kept_.best.copy_from(last());
        } else {
            ++cursor_.stale;
        }
        return score.loss;
    }

    void save() {
        if (files_.checkpoint.empty()) return;
        if (log_) log_->sync();
        cursor_.seconds = seconds_before_ + seconds_since(started_);
        TensorRefs carried = estimator_->carried(imitates() ? 0 : cursor_.t);
        if (imitates()) carried.merge(imitation_->carried(cursor_.t));
        write_checkpoint(files_.checkpoint,
                         contestant_.hash,
                         cursor_,
                         optimizer_,
                         kept_,
                         {*meta_, imitation_meta_.get()},
                         std::move(carried));
        last_checkpoint_ = Clock::now();
        has_checkpoint_ = true;
    }

    void save_if_due(const Stage& stage) {
        const bool interrupted = CallContext::cancel_flag() != 0;
        if (interrupted || seconds_since(last_checkpoint_) >= settings_.checkpoint_every_s) save();
        if (interrupted) {
            throw Error(ExitCode::kInterrupted,
                        "at epoch " + std::to_string(cursor_.epoch) + " of " + std::to_string(stage.epochs) +
                            (stages_.size() > 1 ? " (" + stage.name + ")" : ""));
        }
    }

    void report(double loss) const {
        if (!progress_) return;
        progress_({.what = "training " + contestant_.name,
                   .done = cursor_.meta_steps + cursor_.skipped,
                   .total = total_,
                   .loss = loss});
    }

    const Contestant& contestant_;
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

}  // namespace

TrainResult train(const Experiment& experiment,
                  const Contestant& contestant,
                  const Optimizer& optimizer,
                  const Optimizee& optimizee,
                  const TrainFiles& files,
                  int threads,
                  const ProgressSink& progress) {
    try {
        return Trainer(experiment, contestant, optimizer, optimizee, files, threads, progress).run();
    } catch (const Diverged& diverged) {
        // Not in a window: drawing the problems, or starting.
        throw Error(ExitCode::kNumerical, "training of '" + contestant.name + "': " + diverged.text);
    }
}

}  // namespace l2o::framework
