#pragma once

#include <cstdint>

#include "framework/plugin/call.hpp"

namespace l2o::framework {

/// Keys of the parts of an experiment, all derived from its seed. train_data and test_data are the same: the
/// split tells the instances apart, and what all instances share (a matrix A) is that of the training.
struct Keys {
    Key train_data, train_start, train_steps, validate_start, validate_steps, test_data, test_start,
        test_steps, init_params;
};
/// @param training  number of the training: others have other parameters, starts and steps to begin with, and
///                  are validated and tested alike.
[[nodiscard]] Keys keys_of(std::uint64_t seed, std::uint64_t training = 0);

}  // namespace l2o::framework
