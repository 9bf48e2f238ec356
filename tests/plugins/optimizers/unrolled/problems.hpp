#pragma once

#include "tests/support/lab.hpp"

namespace l2o::test {

inline const ProblemLab::Setup kSparse{
    .optimizee = "sparse_recovery", .options = {{"m", "40"}, {"n", "80"}}, .instances = 8};

/// With one expected non-zero entry, instances whose signal and measurements are 0 occur.
inline const ProblemLab::Setup kSmall{
    .optimizee = "sparse_recovery", .options = {{"m", "6"}, {"n", "10"}}, .instances = 12};

}  // namespace l2o::test
