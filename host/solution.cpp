#include "host/solution.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>

#include "framework/error.hpp"
#include "framework/parallel.hpp"
#include "framework/safeguard/safe_steps.hpp"
#include "framework/solve/problem_file.hpp"
#include "framework/unroll/arithmetic.hpp"

namespace l2o::host {
namespace {

using namespace l2o::framework;

constexpr std::int64_t kShardRows = 32;

/// Rows first .. first + count - 1 of a job.
class Shard {
  public:
    Shard(const Job& job, std::int64_t first, std::int64_t count, Solution& out)
        : job_(job),
          first_(first),
          count_(count),
          out_(out),
          data_(slice(job.data, job.optimizee, first, count)),
          scene_{
              job.optimizer, job.optimizee, data_, job.params, job.key, static_cast<std::uint64_t>(first)} {}

    /// @return what a plugin said if it gave up; f and x are NAN from there on.
    std::string run() {
        Stepper stepper(scene_);
        std::optional<SafeSteps> safe;
        if (job_.safeguard != nullptr) safe.emplace(stepper, scene_, *job_.safeguard);
        const PointParts parts{.g = job_.optimizer.reads_g(), .f = true, .state = true};
        Point from(stepper.layout(), parts), to(stepper.layout(), parts);
        for (std::size_t k = 0; k < job_.start.size(); ++k)
            copy_values(from.x[k], job_.start[k].rows(first_, count_));
        std::int64_t t = 0;
        try {
            stepper.init_state(from);
            for (;; ++t) {
                const bool is_last = t == job_.iterations;
                evaluate(stepper, from, t, is_last);
                if (stepper.recommends()) {
                    stepper.recommend(from, t, to.x);
                    to.forget();
                    stepper.evaluate(to, t, true, false, kFree);
                }
                record(stepper, stepper.recommends() ? to : from, t);
                if (is_last) break;
                if (CallContext::cancel_flag().load() != 0)
                    throw Error(ExitCode::kInterrupted, "interrupted; nothing was written");
                if (safe) {
                    safe->advance(from, to, t);
                } else {
                    stepper.advance(from, to, t);
                }
                std::swap(from, to);
            }
        } catch (const Diverged& diverged) {
            for (std::int64_t rest = t; rest <= job_.iterations; ++rest) record_nothing(rest, 0, count_);
            end(stepper, safe);
            return fmt::format("row {} at iteration {}: {}", first_, t, diverged.text);
        }
        end(stepper, safe);
        for (std::int64_t row = 0; row < count_; ++row)
            if (stepper.row_status()[static_cast<std::size_t>(row)] == L2O_ROW_FAILED)
                return fmt::format("row {}: it says that it failed", first_ + row);
        return "";
    }

    /// Of all rows together.
    [[nodiscard]] const Evaluations& evaluations() const { return evaluations_; }
    /// Steps of all rows that the safeguard replaced.
    [[nodiscard]] std::int64_t fallbacks() const { return fallbacks_; }

  private:
    /// f for the record and, together with it, what the next step reads. Only the latter is charged.
    void evaluate(Stepper& stepper, Point& point, std::int64_t t, bool is_last) {
        const bool reads_f = job_.optimizer.reads_f() && !is_last,
                   reads_g = job_.optimizer.reads_g() && !is_last;
        stepper.evaluate(point, t, true, reads_g, reads_f ? kCharged : L2O_ORACLE_GRADIENT);
    }

    void end(const Stepper& stepper, const std::optional<SafeSteps>& safe) {
        for (std::int64_t row = 0; row < count_; ++row)
            evaluations_ = evaluations_ + (safe ? safe->evaluations(row)
                                                : stepper.evaluations()[static_cast<std::size_t>(row)]);
        if (safe) fallbacks_ = safe->fallbacks();
    }

    /// Of a population: the particle with the smallest value, the first if none has a value.
    static std::int64_t best_particle(const Tensor& f, std::int64_t row, std::int64_t particles) {
        std::int64_t best = row * particles;
        for (std::int64_t i = best + 1; i < (row + 1) * particles; ++i) {
            if (f.value(i) < f.value(best) || (std::isnan(f.value(best)) && !std::isnan(f.value(i))))
                best = i;
        }
        return best;
    }

