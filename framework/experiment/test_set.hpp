#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "framework/experiment/experiment.hpp"
#include "framework/plugin/keys.hpp"

namespace l2o::framework {

/// The instances and starts that everybody is evaluated on.
struct TestSet {
    ProblemData instances, rows;  ///< rows: every instance once per start
    std::vector<Tensor> x0;
};

/// Bytes that the instances and starts of an evaluation take, with what is recorded of one contestant.
/// @param points  that are recorded
[[nodiscard]] double bytes_of_test(const Optimizee& optimizee,
                                   std::int64_t instances,
                                   std::int64_t starts,
                                   std::int64_t points);
/// Refuses a set that does not fit in memory with the first and the last point of one contestant.
/// @param where  of the settings: "evaluate", "contestants.adam.tune"
/// @throw Error kUsage
void check_size(const std::string& where,
                std::int64_t instances,
                std::int64_t starts,
                const Optimizee& optimizee);

[[nodiscard]] TestSet make_test_set(const Experiment& experiment, const Optimizee& optimizee);
/// One instance and start of those, without its solution: enough to tell what cannot be evaluated there.
[[nodiscard]] TestSet make_probe(const Experiment& experiment, const Optimizee& optimizee);

/// What tuning chooses on: other instances, other starts.
[[nodiscard]] TestSet make_validation_set(const Experiment& experiment,
                                          const Optimizee& optimizee,
                                          const TuneSettings& tune);
/// For evaluate() there: keys whose starts and draws are those of validation.
[[nodiscard]] Keys validation_keys(const Experiment& experiment);

}  // namespace l2o::framework
