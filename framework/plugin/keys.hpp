#pragma once

#include <cstdint>

#include "framework/plugin/call.hpp"

namespace l2o::framework {

/// Keys of the parts of an experiment, all derived from its seed. train_data and test_data are the same: the
/// split tells the instances apart, and what all instances share (a matrix A) is that of the training.
struct Keys {
    Key train_data, train_start, train_steps, test_data, test_start, test_steps, init_params;
};
[[nodiscard]] Keys keys_of(std::uint64_t seed);

}  // namespace l2o::framework
