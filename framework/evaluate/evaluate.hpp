#pragma once

#include <string>
#include <vector>

#include "framework/experiment/experiment.hpp"
#include "framework/train/train.hpp"

namespace l2o::framework {

/// Distribution of a metric over rows (instances x starts) at one recorded point.
struct Distribution {
    double mean = 0, median = 0, q10 = 0, q25 = 0, q75 = 0, q90 = 0;
    std::int64_t finite = 0;  ///< rows with a finite value; the statistics are over those
};
/// Linear-interpolation quantiles (type 7) over the finite values.
[[nodiscard]] Distribution distribution_of(std::vector<double> values);

/// What a contestant did: one entry per recorded point, in order.
struct Curve {
    std::string contestant;
    std::vector<std::int64_t> iteration;
    std::vector<double> values, gradients;  ///< charged evaluations per row up to here
    std::vector<double> seconds;            ///< of the optimizer and its evaluations, without recording
    std::vector<std::string> metrics;       ///< "objective", then the optimizee's
    std::vector<std::vector<Distribution>> distributions;  ///< [metric][point]
    std::vector<std::vector<double>> final_rows;           ///< [metric][row]: values at the last point
    double training_seconds = 0;
};

/// A trained or analytic contestant, ready to run.
struct Ready {
    const Contestant* contestant;
    const Optimizer* optimizer;
    const TensorSet* params;
    const Optimizer* continue_with = nullptr;
    const TensorSet* continue_params = nullptr;
    double training_seconds = 0;
};

/// Runs one contestant on the experiment's test instances: the same instances, starting points and budget for
/// everybody. `data` holds instances x starts rows (see repeat()), with solutions.
[[nodiscard]] Curve evaluate(const Experiment& experiment,
                             const Optimizee& optimizee,
                             const ProblemData& data,
                             const std::vector<Tensor>& x0,
                             const Ready& ready,
                             int threads,
                             const ProgressSink& progress);

}  // namespace l2o::framework
