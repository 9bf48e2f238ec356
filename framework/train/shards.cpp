#include "framework/train/shards.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <l2o/numerics/philox.hpp>
#include <utility>

#include "framework/error.hpp"
#include "framework/plugin/unsolved.hpp"
#include "framework/rollout/arithmetic.hpp"
#include "framework/rollout/start.hpp"
#include "framework/rollout/team.hpp"

namespace l2o::framework {
namespace {

constexpr std::uint64_t kTrajectoryTag = 0x747261;

std::int64_t shards_of(std::int64_t batch, std::int64_t shard_rows) {
    return (batch + shard_rows - 1) / shard_rows;
}

/// Where nobody says: every shard has sums of its own for all parameters, and where these are megabytes,
/// clearing and adding them, and packing the parameters for each product, would take longer than the
/// products.
std::int64_t rows_per_shard(std::int64_t given,
                            std::int64_t batch,
                            const Optimizer& optimizer,
                            const std::vector<double>& rates) {
    constexpr std::int64_t kRows = 32, kLarge = 1 << 20, kLanes = 2;
    if (given > 0) return given;
    std::int64_t bytes = 0;
    for (std::size_t i = 0; i < optimizer.params().size(); ++i) {
        const l2o_spec& spec = *optimizer.params()[i];
        if (has(spec, L2O_SPEC_DERIVED) || (!rates.empty() && rates[i] == 0)) continue;
        bytes += element_count(shape_of(spec, 0)) * bytes_of(dtype_of(spec));
    }
    return bytes < kLarge ? kRows : std::max(kRows, (batch + kLanes - 1) / kLanes);
}
/// 0 would mean no limit.
std::uint64_t share_of(std::uint64_t memory_bytes, std::int64_t shards) {
    return memory_bytes == 0 ? 0 : std::max<std::uint64_t>(memory_bytes / std::uint64_t(shards), 1);
}

}  // namespace

void check_memory(const TrainSettings& train, const Optimizer& optimizer, const Optimizee& optimizee) {
    const bool goes_back = train.estimator == EstimatorKind::kBptt || train.imitation;
    if (train.memory_bytes == 0 || !goes_back) return;
    // The point in hand, cotangents before and after a step, where a window begins, the two of a step.
    constexpr std::int64_t kPoints = 6;
    const std::int64_t rows = rows_per_shard(train.shard_rows, train.batch, optimizer, {});
    const PointLayout layout(optimizer, optimizee, std::min(train.batch, rows));
    std::int64_t least = 0;
    for (const Shape& block : layout.blocks) least += kPoints * element_count(block) * bytes_of(layout.dtype);
    const std::int64_t shards = shards_of(train.batch, rows);
    if (share_of(train.memory_bytes, shards) >= static_cast<std::uint64_t>(least)) return;
    throw Error(ExitCode::kUsage,
                "train.memory is " + std::to_string(train.memory_bytes) + " bytes for " +
                    std::to_string(shards) + " shards, of which each needs more than " +
                    std::to_string(least) + "; raise train.memory, or lower train.shard_rows");
}

TensorSet gradient_like(const Optimizer& optimizer,
                        const TensorSet& params,
                        const std::vector<double>& rates) {
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < params.size(); ++i) {
        const bool is_trained =
            !has(*optimizer.params()[i], L2O_SPEC_DERIVED) && (rates.empty() || rates[i] != 0);
        tensors.push_back(is_trained ? Tensor(params[i].dtype(), params[i].shape()) : Tensor());
    }
    return TensorSet(std::move(tensors));
}

TensorSet clone(const TensorSet& set) {
    std::vector<Tensor> tensors;
    for (const Tensor& tensor : set.tensors()) tensors.push_back(tensor.clone());
    return TensorSet(std::move(tensors));
}

Carried copies(const CarriedRefs& shards) {
    Carried out;
    for (const auto& tensors : shards) {
        out.emplace_back();
        for (const Tensor* tensor : tensors) out.back().push_back(tensor->clone());
    }
    return out;
}

CarriedRefs pointers(const Carried& shards) {
    CarriedRefs out;
    for (const auto& tensors : shards) {
        out.emplace_back();
        for (const Tensor& tensor : tensors) out.back().push_back(&tensor);
    }
    return out;
}

Shards::Shard::Shard(const Optimizer& optimizer,
                     const Optimizee& optimizee,
                     const Loss& loss,
                     const TensorSet& params,
                     ProblemData rows,
                     std::uint64_t row0,
                     const std::vector<double>& rates,
                     const UnrollOptions& options)
    : data(std::move(rows)),
      scene{optimizer, optimizee, data, params, {}, row0},
      unroll(scene, loss, options),
      gradient(row0 > 0 ? gradient_like(optimizer, params, rates) : TensorSet()) {}

