#include "framework/train/train.hpp"

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "framework/error.hpp"
#include "framework/store/metrics_log.hpp"
#include "framework/train/checkpoint.hpp"
#include "framework/train/meta_optimizer.hpp"
#include "framework/train/shards.hpp"
#include "framework/train/stages.hpp"
#include "framework/unroll/arithmetic.hpp"

namespace l2o::framework {
namespace {

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
                for (const auto value : values)
                    sum += static_cast<double>(value) * static_cast<double>(value);
            },
            tensor);
    }
    return std::sqrt(sum);
}

void scale(TensorSet& gradient, double factor) {
    for (Tensor& tensor : gradient.tensors()) {
        if (!tensor) continue;
        with_values(
            [factor](auto values) {
                using T = typename decltype(values)::value_type;
                for (auto& value : values) value *= static_cast<T>(factor);
            },
            tensor);
    }
}

TensorSet clone(const TensorSet& set) {
    std::vector<Tensor> tensors;
    for (const Tensor& tensor : set.tensors()) tensors.push_back(tensor.clone());
    return TensorSet(std::move(tensors));
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
          loss_(settings_.loss.entry, settings_.loss.resolve(), optimizee),
          stages_(stages_of(settings_, optimizer)) {
        for (const Stage& stage : stages_) {
            total_ += stage.epochs * ((stage.horizon + stage.unroll - 1) / stage.unroll);
            if (stage.unroll < stage.horizon && !loss_.additive()) {
                throw Error(ExitCode::kUsage,
                            "train.unroll is " + std::to_string(stage.unroll) + " and train.horizon " +
                                std::to_string(stage.horizon) + ": loss '" + loss_.id() +
                                "' is not a sum over time, so windows cannot be scored; set unroll to the "
                                "horizon, or "
                                "use trajectory_sum");
            }
        }
        if (settings_.instances % settings_.batch != 0) {
            throw Error(ExitCode::kUsage,
                        "train.instances is " + std::to_string(settings_.instances) +
                            "; expected a multiple of train.batch, " + std::to_string(settings_.batch) +
                            ", or 0 for fresh instances in every trajectory");
        }
        if (optimizer.vjp() == nullptr) {
            throw Error(ExitCode::kPlugin,
                        "optimizer '" + optimizer.id() +
                            "' has no derivative (step_vjp); it cannot be trained by bptt");
        }
    }

    TrainResult run() try {
        started_ = last_checkpoint_ = Clock::now();
        prepare();
        seconds_before_ = cursor_.seconds;
        for (; cursor_.stage < static_cast<std::int64_t>(stages_.size()); ++cursor_.stage) {
            run_stage(stages_[static_cast<std::size_t>(cursor_.stage)]);
        }
        if (log_) log_->sync();
        if (cursor_.meta_steps == 0 && cursor_.skipped > 0) {
            throw Error(
                ExitCode::kNumerical,
                "training of '" + contestant_.name + "': all " + std::to_string(cursor_.skipped) +
                    " windows diverged" + (last_divergence_.empty() ? "" : " (" + last_divergence_ + ")") +
                    "; start with smaller steps (output_scale, learning_rate) or set train.clip_norm");
        }
        return {.params = std::move(phi_),
                .meta_steps = cursor_.meta_steps,
                .skipped = cursor_.skipped,
                .seconds = seconds_before_ + seconds_since(started_),
                .best_validation = cursor_.best_validation,
                .engine_bytes = cursor_.engine_bytes};
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
        phi_ = TensorSet(optimizer_.init_params(keys_.init_params, data));
        best_ = clone(phi_);
        gradient_ = gradient_like(optimizer_, phi_);
        cursor_.best_validation = NAN;
        if (files_.resume && std::filesystem::exists(files_.checkpoint)) {
            resumed_ = Checkpoint::read(files_.checkpoint, contestant_.hash);
            has_checkpoint_ = true;
            cursor_ = resumed_->cursor;
            resumed_->restore_parameters(optimizer_, phi_, best_);
        }
        if (!files_.metrics.empty()) {
            log_.emplace(files_.metrics, resumed_ ? std::optional(cursor_.metrics_offset) : std::nullopt);
        }
        meta_ = std::make_unique<MetaOptimizer>(settings_.meta_optimizer, optimizer_, phi_);
    }

    void run_stage(const Stage& stage) {
        Shards shards(optimizer_,
                      optimizee_,
                      loss_,
                      phi_,
                      keys_,
                      {.split = Split::kTrain,
                       .batch = settings_.batch,
                       .shard_rows = settings_.shard_rows,
                       .unroll = {.second_order = settings_.second_order,
                                  .horizon = stage.horizon,
                                  .memory_bytes = settings_.memory_bytes}},
                      threads_);
        std::optional<Shards> validation;
        if (settings_.validate_every > 0) {
            validation.emplace(optimizer_,
                               optimizee_,
                               loss_,
                               phi_,
                               keys_,
                               Shards::Options{.split = Split::kValidation,
                                               .batch = settings_.validate_instances,
                                               .shard_rows = settings_.shard_rows,
                                               .unroll = {.horizon = stage.horizon}},
                               threads_);
        }
        if (resumed_) {
            if (cursor_.t > 0) start(shards);
            resumed_->restore_trajectory(*meta_, shards);
            resumed_.reset();
        } else {
            meta_->reset();
            cursor_.epoch = cursor_.t = 0;
            cursor_.best_validation = NAN;
            if (validation) validate(stage, *validation);
            // A first checkpoint before the first record: it knows where the records of this training begin.
            if (cursor_.stage == 0) save(shards);
        }
        while (cursor_.epoch < stage.epochs) {
            if (cursor_.t == 0) start(shards);
            const bool goes_on = run_window(stage, shards);
            cursor_.engine_bytes = std::max(cursor_.engine_bytes, shards.bytes());
            if (!goes_on || cursor_.t >= stage.horizon) {
                end_trajectory(stage, validation ? &*validation : nullptr);
            }
            save_if_due(stage, shards);
        }
        if (validation) phi_.copy_from(best_);
    }

    void start(Shards& shards) try {
        const auto index = static_cast<std::uint64_t>(cursor_.trajectory);
        std::uint64_t first = index * static_cast<std::uint64_t>(settings_.batch);
        if (settings_.instances > 0) {
            first %= static_cast<std::uint64_t>(settings_.instances);
        }
        shards.start(index, first);
    } catch (const Error& error) {
        // A long solve saw the interruption. Between two trajectories nothing is lost.
        if (error.code() == ExitCode::kInterrupted && cursor_.t == 0) save(shards);
        throw;
    }

    /// @return false if the trajectory diverged and is abandoned.
    bool run_window(const Stage& stage, Shards& shards) {
        const std::int64_t n = std::min(stage.unroll, stage.horizon - cursor_.t);
        const double cot = settings_.mean ? 1.0 / static_cast<double>(settings_.batch) : 1.0;
        const Unroll::Window window = shards.window(n, cot, gradient_, stage.first_reverse);
        // What is frozen counts neither for clipping nor for the meta-optimizer.
        for (std::size_t i = 0; i < gradient_.size(); ++i) {
            if (gradient_[i] && stage.rates[i] == 0) gradient_[i].zero();
        }
        const double norm = window.is_finite ? norm_of(gradient_) : NAN;
        if (!std::isfinite(norm)) {
            ++cursor_.skipped;
            last_divergence_ = window.diverged;
            report(NAN);
            return false;
        }
        if (settings_.clip_norm > 0 && norm > settings_.clip_norm)
            scale(gradient_, settings_.clip_norm / norm);
        meta_->step(gradient_, stage.rates);
        ++cursor_.meta_steps;
        cursor_.t += n;
        cursor_.loss += window.loss / static_cast<double>(settings_.batch);
        cursor_.gradient_norm = std::max(cursor_.gradient_norm, norm);
        report(window.loss / static_cast<double>(settings_.batch));
        return true;
    }

    void end_trajectory(const Stage& stage, Shards* validation) {
        nlohmann::json record{{"contestant", contestant_.name},
                              {"stage", stage.name},
                              {"epoch", cursor_.epoch},
                              {"steps", cursor_.t},
                              {"loss", cursor_.loss},
                              {"gradient_norm", cursor_.gradient_norm},
                              {"skipped", cursor_.skipped},
                              {"engine_bytes", cursor_.engine_bytes},
                              {"seconds", seconds_before_ + seconds_since(started_)}};
        ++cursor_.epoch;
        ++cursor_.trajectory;
        cursor_.t = 0;
        cursor_.loss = cursor_.gradient_norm = 0;
        if (validation != nullptr &&
            (cursor_.epoch % settings_.validate_every == 0 || cursor_.epoch == stage.epochs)) {
            record["validation"] = validate(stage, *validation);
        }
        if (log_) log_->append(record);
    }

    double validate(const Stage& stage, Shards& validation) {
        validation.start(0, 0);
        const Unroll::Window window = validation.score(stage.horizon);
        const double value = window.loss / static_cast<double>(settings_.validate_instances);
        if (window.is_finite && !(value >= cursor_.best_validation)) {
            cursor_.best_validation = value;
            best_.copy_from(phi_);
        }
        return value;
    }

    void save(const Shards& shards) {
        if (files_.checkpoint.empty()) return;
        if (log_) {
            log_->sync();
            cursor_.metrics_offset = log_->offset();
        }
        cursor_.seconds = seconds_before_ + seconds_since(started_);
        write_checkpoint(
            files_.checkpoint, contestant_.hash, cursor_, optimizer_, phi_, best_, *meta_, shards);
        last_checkpoint_ = Clock::now();
        has_checkpoint_ = true;
    }

    void save_if_due(const Stage& stage, const Shards& shards) {
        const bool interrupted = CallContext::cancel_flag() != 0;
        if (interrupted || seconds_since(last_checkpoint_) >= settings_.checkpoint_every_s) save(shards);
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
    Loss loss_;
    std::vector<Stage> stages_;
    std::int64_t total_ = 0;

    TensorSet phi_, best_, gradient_;
    std::unique_ptr<MetaOptimizer> meta_;
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
        // Not in a window: drawing the problems, starting, or the meta-optimizer.
        throw Error(ExitCode::kNumerical, "training of '" + contestant.name + "': " + diverged.text);
    }
}

}  // namespace l2o::framework
