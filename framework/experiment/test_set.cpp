#include "framework/experiment/test_set.hpp"

#include "framework/plugin/keys.hpp"

namespace l2o::framework {

TestSet make_test_set(const Experiment& experiment, const Optimizee& optimizee) {
    const Keys keys = keys_of(experiment.seed);
    TestSet test;
    test.instances = optimizee.sample(keys.test_data, Split::kTest, 0, experiment.evaluate.instances, true);
    test.rows = repeat(test.instances, optimizee, experiment.evaluate.starts);
    test.x0 = optimizee.init_point(keys.test_start, 0, test.rows);
    return test;
}

}  // namespace l2o::framework
