#include "framework/evaluate/shard_run.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>

#include "framework/cancel.hpp"
#include "framework/error.hpp"

namespace l2o::framework {
namespace {

/// The metrics of answers, without charging anybody.
class Metrics {
  public:
    Metrics(const ShardTask& task, const ProblemData& data) : task_(task), data_(abi_data(data)) {
        outputs_.resize(task.optimizee.metrics().size(), nullptr);
        for (const std::size_t metric : task.metrics) {
            const l2o_spec& spec = *task.optimizee.metrics()[metric];
            values_.emplace_back(dtype_of(spec), shape_of(spec, task.count));
            outputs_[metric] = values_.back().abi();
        }
        call_.reserve_scratch(CallContext::scratch_of(
            task.optimizee.info(), task.count, "optimizee '" + task.optimizee.id() + "'"));
    }

    /// The objective, then the metrics, [metric][row]: NAN where a row has diverged; a ratio has two numbers.
    std::vector<std::vector<double>> of(const Rollout::View& view) {
        if (!values_.empty()) measure(*view.x);
        std::vector<std::vector<double>> rows(1 + values_.size());
        for (std::int64_t row = 0; row < task_.count; ++row) {
            const bool is_lost = (*view.is_lost)[static_cast<std::size_t>(row)];
            rows[0].push_back(is_lost ? NAN : view.f->value(row));
            for (std::size_t i = 0; i < values_.size(); ++i) {
                const std::int64_t width = values_[i].size() / task_.count;
                for (std::int64_t k = row * width; k < (row + 1) * width; ++k)
                    rows[i + 1].push_back(is_lost ? NAN : values_[i].value(k));
            }
        }
        return rows;
    }

  private:
    void measure(const TensorSet& x) {
        l2o_points points{};
        points.batch = static_cast<std::uint32_t>(task_.count);
        points.rows_per_instance = 1;
        points.data = data_.data();
        points.x = x.in();
        points.batch_key[0] = task_.keys.test_steps[0];
        points.batch_key[1] = task_.keys.test_steps[1];
        const auto lock = task_.optimizee.guard();
        call_.check(task_.optimizee.api().metrics(
                        task_.optimizee.raw(),
                        call_.with(task_.keys.test_steps, static_cast<std::uint64_t>(task_.first)),
                        &points,
                        outputs_.data()),
                    task_.optimizee.id());
    }

    const ShardTask& task_;
    std::vector<const l2o_tensor*> data_;
    CallContext call_;
    std::vector<Tensor> values_;
    std::vector<l2o_tensor*> outputs_;
};

/// Adds the time that a scope takes, however it is left.
class Lap {
  public:
    explicit Lap(double& seconds) : seconds_(seconds) {}
    ~Lap() { seconds_ += std::chrono::duration<double>(Clock::now() - begin_).count(); }
    Lap(const Lap&) = delete;
    Lap& operator=(const Lap&) = delete;

  private:
    using Clock = std::chrono::steady_clock;
    double& seconds_;
    const Clock::time_point begin_ = Clock::now();
};

/// What the rows of a shard did, point by point.
class Record {
  public:
    Record(const ShardTask& task, const ProblemData& data, Rollout& rollout)
        : task_(task), rollout_(rollout), metrics_(task, data) {}

    void add(double seconds) {
        const Rollout::View view = rollout_.look(false);
        ShardRecord record = paid(seconds);
        record.due = *view.due;
        record.rows = metrics_.of(view);
        run_.records.insert_or_assign(rollout_.iteration(), std::move(record));
    }
    /// Nothing was measured before a plugin gave up.
    void add_nothing() { run_.records.emplace(0, lost(0)); }
    void give_up(double seconds) { run_.gave_up = lost(seconds); }
    /// @param seconds_after  by steps that were made
    ShardRun take(const std::vector<double>& seconds_after) {
        for (const std::vector<Improvement>& row : rollout_.ledger().improvements()) {
            Staircase& stairs = run_.staircases.emplace_back();
            for (const Improvement& improvement : row) {
                const auto after = static_cast<std::size_t>(improvement.iteration) + 1;
                const double seconds = seconds_after[std::min(after, seconds_after.size() - 1)];
                stairs.push_back({.f = improvement.f,
                                  .reached = {.iteration = improvement.iteration,
                                              .evaluations = improvement.evaluations,
                                              .seconds = seconds / static_cast<double>(task_.count)}});
            }
        }
        run_.safeguarded = rollout_.guarded_steps();
        run_.fallbacks = rollout_.fallbacks();
        return std::move(run_);
    }

