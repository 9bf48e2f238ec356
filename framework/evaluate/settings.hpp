#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "framework/rollout/course.hpp"

namespace l2o::framework {

/// `evaluate { ... }`: how contestants are compared.
struct EvaluateSettings {
    std::int64_t instances = 128, starts = 1, iterations = 100;
    std::int64_t max_evaluations = 0;  ///< of a row, see Evaluations; 0: no limit
    Answer answer = Answer::kLast;     ///< the point of a row that table and statistics are about
    std::int64_t metrics_every = 1;    ///< iterations between recorded points
    std::string metric{};  ///< the one of the result table; "" : the optimizee's first, or objective
    std::int64_t shard_rows = 32;
    std::string reference{};         ///< whom all others are compared to; "" : the first that is not learned
    std::optional<double> target{};  ///< of the metric: when it is reached is told for every row
    double tolerance = 1e-3;         ///< without a target: share of the way to the best that may be missing
    bool timing = true;              ///< solves are timed in a pass of their own, see time_solves()
    bool keep_rows = true;           ///< what every row did stays in the run folder, for `l2o export`
    double checkpoint_every_s = 1;   ///< what contestants did is kept for a --resume, at most so often
};

}  // namespace l2o::framework
