#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "framework/rollout/course.hpp"
#include "framework/rollout/ledger.hpp"

namespace l2o::host {

/// The instances to solve, from where, and how.
struct Job {
    const framework::Optimizee& optimizee;
    const framework::ProblemData& data;
    const std::vector<framework::Tensor>& start;  ///< per block [B, shape]
    const framework::Course& course;
    framework::Key steps, starts;
    bool keeps_trajectory = false;
    std::vector<std::size_t> states{};  ///< of the first leg's optimizer, that are kept
};

/// The answers of a job, point by point; see framework::Answer.
struct Solution {
    framework::Tensor x;                    ///< [B, n], all blocks one after the other
    framework::Tensor f;                    ///< [T + 1, B]
    framework::Tensor trajectory;           ///< [T + 1, B, n], or empty
    std::vector<framework::Tensor> states;  ///< [T + 1, B, shape], one for each of Job::states
    framework::Tensor x_best, f_best;    ///< [B, n], [B]: the best paid for, NAN where nothing was; or empty
    std::int64_t iterations = 0;         ///< that any row has made: budgets may end before
    framework::Evaluations evaluations;  ///< charged, mean over the rows
    std::string gave_up{};               ///< what a plugin said when it stopped some rows: NAN from there on
    double fallback_rate = 0;            ///< share of the safeguarded steps that were classic ones
    double seconds = 0;                  ///< of the steps and the record of f
};

/// Runs a job in shards of a fixed number of rows: the result does not depend on the number of threads.
/// @throw Error kInterrupted if cancel_flag() is set meanwhile.
Solution solve(const Job& job, int threads);

}  // namespace l2o::host
