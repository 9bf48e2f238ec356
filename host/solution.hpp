#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "framework/plugin/optimizee.hpp"
#include "framework/plugin/optimizer.hpp"
#include "framework/safeguard/safeguard.hpp"
#include "framework/unroll/point.hpp"
#include "framework/unroll/stepper.hpp"

namespace l2o::host {

/// An optimizer, the instances it solves, and from where.
struct Job {
    const framework::Optimizer& optimizer;
    const framework::Optimizee& optimizee;
    const framework::ProblemData& data;
    const framework::TensorSet& params;
    const std::vector<framework::Tensor>& start;  ///< per block [B, shape]; of a population [B, P, shape]
    framework::Key key;
    std::int64_t iterations = 0;
    bool keeps_trajectory = false;
    const framework::Safeguard* safeguard = nullptr;
};

/// The points of a job; of a population the best particle of each point.
struct Solution {
    framework::Tensor x;                 ///< [B, n], all blocks one after the other
    framework::Tensor f;                 ///< [T + 1, B]
    framework::Tensor trajectory;        ///< [T + 1, B, n], or empty
    framework::Evaluations evaluations;  ///< charged, mean over the rows
    std::string gave_up{};               ///< what a plugin said when it stopped some rows: NAN from there on
    double fallback_rate = 0;            ///< share of the steps that the safeguard replaced
    double seconds = 0;                  ///< of the steps and the record of f
};

/// Runs a job in shards of a fixed number of rows: the result does not depend on the number of threads.
/// @throw Error kInterrupted if cancel_flag() is set meanwhile.
Solution solve(const Job& job, int threads);

}  // namespace l2o::host
