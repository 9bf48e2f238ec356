#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "framework/evaluate/evaluate.hpp"
#include "framework/experiment/experiment.hpp"
#include "framework/progress.hpp"
#include "tests/support/lab.hpp"

namespace l2o::test {

inline const std::string kQuadratic = "optimizee { use quadratic\n n 4 }\n";
inline const std::string kSparse = "optimizee { use sparse_recovery\n m 4\n n 6 }\n";
inline const std::string kRastrigin = "optimizee { use rastrigin\n n 3 }\n";

/// The first contestant of an experiment, on the instances of a ProblemLab.
class Arena {
  public:
    struct Setup {
        std::string problem, contestant, evaluate;
        std::int64_t instances = 5;
        bool with_solutions = true;
    };
    explicit Arena(const Setup& setup);

    ProblemLab& lab() { return lab_; }
    framework::Experiment& experiment() { return experiment_; }
    framework::Curve run(int threads = 1, const framework::ProgressSink& progress = nullptr);
    std::string refused();

  private:
    framework::Task task();

    framework::Experiment experiment_;
    const framework::Contestant& contestant_;
    ProblemLab lab_;
    framework::Optimizer optimizer_;
    std::optional<framework::Optimizer> continue_with_, classic_;
    framework::TensorSet params_, continue_params_, classic_params_;
};

std::vector<double> medians(const framework::Curve& curve, std::size_t metric);

}  // namespace l2o::test
