#include "framework/experiment/test_set.hpp"

#include <fmt/format.h>

#include "framework/error.hpp"
#include "framework/store/memory.hpp"

namespace l2o::framework {
namespace {

TestSet make_set(const Keys& keys,
                 Split split,
                 std::int64_t instances,
                 std::int64_t starts,
                 const Optimizee& optimizee,
                 bool with_solutions = true) {
    TestSet set;
    set.instances = optimizee.sample(keys.test_data, split, 0, instances, with_solutions);
    set.rows = repeat(set.instances, optimizee, starts);
    set.x0 = optimizee.init_point(keys.test_start, 0, set.rows);
    return set;
}

double bytes_of_row(const std::vector<const l2o_spec*>& specs, bool only_batched) {
    double sum = 0;
    for (const l2o_spec* spec : specs)
        if (!only_batched || has(*spec, L2O_SPEC_BATCHED))
            sum += static_cast<double>(element_count(shape_of(*spec, 1)) * bytes_of(dtype_of(*spec)));
    return sum;
}

}  // namespace

double bytes_of_test(const Optimizee& optimizee,
                     std::int64_t instances,
                     std::int64_t starts,
                     std::int64_t points) {
    const auto n = static_cast<double>(instances), per_instance = static_cast<double>(starts);
    const double data = bytes_of_row(optimizee.data(), true) * (starts > 1 ? 1 + per_instance : 1),
                 x0 = bytes_of_row(optimizee.blocks(), false) * per_instance;
    // Of a row at a point: its evaluations, what it would have to pay, its objective, its metrics.
    const double record = sizeof(Evaluations) + 2 * sizeof(double) + bytes_of_row(optimizee.metrics(), false);
    return n * (data + x0 + per_instance * static_cast<double>(points) * record);
}

void check_size(const std::string& where,
                std::int64_t instances,
                std::int64_t starts,
                const Optimizee& optimizee) {
    constexpr double kGiB = 1 << 30;
    const double least = bytes_of_test(optimizee, instances, starts, 2);
    const std::optional<double> available = available_memory();
    if (!available || least <= *available) return;
    throw Error(ExitCode::kUsage,
                fmt::format("{0}.instances is {1} and {0}.starts {2}: instances, starts and the first and "
                            "last point of one contestant take {3:.3g} GiB, and there are {4:.3g} GiB of "
                            "memory; lower one of them",
                            where,
                            instances,
                            starts,
                            least / kGiB,
                            *available / kGiB));
}

TestSet make_test_set(const Experiment& experiment, const Optimizee& optimizee) {
    const EvaluateSettings& evaluate = experiment.evaluate;
    return make_set(keys_of(experiment.seed), Split::kTest, evaluate.instances, evaluate.starts, optimizee);
}

TestSet make_probe(const Experiment& experiment, const Optimizee& optimizee) {
    return make_set(keys_of(experiment.seed), Split::kTest, 1, 1, optimizee, false);
}

TestSet make_validation_set(const Experiment& experiment,
                            const Optimizee& optimizee,
                            const TuneSettings& tune) {
    return make_set(validation_keys(experiment), Split::kValidation, tune.instances, tune.starts, optimizee);
}

Keys validation_keys(const Experiment& experiment) {
    Keys keys = keys_of(experiment.seed);
    keys.test_start = keys.validate_start;
    keys.test_steps = keys.validate_steps;
    return keys;
}

}  // namespace l2o::framework
