#pragma once

#include <algorithm>
#include <cstdint>
#include <l2o/sdk/optimizer.hpp>

namespace l2o::plugins {

/// How many steps a population has whose particles pay for one evaluation a step: `steps`, or with 0 what
/// horizon and budget of the problem leave.   @throw Failure if nothing says it
inline double run_length(const OptimizerSpec& spec, std::int64_t steps, std::int64_t particles) {
    if (steps > 0) return double(steps);
    const std::int64_t horizon = spec.problem().horizon, budget = spec.problem().max_evaluations;
    if (horizon == 0 && budget == 0)
        refuse("how long a run is is not known; expected the option 'steps', a whole number > 0");
    const double paid = budget > 0 ? std::max(1.0, double(budget) / double(particles)) : kInfinity;
    return horizon > 0 ? std::min(double(horizon), paid) : paid;
}

}  // namespace l2o::plugins