    void record(const Stepper& stepper, const Point& point, std::int64_t t) {
        const std::int64_t particles = std::max<std::int64_t>(job_.optimizer.info().particles, 1);
        for (std::int64_t row = 0; row < count_; ++row) {
            if (stepper.row_status()[static_cast<std::size_t>(row)] == L2O_ROW_FAILED) {
                record_nothing(t, row, 1);
                continue;
            }
            const std::int64_t best = best_particle(point.f, row, particles);
            copy(point.f, best, out_.f, t * job_.data.instances + first_ + row, 1);
            std::int64_t offset = 0;
            for (std::size_t k = 0; k < point.x.size(); ++k) {
                const std::int64_t size = point.x[k].size() / (count_ * particles);
                if (out_.trajectory) {
                    copy(point.x[k], best * size, out_.trajectory, row_of(t, row) + offset, size);
                }
                if (t == job_.iterations)
                    copy(point.x[k], best * size, out_.x, row_of(0, row) + offset, size);
                offset += size;
            }
        }
    }

    void record_nothing(std::int64_t t, std::int64_t row, std::int64_t rows) {
        const auto nothing = [](Tensor& tensor, std::int64_t first, std::int64_t n) {
            with_values(
                [&](auto values) {
                    for (auto& value :
                         values.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(n)))
                        value = NAN;
                },
                tensor);
        };
        const std::int64_t n = out_.x.shape()[1];
        nothing(out_.f, t * job_.data.instances + first_ + row, rows);
        if (out_.trajectory) nothing(out_.trajectory, row_of(t, row), rows * n);
        if (t == job_.iterations) nothing(out_.x, row_of(0, row), rows * n);
    }

    /// Index of the first variable of a row in [T + 1, B, n].
    [[nodiscard]] std::int64_t row_of(std::int64_t t, std::int64_t row) const {
        return (t * job_.data.instances + first_ + row) * out_.x.shape()[1];
    }

    static void copy(
        const Tensor& from, std::int64_t first, Tensor& to, std::int64_t to_first, std::int64_t n) {
        const std::int64_t bytes = bytes_of(from.dtype());
        std::memcpy(static_cast<std::byte*>(to.data()) + to_first * bytes,
                    static_cast<const std::byte*>(from.data()) + first * bytes,
                    static_cast<std::size_t>(n * bytes));
    }

    const Job& job_;
    std::int64_t first_, count_;
    Solution& out_;
    ProblemData data_;
    Scene scene_;
    Evaluations evaluations_;
    std::int64_t fallbacks_ = 0;
};

}  // namespace

Solution solve(const Job& job, int threads) {
    const std::int64_t batch = job.data.instances, points = job.iterations + 1,
                       n = variables_of(job.optimizee);
    Solution out;
    out.x = Tensor(job.optimizee.dtype(), {batch, n});
    out.f = Tensor(job.optimizee.dtype(), {points, batch});
    if (job.keeps_trajectory) out.trajectory = Tensor(job.optimizee.dtype(), {points, batch, n});
    const auto begin = std::chrono::steady_clock::now();
    const std::int64_t shards = (batch + kShardRows - 1) / kShardRows;
    std::vector<std::string> gave_up(static_cast<std::size_t>(shards));
    std::vector<Evaluations> evaluations(gave_up.size());
    std::vector<std::int64_t> fallbacks(gave_up.size());
    const auto rows_of = [&](std::int64_t i) { return std::min(kShardRows, batch - i * kShardRows); };
    parallel_for(shards, threads, [&](std::int64_t i) {
        Shard shard(job, i * kShardRows, rows_of(i), out);
        gave_up[static_cast<std::size_t>(i)] = shard.run();
        evaluations[static_cast<std::size_t>(i)] = shard.evaluations();
        fallbacks[static_cast<std::size_t>(i)] = shard.fallbacks();
    });
    for (std::int64_t i = 0; i < shards; ++i) {
        const Evaluations& spent = evaluations[static_cast<std::size_t>(i)];
        out.evaluations.values += spent.values / static_cast<double>(batch);
        out.evaluations.gradients += spent.gradients / static_cast<double>(batch);
        out.fallback_rate += static_cast<double>(fallbacks[static_cast<std::size_t>(i)]) /
                             static_cast<double>(batch * std::max<std::int64_t>(job.iterations, 1));
        if (out.gave_up.empty()) out.gave_up = gave_up[static_cast<std::size_t>(i)];
    }
    out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return out;
}

}  // namespace l2o::host
