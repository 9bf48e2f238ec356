#include "host/solution.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "framework/cancel.hpp"
#include "framework/error.hpp"
#include "framework/rollout/arithmetic.hpp"
#include "framework/rollout/point.hpp"
#include "framework/rollout/rollout.hpp"
#include "framework/rollout/team.hpp"
#include "framework/solve/problem_file.hpp"

namespace l2o::host {
namespace {

using namespace l2o::framework;

constexpr std::int64_t kShardRows = 32;

void copy(const Tensor& from, std::int64_t first, Tensor& to, std::int64_t to_first, std::int64_t n) {
    const std::int64_t bytes = bytes_of(from.dtype());
    std::memcpy(static_cast<std::byte*>(to.data()) + to_first * bytes,
                static_cast<const std::byte*>(from.data()) + first * bytes,
                static_cast<std::size_t>(n * bytes));
}

void fill_nan(Tensor& tensor, std::int64_t first, std::int64_t n) {
    with_values(
        [&](auto values) {
            const auto part = values.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(n));
            std::fill(part.begin(), part.end(), NAN);
        },
        tensor);
}

/// Rows first .. first + count - 1 of a job.
class Shard {
  public:
    Shard(const Job& job, std::int64_t first, std::int64_t count, Solution& out)
        : job_(job),
          first_(first),
          count_(count),
          out_(out),
          data_(slice(job.data, job.optimizee, first, count)),
          rollout_(
              job.optimizee, data_, job.course, job.steps, job.starts, static_cast<std::uint64_t>(first)) {}

    /// @return what a plugin said if it gave up; f and x are NAN from there on.
    std::string run() {
        std::string gave_up;
        std::int64_t next = 0;  // the first point that is not recorded
        try {
            std::vector<Tensor> start;
            for (const Tensor& x : job_.start) start.push_back(x.rows(first_, count_));
            rollout_.start(start);
            record(next++);
            while (!rollout_.is_over()) {
                if (cancel_flag().load() != 0)
                    throw Error(ExitCode::kInterrupted, "interrupted; nothing was written");
                rollout_.step();
                // One that no row can pay for is no iteration.
                for (; next <= rollout_.iteration(); ++next) record(next);
            }
            for (; next <= job_.course.iterations; ++next) record(next);  // where all rows stay
        } catch (const Diverged& diverged) {
            gave_up = fmt::format("row {} at iteration {}: {}", first_, rollout_.iteration(), diverged.text);
            for (; next <= job_.course.iterations; ++next)
                for (std::int64_t row = 0; row < count_; ++row) record_nothing(next, row);
        }
        record_best();
        for (std::int64_t row = 0; row < count_ && gave_up.empty(); ++row)
            if (rollout_.has_failed(row))
                gave_up = fmt::format("row {}: it says that it failed", first_ + row);
        return gave_up;
    }

    [[nodiscard]] const Rollout& rollout() const { return rollout_; }

  private:
    void record(std::int64_t t) {
        const Rollout::View view = rollout_.look(true);
        for (std::int64_t row = 0; row < count_; ++row) {
            if (rollout_.has_failed(row)) {
                record_nothing(t, row);
                continue;
            }
            copy(*view.f, row, out_.f, t * job_.data.instances + first_ + row, 1);
            if (out_.trajectory) copy_x(*view.x, row, out_.trajectory, row_of(t, row));
            if (t == job_.course.iterations) copy_x(*view.x, row, out_.x, row_of(0, row));
            for (std::size_t i = 0; i < out_.states.size(); ++i) {
                const Tensor& state = rollout_.states()[job_.states[i]];
                const std::int64_t size = state.size() / count_;
                copy(
                    state, row * size, out_.states[i], (t * job_.data.instances + first_ + row) * size, size);
            }
        }
    }

    void record_nothing(std::int64_t t, std::int64_t row) {
        const std::int64_t n = out_.x.shape()[1];
        fill_nan(out_.f, t * job_.data.instances + first_ + row, 1);
        if (out_.trajectory) fill_nan(out_.trajectory, row_of(t, row), n);
        if (t == job_.course.iterations) fill_nan(out_.x, row_of(0, row), n);
        for (Tensor& state : out_.states) {
            const std::int64_t size = state.size() / out_.f.size();
            if (is_real(state.dtype()))
                fill_nan(state, (t * job_.data.instances + first_ + row) * size, size);
        }
    }

