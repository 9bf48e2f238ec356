#include "framework/experiment/test_set.hpp"

namespace l2o::framework {
namespace {

TestSet make_set(
    const Keys& keys, Split split, std::int64_t instances, std::int64_t starts, const Optimizee& optimizee) {
    TestSet set;
    set.instances = optimizee.sample(keys.test_data, split, 0, instances, true);
    set.rows = repeat(set.instances, optimizee, starts);
    set.x0 = optimizee.init_point(keys.test_start, 0, set.rows);
    return set;
}

}  // namespace

TestSet make_test_set(const Experiment& experiment, const Optimizee& optimizee) {
    const EvaluateSettings& evaluate = experiment.evaluate;
    return make_set(keys_of(experiment.seed), Split::kTest, evaluate.instances, evaluate.starts, optimizee);
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
