#include "framework/experiment/test_set.hpp"

#include <algorithm>
#include <cmath>

namespace l2o::framework {

TestSet make_test_set(const Experiment& experiment, const Optimizee& optimizee) {
    const Keys keys = keys_of(experiment.seed);
    TestSet test;
    test.instances = optimizee.sample(keys.test_data, Split::kTest, 0, experiment.evaluate.instances, true);
    test.rows = repeat(test.instances, optimizee, experiment.evaluate.starts);
    test.x0 = optimizee.init_point(keys.test_start, 0, test.rows);
    return test;
}

std::int64_t count_unsolved(const ProblemData& data, const Optimizee& optimizee) {
    std::vector<bool> is_unsolved(static_cast<std::size_t>(data.instances), false);
    for (std::size_t i = 0; i < data.tensors.size(); ++i) {
        const l2o_spec& spec = *optimizee.data()[i];
        const Tensor& tensor = data.tensors[i];
        if (!tensor || (spec.flags & L2O_DATA_BY_SOLVE) == 0 || spec.batched == 0 || data.instances == 0)
            continue;
        const std::int64_t width = tensor.size() / data.instances;
        for (std::int64_t k = 0; k < tensor.size(); ++k)
            if (std::isnan(tensor.value(k))) is_unsolved[static_cast<std::size_t>(k / width)] = true;
    }
    return std::count(is_unsolved.begin(), is_unsolved.end(), true);
}

}  // namespace l2o::framework