  private:
    /// What was paid for so far.
    [[nodiscard]] ShardRecord paid(double seconds) const {
        const Ledger& ledger = rollout_.ledger();
        return {
            .evaluations = ledger.evaluations(),
            .best = ledger.keeps_best() && task_.course.keeps_best ? ledger.best_f() : std::vector<double>{},
            .seconds = seconds,
            .rows = {}};
    }
    /// That, and NAN for what there is to measure.
    [[nodiscard]] ShardRecord lost(double seconds) const {
        const auto rows = static_cast<std::size_t>(task_.count);
        ShardRecord record = paid(seconds);
        record.due.resize(rows);
        record.rows.emplace_back(rows, NAN);
        for (const std::size_t metric : task_.metrics) {
            const Shape shape = shape_of(*task_.optimizee.metrics()[metric], task_.count);
            record.rows.emplace_back(static_cast<std::size_t>(element_count(shape)), NAN);
        }
        return record;
    }

    const ShardTask& task_;
    Rollout& rollout_;
    Metrics metrics_;
    ShardRun run_;
};

}  // namespace

ShardRecord ShardRun::at(std::int64_t iteration) const {
    const auto after = records.upper_bound(iteration);
    const auto& [recorded, record] = *std::prev(after);
    return gave_up && after == records.end() && recorded < iteration ? *gave_up : record;
}

std::vector<std::size_t> computable_metrics(const Optimizee& optimizee, const ProblemData& data) {
    bool has_solutions = true;
    for (std::size_t i = 0; i < data.tensors.size(); ++i)
        has_solutions = has_solutions && (data.tensors[i] || !has(*optimizee.data()[i], L2O_SPEC_SOLUTION));
    std::vector<std::size_t> metrics;
    for (std::size_t i = 0; i < optimizee.metrics().size(); ++i) {
        if (has_solutions || (optimizee.metrics()[i]->flags & L2O_SPEC_NEEDS_SOLUTION) == 0)
            metrics.push_back(i);
    }
    return metrics;
}

ShardRun run_shard(const ShardTask& task) {
    const ProblemData data = slice(task.data, task.optimizee, task.first, task.count);
    Rollout rollout(task.optimizee,
                    data,
                    task.course,
                    task.keys.test_steps,
                    task.keys.test_start,
                    static_cast<std::uint64_t>(task.first));
    Record record(task, data, rollout);
    double seconds = 0;
    std::vector<double> seconds_after;  // by steps that were made
    const auto time = [&](auto&& work) {
        {
            const Lap lap(seconds);
            work();
        }
        seconds_after.resize(static_cast<std::size_t>(rollout.iteration()) + 1);
        seconds_after.back() = seconds;
    };
    std::vector<Tensor> x0;
    for (const Tensor& x : task.x0) x0.push_back(x.rows(task.first, task.count));
    record.add_nothing();
    try {
        time([&] { rollout.start(x0); });
        record.add(0);
        while (!rollout.is_over()) {
            if (cancel_flag().load() != 0)
                throw Error(ExitCode::kInterrupted, "the evaluation of '" + task.name + "' was interrupted");
            time([&] { rollout.step(); });
            if (rollout.iteration() % task.settings.metrics_every == 0 || rollout.is_over())
                record.add(seconds);
            task.iteration_done();
        }
    } catch (const Diverged&) {
        record.give_up(seconds);
        seconds_after.push_back(seconds);
    }
    return record.take(seconds_after);
}

}  // namespace l2o::framework