Shards::Shards(const Optimizer& optimizer,
               const Optimizee& optimizee,
               const Loss& loss,
               const TensorSet& params,
               const Keys& keys,
               const Options& options,
               int threads)
    : optimizer_(optimizer),
      optimizee_(optimizee),
      keys_(keys),
      options_(options),
      threads_(threads),
      with_solutions_(options.with_solutions || loss.needs_solution()),
      loss_needing_solutions_(loss.needs_solution() ? loss.id() : "") {
    data_ = optimizee.sample(keys.train_data, options.split, 0, options.batch, with_solutions_);
    const std::int64_t shard_rows =
        rows_per_shard(options.shard_rows, options.batch, optimizer, options.rates);
    const std::int64_t count = shards_of(options.batch, shard_rows);
    UnrollOptions unroll = options.unroll;
    // Threads that have no shard of their own work on slices.
    unroll.threads = static_cast<int>(std::max<std::int64_t>(threads / count, 1));
    unroll.memory_bytes = share_of(unroll.memory_bytes, count);
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t first = i * shard_rows;
        const std::int64_t rows = std::min(shard_rows, options.batch - first);
        shards_.push_back(std::make_unique<Shard>(optimizer,
                                                  optimizee,
                                                  loss,
                                                  params,
                                                  slice(data_, optimizee, first, rows),
                                                  static_cast<std::uint64_t>(options.row0 + first),
                                                  options.rates,
                                                  unroll));
        shards_.back()->number = static_cast<std::size_t>(i);
    }
}

ProblemData Shards::draw(std::uint64_t first) const {
    ProblemData drawn =
        optimizee_.sample(keys_.train_data, options_.split, first, options_.batch, with_solutions_, &data_);
    for (std::size_t i = 0; i < drawn.tensors.size(); ++i)
        if (!has(*optimizee_.data()[i], L2O_SPEC_BATCHED)) drawn.tensors[i] = Tensor();
    return drawn;
}

void Shards::start(std::uint64_t index, const ProblemData& instances) {
    for (std::size_t i = 0; i < data_.tensors.size(); ++i) {
        const Tensor& drawn = instances.tensors[i];
        if (!drawn || !has(*optimizee_.data()[i], L2O_SPEC_BATCHED)) continue;
        std::memcpy(data_.tensors[i].data(), drawn.data(), static_cast<std::size_t>(drawn.bytes()));
    }
    unsolved_.clear();
    if (!loss_needing_solutions_.empty()) unsolved_ = unsolved_instances(data_, optimizee_);
    if (std::ranges::count(unsolved_, true) == 0) unsolved_.clear();
    const auto split = static_cast<std::uint64_t>(options_.split);
    const bool is_validation = options_.split == Split::kValidation;
    const Key start = numerics::derive_key(
        is_validation ? keys_.validate_start : keys_.train_start, kTrajectoryTag + split, index);
    const Key steps = numerics::derive_key(
        is_validation ? keys_.validate_steps : keys_.train_steps, kTrajectoryTag + split, index);
    const auto row0 = static_cast<std::uint64_t>(options_.row0);
    std::vector<Tensor> x0 = optimizee_.init_point(start, row0, data_);
    if (const std::int64_t particles = optimizer_.info().particles; particles > 0)
        x0 = start_particles(optimizee_, start, row0, data_, x0, particles);
    for (const auto& shard : shards_) {
        shard->scene.key = steps;
        std::vector<Tensor> rows;
        for (const Tensor& x : x0) {
            rows.push_back(
                x.rows(static_cast<std::int64_t>(shard->scene.row0 - row0), shard->data.instances));
        }
        if ((optimizer_.info().flags & L2O_OPTIMIZER_STARTS_AT_ZERO) != 0) {
            for (const Tensor& x : rows) {
                if (!all_zero(x)) {
                    throw Error(ExitCode::kUsage,
                                "optimizer '" + optimizer_.id() + "' is defined from x = 0 only; '" +
                                    optimizee_.id() + "' starts elsewhere, set its init_std to 0");
                }
            }
        }
        shard->unroll.start(rows);
    }
}

void Shards::set_horizon(std::int64_t horizon) {
    for (const auto& shard : shards_) shard->unroll.set_horizon(horizon);
}

void Shards::restore(std::int64_t t, const CarriedRefs& carried) {
    for (std::size_t i = 0; i < shards_.size(); ++i) shards_[i]->unroll.restore(t, carried.at(i));
}

