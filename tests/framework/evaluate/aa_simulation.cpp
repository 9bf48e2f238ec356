// How often two copies of a contestant are said to differ at the 5 % level, over training seeds and
// instances: 10,000 repetitions, or as many as are given, with fixed draws. "none" is not trained, and
// differs from the other by what is its own on every instance. Ends with 1 where a judged model leaves 3
// to 6.5 % for equally many seeds, or any model is above that.
//
// With a run folder: how often five trainings of its first contestant with ten seeds or more are said to
// differ from five others, in 200 draws. Ends with 1 above 17. Of runs with the default evaluate.shard_rows.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "framework/evaluate/entries.hpp"
#include "framework/evaluate/results_file.hpp"
#include "tests/framework/evaluate/aa_model.hpp"

namespace {

using namespace l2o::framework;

int draw_from(const std::filesystem::path& folder) {
    constexpr std::size_t kSeeds = 5;
    constexpr int kDraws = 200, kMostAlarms = 17;
    const Results results = read_results(folder, EvaluateSettings{}.shard_rows);
    const std::vector<Entry> entries = entries_of(results.curves);
    const auto pool =
        std::ranges::find_if(entries, [](const Entry& entry) { return entry.members.size() >= 2 * kSeeds; });
    if (pool == entries.end()) {
        fmt::print("no contestant of this run has {} training seeds or more\n", 2 * kSeeds);
        return 2;
    }
    std::vector<std::size_t> members = pool->members;
    Judging judging = results.judging;
    judging.reference = "a";
    std::mt19937_64 generator(0);
    int alarms = 0;
    for (int draw = 0; draw < kDraws; ++draw) {
        std::ranges::shuffle(members, generator);
        std::vector<Curve> curves;
        for (std::size_t i = 0; i < 2 * kSeeds; ++i) {
            const std::string group = i < kSeeds ? "a" : "b", seed = std::to_string(i);
            Curve& curve = curves.emplace_back(results.curves[members[i]]);
            curve.group = group;
            curve.contestant = group + ".seed=" + seed;
            curve.swept = {{std::string(kSeedKey), seed}};
        }
        alarms += compare(curves, judging, judging.metric).front().p <= 0.05 ? 1 : 0;
    }
    fmt::print("{}: {} of {} draws of {} against {} of {} trainings are alarms\n",
               pool->name,
               alarms,
               kDraws,
               kSeeds,
               kSeeds,
               members.size());
    return alarms <= kMostAlarms ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    using namespace l2o::test;
    if (argc > 1 && std::filesystem::is_directory(argv[1])) return draw_from(argv[1]);
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
