#pragma once

#include <algorithm>
#include <cstdint>
#include <l2o/sdk/optimizer.hpp>
#include <string>

namespace l2o {

/// How many steps a method makes that follows their number: `given` by its option `option`, or, where that is
/// 0, what horizon and budget of the problem leave to a method that pays for `evaluations` in each.
/// @throw Failure if nothing says it
inline double planned_steps(const OptimizerSpec& spec,
                            std::int64_t given,
                            const std::string& option,
                            std::int64_t evaluations = 1) {
    if (given > 0) return double(given);
    const std::int64_t horizon = spec.problem().horizon, budget = spec.problem().max_evaluations;
    if (horizon == 0 && budget == 0)
        refuse("the number of steps, which this method follows, is not known here; expected the option '" +
               option + "', a whole number > 0");
    const double paid = budget > 0 ? std::max(1.0, double(budget) / double(evaluations)) : kInfinity;
    return horizon > 0 ? std::min(double(horizon), paid) : paid;
}

}  // namespace l2o
