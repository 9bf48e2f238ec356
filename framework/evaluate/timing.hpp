#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "framework/evaluate/evaluate.hpp"

namespace l2o::framework {

/// What one solve takes in processor time, a shard of which is run on one thread with nothing recorded: the
/// steps with their first state and their evaluations; not the parameters and what is derived from them.
/// Times contestants in turns, so that what disturbs one disturbs all: a run of everybody that warms up and
/// says how long one takes, then runs of at least 2 ms, as many as half a second has room for, but 3 to 31;
/// and five runs whose every step is timed, for the shares.
/// @pre nothing else runs in this process
/// @param data, x0  the rows of the evaluation, of which the first shard is solved.
/// @throw Error kInterrupted if CallContext::cancel_flag is set.
[[nodiscard]] std::vector<SolveTime> time_solves(const EvaluateSettings& settings,
                                                 const Keys& keys,
                                                 const Optimizee& optimizee,
                                                 const ProblemData& data,
                                                 const std::vector<Tensor>& x0,
                                                 const std::vector<Ready>& contestants,
                                                 const ProgressSink& progress);

/// Puts what was timed in the place of what the evaluation took, at every point and every stair.
/// To be called before find_reached().   @pre time.runs > 1
void quote(Curve& curve, const SolveTime& time);

/// {"median": ..., "low": ..., "high": ..., "runs": ...} in seconds; null if there was no timing.
[[nodiscard]] nlohmann::json to_json(const SolveTime& time);

}  // namespace l2o::framework
