#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "framework/plugin/catalog.hpp"
#include "framework/plugin/optimizer.hpp"

namespace l2o::framework {

/// Steps of a solve that nobody has said the number of, by a method without layers.
inline constexpr std::int64_t kDefaultIterations = 100;

/// An optimizer that knows how many steps are planned: `iterations`, as many as it has layers, or the
/// default.
/// @param options  () -> ResolvedOptions
/// @param task     its horizon is set to that.   @throw Error as the constructor of Optimizer.
template <class Options>
[[nodiscard]] std::unique_ptr<const Optimizer> planned_optimizer(const Catalog::Entry& entry,
                                                                 Options&& options,
                                                                 std::optional<std::int64_t> iterations,
                                                                 Task& task) {
    task.horizon = iterations.value_or(kDefaultIterations);
    auto optimizer = std::make_unique<const Optimizer>(entry, options(), task);
    const std::int64_t layers = optimizer->info().max_steps;
    if (iterations || layers == 0) return optimizer;
    task.horizon = layers;
    return std::make_unique<const Optimizer>(entry, options(), task);
}

}  // namespace l2o::framework
