#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace l2o::test {

/// What two copies of a contestant come to on the same instances: a value is the effect of its instance, that
/// of its training seed and one of both together, all normal; of a model that is skewed the exponential of
/// their sum.
struct AaModel {
    std::string name{};
    double instance = 1, seed = 0.3, both = 0.5;  ///< standard deviations
    bool is_skewed = false;
    int instances = 128;
    bool is_judged = true;  ///< by the rates that aa_simulation demands
};

/// The models that are looked at.
[[nodiscard]] std::vector<AaModel> aa_models();

struct AaRates {
    double alarms = 0;  ///< share of the repetitions with p <= 0.05
    double missed = 0;  ///< share of the intervals without the true difference, 0
};
/// Repetitions of comparing two copies that were trained with so many seeds each; an untrained one has 0, and
/// no effect of a seed. The draws are those of the counts and the repetition.
[[nodiscard]] AaRates aa_rates(const AaModel& model, int seeds, int other_seeds, int repetitions);

}  // namespace l2o::test
