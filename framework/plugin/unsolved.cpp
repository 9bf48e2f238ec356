#include "framework/plugin/unsolved.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace l2o::framework {

std::vector<bool> unsolved_instances(const ProblemData& data, const Optimizee& optimizee) {
    std::vector<bool> is_unsolved(static_cast<std::size_t>(data.instances), false);
    for (std::size_t i = 0; i < data.tensors.size(); ++i) {
        const l2o_spec& spec = *optimizee.data()[i];
        const Tensor& tensor = data.tensors[i];
        if (!tensor || !has(spec, L2O_SPEC_BY_SOLVE) || !has(spec, L2O_SPEC_BATCHED) || data.instances == 0)
            continue;
        const std::int64_t width = tensor.size() / data.instances;
        for (std::int64_t k = 0; k < tensor.size(); ++k)
            if (std::isnan(tensor.value(k))) is_unsolved[static_cast<std::size_t>(k / width)] = true;
    }
    return is_unsolved;
}

}  // namespace l2o::framework
