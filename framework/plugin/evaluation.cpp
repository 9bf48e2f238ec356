#include "framework/plugin/evaluation.hpp"

#include <string>

#include "framework/plugin/call.hpp"

namespace l2o::framework {

void evaluate_once(const Optimizee& optimizee,
                   const Key& key,
                   const ProblemData& data,
                   const std::vector<Tensor>& x,
                   const l2o_eval_out& out) {
    const std::string who = "optimizee '" + optimizee.id() + "'";
    CallContext call;
    call.reserve_scratch(CallContext::scratch_of(optimizee.info(), data.instances, who));
    const std::vector<const l2o_tensor*> tensors = abi_data(data);
    std::vector<const l2o_tensor*> at;
    for (const Tensor& block : x) at.push_back(block.abi());
    l2o_points points{};
    points.batch = static_cast<std::uint32_t>(data.instances);
    points.rows_per_instance = 1;
    points.data = tensors.data();
    points.x = at.data();
    points.batch_key[0] = key[0];
    points.batch_key[1] = key[1];
    const auto lock = optimizee.guard();
    call.check(optimizee.api().eval(optimizee.raw(), call.with(key), &points, &out), who);
}

}  // namespace l2o::framework