CarriedRefs Shards::carried() const {
    CarriedRefs out;
    for (const auto& shard : shards_) out.push_back(shard->unroll.carried());
    return out;
}

template <class Body>
Unroll::Window Shards::all(Body&& body) {
    std::vector<Unroll::Window> windows(shards_.size());
    Team(threads_).each(static_cast<std::int64_t>(shards_.size()), [&](std::int64_t i) {
        windows[static_cast<std::size_t>(i)] = body(*shards_[static_cast<std::size_t>(i)]);
    });
    Unroll::Window sum;
    for (const Unroll::Window& window : windows) {
        sum.loss += window.loss;
        sum.is_finite = sum.is_finite && window.is_finite;
        if (sum.diverged.empty()) sum.diverged = window.diverged;
    }
    if (!sum.is_finite && !unsolved_.empty()) {
        sum.is_unsolved = true;
        sum.diverged =
            fmt::format("'{}' has no certified solution of {} of {} instances, and loss '{}' needs it",
                        optimizee_.id(),
                        std::ranges::count(unsolved_, true),
                        unsolved_.size(),
                        loss_needing_solutions_);
    }
    return sum;
}

template <class Body>
Unroll::Window Shards::all_with_gradient(TensorSet& gradient, Body&& body) {
    const Unroll::Window sum = all([&](Shard& shard) {
        TensorSet& own = &shard == shards_.front().get() ? gradient : shard.gradient;
        own.zero();
        return body(shard, own);
    });
    const int threads = gradient.bytes() < kWorthThreads ? 1 : threads_;
    Team(threads).each(static_cast<std::int64_t>(gradient.size()), [&](std::int64_t index) {
        const auto i = static_cast<std::size_t>(index);
        if (!gradient[i]) return;
        for (std::size_t k = 1; k < shards_.size(); ++k) add(gradient[i], shards_[k]->gradient[i]);
    });
    return sum;
}

void Shards::choose_rows() {
    all([](Shard& shard) {
        shard.unroll.add_scores();
        return Unroll::Window{};
    });
    std::vector<std::pair<double, std::size_t>> rows;  // score, number
    for (const auto& shard : shards_)
        for (const double score : shard->unroll.scores().values<double>())
            rows.emplace_back(score, rows.size());
    std::ranges::sort(rows);
    const auto batch = static_cast<double>(rows.size());
    const double chosen = std::max(1.0, std::floor(share_ * batch));
    std::vector<double> weights(rows.size(), 0);
    for (std::size_t i = 0; i < static_cast<std::size_t>(chosen); ++i)
        weights[rows[i].second] = batch / chosen;
    auto first = weights.begin();
    for (const auto& shard : shards_) {
        const auto last = first + shard->unroll.scores().size();
        shard->unroll.set_row_weights(std::vector<double>(first, last));
        first = last;
    }
}

Unroll::Window Shards::window(std::int64_t n, double cot, TensorSet& gradient, std::int64_t first_reverse) {
    if (options_.unroll.has_scores) choose_rows();
    return all_with_gradient(gradient, [&](Shard& shard, TensorSet& own) {
        return shard.unroll.window(n, cot, own, first_reverse);
    });
}

Unroll::Window Shards::imitate(std::int64_t n,
                               double cot,
                               TensorSet& gradient,
                               const std::vector<std::unique_ptr<Teacher>>& teachers) {
    return all_with_gradient(gradient, [&](Shard& shard, TensorSet& own) {
        return shard.unroll.imitate(n, cot, own, *teachers[shard.number]);
    });
}

Unroll::Window Shards::score(std::int64_t n) {
    return all([n](Shard& shard) { return shard.unroll.score(n); });
}

std::vector<double> Shards::row_losses() const {
    std::vector<double> losses;
    for (const auto& shard : shards_) {
        const Tensor& rows = shard->unroll.row_losses();
        for (std::int64_t row = 0; row < rows.size(); ++row) losses.push_back(rows.value(row));
    }
    return losses;
}

std::vector<const Scene*> Shards::scenes() const {
    std::vector<const Scene*> out;
    for (const auto& shard : shards_) out.push_back(&shard->scene);
    return out;
}

bool Shards::advance(std::int64_t n) {
    return all([n](Shard& shard) { return Unroll::Window{.is_finite = shard.unroll.advance(n)}; }).is_finite;
}

std::int64_t Shards::bytes() const {
    std::int64_t sum = 0;
    for (const auto& shard : shards_) sum += shard->unroll.bytes();
    return sum;
}

double Shards::paid() const {
    double sum = 0;
    for (const auto& shard : shards_) sum += shard->unroll.paid();
    return sum;
}

}  // namespace l2o::framework
