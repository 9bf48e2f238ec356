#include "tests/framework/evaluate/aa_model.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <l2o/numerics/philox.hpp>
#include <thread>

#include "framework/evaluate/over_seeds.hpp"
#include "framework/rollout/team.hpp"

namespace l2o::test {
namespace {

using framework::compare_over_seeds, framework::OverSeeds, framework::SeedDifferences;
using Values = std::vector<std::vector<double>>;  // [seed][instance]

Values draw(const AaModel& model, const std::vector<double>& instances, int seeds, numerics::Stream& stream) {
    Values values;
    for (int seed = 0; seed < std::max(seeds, 1); ++seed) {
        const double effect = seeds > 0 ? model.seed * stream.normal() : 0;
        std::vector<double>& row = values.emplace_back();
        for (const double instance : instances) {
            const double value = instance + effect + model.both * stream.normal();
            row.push_back(model.is_skewed ? std::exp(value) : value);
        }
    }
    return values;
}

}  // namespace

std::vector<AaModel> aa_models() {
    return {{.name = "seeds and instances"},
            {.name = "mostly seeds", .seed = 1, .both = 0.1},
            {.name = "mostly instances", .instance = 3, .seed = 0.1, .both = 0.2},
            {.name = "skewed", .is_skewed = true, .is_judged = false},
            {.name = "16 instances", .instances = 16, .is_judged = false}};
}

AaRates aa_rates(const AaModel& model, int seeds, int other_seeds, int repetitions) {
    std::atomic<int> alarms = 0, missed = 0;
    const auto threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    framework::Team(threads).each(repetitions, [&](std::int64_t repetition) {
        const numerics::Key key{static_cast<std::uint32_t>(seeds), static_cast<std::uint32_t>(other_seeds)};
        numerics::Stream stream(key, static_cast<std::uint64_t>(repetition));
        std::vector<double> instances;
        for (int i = 0; i < model.instances; ++i) instances.push_back(model.instance * stream.normal());
        const Values a = draw(model, instances, seeds, stream),
                     b = draw(model, instances, other_seeds, stream);
        SeedDifferences differences;
        for (const std::vector<double>& one : a) {
            differences.emplace_back();
            for (const std::vector<double>& other : b) {
                std::vector<double>& pair = differences.back().emplace_back();
                for (std::size_t i = 0; i < one.size(); ++i) pair.push_back(one[i] - other[i]);
            }
        }
        const OverSeeds result = compare_over_seeds(differences);
        alarms += result.p <= 0.05 ? 1 : 0;
        missed += result.interval.low > 0 || result.interval.high < 0 ? 1 : 0;
    });
    return {static_cast<double>(alarms) / repetitions, static_cast<double>(missed) / repetitions};
}

}  // namespace l2o::test
