#include "framework/evaluate/shard_run.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>

#include "framework/error.hpp"
#include "framework/safeguard/safe_steps.hpp"
#include "framework/unroll/arithmetic.hpp"
#include "framework/unroll/start.hpp"

namespace l2o::framework {
namespace {

/// Looks at points without charging the optimizer for it.
class Recorder {
  public:
    Recorder(const ShardTask& task, const ProblemData& data, Stepper& stepper)
        : task_(task),
          stepper_(stepper),
          seen_(stepper.layout(), {.f = true, .state = false}),
          data_(abi_data(data)),
          outputs_(task.optimizee.metrics().size(), nullptr) {
        for (const std::size_t metric : task.metrics) {
            const l2o_spec& spec = *task.optimizee.metrics()[metric];
            values_.emplace_back(dtype_of(spec), shape_of(spec, stepper.layout().rows));
            outputs_[metric] = values_.back().abi();
        }
    }

    /// The objective, then the metrics; of a population those of its best particle.
    std::vector<std::vector<double>> look(const Point& point, std::int64_t t) {
        if (stepper_.recommends()) {
            stepper_.recommend(point, t, seen_.x);
        } else {
            seen_.x.copy_from(point.x);
        }
        seen_.forget();
        stepper_.evaluate(seen_, t, true, false, kFree);
        if (!values_.empty()) measure();
        const std::int64_t particles = std::max<std::int64_t>(stepper_.layout().particles, 1);
        std::vector<std::vector<double>> rows(1 + values_.size());
        for (std::int64_t row = 0; row < task_.count; ++row) {
            std::int64_t best = row * particles;
            for (std::int64_t r = best + 1; r < (row + 1) * particles; ++r) {
                const double f = seen_.f.value(r), f_best = seen_.f.value(best);
                if (f < f_best || (std::isnan(f_best) && !std::isnan(f))) best = r;
            }
            const double f = seen_.f.value(best);
            const bool is_lost = std::isnan(f) || (std::isinf(f) && f < 0) || !is_finite_row(best) ||
                                 stepper_.row_status()[static_cast<std::size_t>(row)] == L2O_ROW_FAILED;
            rows[0].push_back(is_lost ? NAN : f);
            for (std::size_t i = 0; i < values_.size(); ++i) {
                const std::int64_t width = values_[i].size() / stepper_.layout().rows;
                for (std::int64_t k = best * width; k < (best + 1) * width; ++k)
                    rows[i + 1].push_back(is_lost ? NAN : values_[i].value(k));
            }
        }
        return rows;
    }

  private:
    void measure() {
        const PointLayout& layout = stepper_.layout();
        l2o_points points{};
        points.batch = static_cast<std::uint32_t>(layout.rows);
        points.rows_per_instance = static_cast<std::uint32_t>(std::max<std::int64_t>(layout.particles, 1));
        points.data = data_.data();
        points.x = seen_.x_rows.in();
        points.batch_key[0] = task_.keys.test_steps[0];
        points.batch_key[1] = task_.keys.test_steps[1];
        CallContext& call = stepper_.call();
        const auto lock = task_.optimizee.guard();
        call.check(task_.optimizee.api().metrics(
                       task_.optimizee.raw(),
                       call.with(task_.keys.test_steps, static_cast<std::uint64_t>(task_.first)),
                       &points,
                       outputs_.data()),
                   task_.optimizee.id());
    }

    /// Whether x of a row, of a population of a particle, is finite.
    [[nodiscard]] bool is_finite_row(std::int64_t row) const {
        for (const Tensor& block : seen_.x_rows.tensors()) {
            const bool is_finite = with_values(
                [&](auto values) {
                    const auto size = values.size() / static_cast<std::size_t>(stepper_.layout().rows);
                    const auto x = values.subspan(static_cast<std::size_t>(row) * size, size);
                    return std::all_of(x.begin(), x.end(), [](auto v) { return std::isfinite(v); });
                },
                block);
            if (!is_finite) return false;
        }
        return true;
    }

    const ShardTask& task_;
    Stepper& stepper_;
    Point seen_;
    std::vector<const l2o_tensor*> data_;
    std::vector<Tensor> values_;
    std::vector<l2o_tensor*> outputs_;
};

/// Puts the shard's rows of x0 into a point.
void set_start(const ShardTask& task, const ProblemData& data, const PointLayout& layout, Point& point) {
    std::vector<Tensor> x;
    for (const Tensor& x0 : task.x0) x.push_back(x0.rows(task.first, task.count));
    if (layout.particles > 0)
        x = start_particles(task.optimizee,
                            task.keys.test_start,
                            static_cast<std::uint64_t>(task.first),
                            data,
                            x,
                            layout.particles);
    for (std::size_t block = 0; block < x.size(); ++block) copy_values(point.x[block], x[block]);
}

/// The trajectories of a shard, under one optimizer after the other.
class Shard {
  public:
    explicit Shard(const ShardTask& task)
        : task_(task),
          data_(slice(task.data, task.optimizee, task.first, task.count)),
          evaluations_(static_cast<std::size_t>(task.count)),
          is_spent_(evaluations_.size(), false),
          ended_(evaluations_.size(), L2O_ROW_GOES_ON) {}

