#pragma once

#include <string>
#include <vector>

#include "framework/experiment/experiment.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/support/lab.hpp"

namespace l2o::test {

/// The experiment of a file dir/run.info with this text.
inline framework::Experiment read_text(const std::string& text,
                                       const std::vector<std::string>& overrides = {}) {
    return framework::read_experiment(catalog(), framework::Config::parse(text, "dir/run.info", overrides));
}

inline std::string refused(const std::string& text) {
    return refusal([&] { (void)read_text(text); });
}

inline const std::string kProblem = "optimizee { use sparse_recovery\n m 8\n n 16 }\n";

/// One learned contestant with this shared `train`, and this of its own.
inline std::string lista(const std::string& shared, const std::string& own = "") {
    return kProblem + (shared.empty() ? "" : "train { " + shared + " }\n") +
           "contestants { lista { optimizer { use lista\n layers 4 }\n" +
           (own.empty() ? "" : "train { " + own + " }\n") + "} }\n";
}

/// Of the first contestant.
inline const framework::TrainSettings& train_of(const framework::Experiment& experiment) {
    return experiment.contestants.at(0).train.value();
}
inline std::string hash_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return read_text(text, overrides).contestants.at(0).hash;
}

}  // namespace l2o::test