    void record_best() {
        const Ledger& ledger = rollout_.ledger();
        for (std::int64_t row = 0; row < count_ && out_.f_best; ++row) {
            if (!ledger.has_best(row)) {
                fill_nan(out_.f_best, first_ + row, 1);
                fill_nan(out_.x_best, row_of(0, row), out_.x.shape()[1]);
                continue;
            }
            with_values(
                [&](auto values) {
                    using T = typename decltype(values)::value_type;
                    values[static_cast<std::size_t>(first_ + row)] =
                        static_cast<T>(ledger.best_f()[static_cast<std::size_t>(row)]);
                },
                out_.f_best);
            copy_x(ledger.best_x(), row, out_.x_best, row_of(0, row));
        }
    }

    void copy_x(const TensorSet& x, std::int64_t row, Tensor& to, std::int64_t at) const {
        for (const Tensor& block : x.tensors()) {
            const std::int64_t size = block.size() / count_;
            copy(block, row * size, to, at, size);
            at += size;
        }
    }

    /// Index of the first variable of a row in [T + 1, B, n].
    [[nodiscard]] std::int64_t row_of(std::int64_t t, std::int64_t row) const {
        return (t * job_.data.instances + first_ + row) * out_.x.shape()[1];
    }

    const Job& job_;
    std::int64_t first_, count_;
    Solution& out_;
    ProblemData data_;
    Rollout rollout_;
};

}  // namespace

Solution solve(const Job& job, int threads) {
    const std::int64_t batch = job.data.instances, points = job.course.iterations + 1,
                       n = variables_of(job.optimizee);
    Solution out;
    out.x = Tensor(job.optimizee.dtype(), {batch, n});
    out.f = Tensor(job.optimizee.dtype(), {points, batch});
    if (job.keeps_trajectory) out.trajectory = Tensor(job.optimizee.dtype(), {points, batch, n});
    const PointLayout layout(job.course.first.optimizer, job.optimizee, batch);
    for (const std::size_t i : job.states) {
        Shape shape = layout.state[i];
        shape.insert(shape.begin(), points);
        out.states.emplace_back(layout.state_dtypes[i], shape);
    }
    if (job.course.keeps_best) {
        out.x_best = Tensor(job.optimizee.dtype(), {batch, n});
        out.f_best = Tensor(job.optimizee.dtype(), {batch});
    }
    const auto begin = std::chrono::steady_clock::now();
    const std::int64_t shards = (batch + kShardRows - 1) / kShardRows;
    struct Told {
        std::string gave_up;
        Evaluations evaluations;
        std::int64_t iterations, guarded_steps, fallbacks;
    };
    std::vector<Told> told(static_cast<std::size_t>(shards));
    Team(threads).each(shards, [&](std::int64_t i) {
        Shard shard(job, i * kShardRows, std::min(kShardRows, batch - i * kShardRows), out);
        Told& own = told[static_cast<std::size_t>(i)];
        own.gave_up = shard.run();
        for (const Evaluations& row : shard.rollout().ledger().evaluations())
            own.evaluations = own.evaluations + row;
        own.iterations = shard.rollout().last_moved();
        own.guarded_steps = shard.rollout().guarded_steps();
        own.fallbacks = shard.rollout().fallbacks();
    });
    double guarded = 0, fallbacks = 0;
    for (const Told& own : told) {
        out.evaluations = out.evaluations + own.evaluations;
        out.iterations = std::max(out.iterations, own.iterations);
        guarded += static_cast<double>(own.guarded_steps);
        fallbacks += static_cast<double>(own.fallbacks);
        if (out.gave_up.empty()) out.gave_up = own.gave_up;
    }
    for (double* sum : {&out.evaluations.points, &out.evaluations.values, &out.evaluations.gradients})
        *sum /= static_cast<double>(batch);
    if (guarded > 0) out.fallback_rate = fallbacks / guarded;
    out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return out;
}

}  // namespace l2o::host