    ShardRun run() {
        const std::int64_t iterations = task_.settings.iterations;
        const std::int64_t layers = task_.ready.optimizer->info().max_steps;
        const std::int64_t first_leg = layers > 0 ? std::min(iterations, layers) : iterations;
        std::vector<std::vector<double>>& nothing = run_.records[0].rows;
        nothing.emplace_back(static_cast<std::size_t>(task_.count), NAN);
        for (const std::size_t metric : task_.metrics) {
            const Shape shape = shape_of(*task_.optimizee.metrics()[metric], task_.count);
            nothing.emplace_back(static_cast<std::size_t>(element_count(shape)), NAN);
        }
        try {
            std::vector<Tensor> x = leg(*task_.ready.optimizer,
                                        *task_.ready.params,
                                        task_.ready.safeguard ? &*task_.ready.safeguard : nullptr,
                                        0,
                                        first_leg,
                                        nullptr);
            if (first_leg < iterations && !is_over_)
                leg(*task_.ready.continue_with,
                    *task_.ready.continue_params,
                    nullptr,
                    first_leg,
                    iterations,
                    &x);
        } catch (const Diverged&) {
            run_.is_diverged = true;
        }
        return std::move(run_);
    }

  private:
    /// Iterations `begin` to `end` under one optimizer, with a fresh state and its own t from 0.
    /// @param x  where the last leg ended; NULL: the start.
    std::vector<Tensor> leg(const Optimizer& optimizer,
                            const TensorSet& params,
                            const Safeguard* safeguard,
                            std::int64_t begin,
                            std::int64_t end,
                            const std::vector<Tensor>* x) {
        const Scene scene{optimizer,
                          task_.optimizee,
                          data_,
                          params,
                          task_.keys.test_steps,
                          static_cast<std::uint64_t>(task_.first)};
        Stepper stepper(scene);
        std::optional<SafeSteps> safe;
        if (safeguard != nullptr) safe.emplace(stepper, scene, *safeguard);
        Recorder recorder(task_, data_, stepper);
        Point from(stepper.layout(), stepper.parts()), to(stepper.layout(), stepper.parts());
        if (x == nullptr) {
            set_start(task_, data_, stepper.layout(), from);
            record(0, recorder, from, 0);
        } else {
            for (std::size_t block = 0; block < x->size(); ++block) {
                std::memcpy(
                    from.x[block].data(), (*x)[block].data(), static_cast<std::size_t>((*x)[block].bytes()));
            }
        }
        const std::vector<Evaluations> before = evaluations_;
        const auto begin_state = std::chrono::steady_clock::now();
        stepper.init_state(from);
        for (std::int64_t row = 0; row < task_.count; ++row)
            if (const std::int32_t status = ended_[static_cast<std::size_t>(row)]; status != L2O_ROW_GOES_ON)
                stepper.end(row, status);
        seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_state).count();
        for (std::int64_t t = begin; t < end; ++t) {
            if (CallContext::cancel_flag().load() != 0) {
                throw Error(ExitCode::kInterrupted,
                            "the evaluation of '" + task_.ready.contestant->name + "' was interrupted");
            }
            const auto start = std::chrono::steady_clock::now();
            if (safe) {
                safe->advance(from, to, t - begin);
            } else {
                stepper.advance(from, to, t - begin);
            }
            const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
            bool any_moved = false;
            for (std::int64_t row = 0; row < task_.count; ++row) {
                const auto r = static_cast<std::size_t>(row);
                if (is_spent_[r] || ended_[r] != L2O_ROW_GOES_ON) continue;
                const Evaluations after =
                    before[r] + (safe ? safe->evaluations(row) : stepper.evaluations()[r]);
                const auto budget = static_cast<double>(task_.settings.max_evaluations);
                if (budget > 0 && after.values + after.gradients > budget) {
                    is_spent_[r] = true;
                    safe ? safe->end(row) : stepper.end(row, L2O_ROW_CONVERGED);
                    stepper.hold_row(from, to, row);
                    continue;
                }
                evaluations_[r] = after;
                any_moved = true;
            }
            ended_ = stepper.row_status();
            if (!any_moved) {
                is_over_ = true;
                record(t, recorder, from, t - begin);
                break;
            }
            if (safe) {
                run_.safeguarded += std::ranges::count(ended_, L2O_ROW_GOES_ON);
                run_.fallbacks = safe->fallbacks();
            }
            seconds_ += elapsed.count();
            std::swap(from, to);
            const std::int64_t done = t + 1;
            if (stepper.all_ended()) {
                is_over_ = true;
                record(done, recorder, from, done - begin);
                break;
            }
            if (done % task_.settings.metrics_every == 0 || done == task_.settings.iterations)
                record(done, recorder, from, done - begin);
            task_.iteration_done();
        }
        return std::move(from.x.tensors());
    }

    /// @param t  of the leg: it names the minibatch.
    void record(std::int64_t iteration, Recorder& recorder, const Point& point, std::int64_t t) {
        run_.records.insert_or_assign(iteration,
                                      ShardRecord{evaluations_, seconds_, recorder.look(point, t)});
    }

    const ShardTask& task_;
    ProblemData data_;
    ShardRun run_;
    std::vector<Evaluations> evaluations_;  // by row
    std::vector<bool> is_spent_;            // by row: another step would exceed the budget
    std::vector<std::int32_t> ended_;       // by row: L2O_ROW_*, at the end of the last leg
    double seconds_ = 0;
    bool is_over_ = false;
};

}  // namespace

ShardRecord ShardRun::at(std::int64_t iteration) const {
    const auto after = records.upper_bound(iteration);
    ShardRecord record = std::prev(after)->second;
    if (is_diverged && after == records.end() && std::prev(after)->first < iteration) {
        for (std::vector<double>& rows : record.rows) rows.assign(rows.size(), NAN);
    }
    return record;
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

ShardRun run_shard(const ShardTask& task) { return Shard(task).run(); }

}  // namespace l2o::framework
