#pragma once

#include <string>

#include "framework/experiment/experiment.hpp"

namespace l2o::framework {

/// Names what the weights of a contestant depend on; equal hashes, equal weights. Settings that cannot change
/// a bit of them are left out: the memory budget, how often a checkpoint is written.
/// @pre the contestant is to be trained.
[[nodiscard]] std::string training_hash(const Experiment& experiment, const Contestant& contestant);

}  // namespace l2o::framework
