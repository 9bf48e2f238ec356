#pragma once

#include <vector>

#include "framework/experiment/experiment.hpp"
#include "framework/plugin/keys.hpp"

namespace l2o::framework {

/// The instances and starts that everybody is evaluated on.
struct TestSet {
    ProblemData instances, rows;  ///< rows: every instance once per start
    std::vector<Tensor> x0;
};

[[nodiscard]] TestSet make_test_set(const Experiment& experiment, const Optimizee& optimizee);

/// What tuning chooses on: other instances, other starts.
[[nodiscard]] TestSet make_validation_set(const Experiment& experiment,
                                          const Optimizee& optimizee,
                                          const TuneSettings& tune);
/// For evaluate() there: keys whose starts and draws are those of validation.
[[nodiscard]] Keys validation_keys(const Experiment& experiment);

}  // namespace l2o::framework
