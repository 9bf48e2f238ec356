#pragma once

#include <vector>

#include "framework/experiment/experiment.hpp"

namespace l2o::framework {

/// The instances and starts that everybody is evaluated on.
struct TestSet {
    ProblemData instances, rows;  ///< rows: every instance once per start
    std::vector<Tensor> x0;
};

[[nodiscard]] TestSet make_test_set(const Experiment& experiment, const Optimizee& optimizee);

}  // namespace l2o::framework
