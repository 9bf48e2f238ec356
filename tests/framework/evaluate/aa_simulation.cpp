// How often two copies of a contestant are said to differ at the 5 % level, over training seeds and
// instances: 10,000 repetitions, or as many as are given, with fixed draws. "none" is not trained, and
// differs from the other by what is its own on every instance. Ends with 1 where a judged model leaves 3
// to 6.5 % for equally many seeds, or any model is above that.
#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "tests/framework/evaluate/aa_model.hpp"

int main(int argc, char** argv) {
    using namespace l2o::test;
    constexpr double kLeast = 0.03, kMost = 0.065;
    const int repetitions = argc > 1 ? std::atoi(argv[1]) : 10'000;
    bool is_calibrated = true;
    fmt::print("{:22}{:>9}{:>9}{:>21}\n", "model", "seeds", "alarms", "intervals without 0");
    for (const AaModel& model : aa_models()) {
        for (const auto& [seeds, others] : {std::pair{3, 3},
                                            std::pair{5, 5},
                                            std::pair{8, 8},
                                            std::pair{3, 8},
                                            std::pair{3, 0},
                                            std::pair{8, 0}}) {
            const AaRates rates = aa_rates(model, seeds, others, repetitions);
            const bool has_least = model.is_judged && seeds == others;
            const bool is_good = rates.alarms <= kMost && (!has_least || rates.alarms >= kLeast);
            is_calibrated = is_calibrated && is_good;
            fmt::print("{:22}{:>9}{:>7.2f} %{:>19.2f} %{}\n",
                       model.name,
                       fmt::format("{} : {}", seeds, others > 0 ? std::to_string(others) : "none"),
                       100 * rates.alarms,
                       100 * rates.missed,
                       is_good ? "" : "  <- not as it should be");
        }
    }
    return is_calibrated ? 0 : 1;
}
