#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "framework/plugin/catalog.hpp"
#include "framework/plugin/optimizer.hpp"
#include "framework/rollout/start_share.hpp"

namespace l2o::framework {

/// Steps of a solve that nobody has said the number of, by a method without layers.
inline constexpr std::int64_t kDefaultIterations = 100;

/// An optimizer that knows how many steps are planned.
struct PlannedOptimizer {
    std::unique_ptr<const Optimizer> optimizer;
    std::int64_t
        iterations;  ///< of all starts together: those given, as many as it has layers, or the default
};

/// @param options   () -> ResolvedOptions
/// @param restarts  see Course
/// @param task      with the budget of all starts together; of horizon and budget it then has the share of
///                  one.   @throw Error as the constructor of Optimizer.
template <class Options>
[[nodiscard]] PlannedOptimizer planned_optimizer(const Catalog::Entry& entry,
                                                 Options&& options,
                                                 std::optional<std::int64_t> iterations,
                                                 std::int64_t restarts,
                                                 Task& task) {
    const std::int64_t planned = iterations.value_or(kDefaultIterations);
    task.horizon = share_of_start(planned, restarts);
    task.max_evaluations = share_of_start(task.max_evaluations, restarts);
    auto optimizer = std::make_unique<const Optimizer>(entry, options(), task);
    const std::int64_t layers = optimizer->info().max_steps;
    if (iterations || layers == 0) return {std::move(optimizer), planned};
    task.horizon = layers;
    return {std::make_unique<const Optimizer>(entry, options(), task), layers};
}

}  // namespace l2o::framework
