#include "framework/plugin/optimizer.hpp"

#include <cmath>
#include <cstring>

#include "framework/error.hpp"
#include "framework/plugin/needs.hpp"
#include "framework/plugin/process_watch.hpp"

namespace l2o::framework {

Task task_of(const Optimizee& optimizee, std::int64_t horizon) {
    return {optimizee.blocks(),
            optimizee.data(),
            optimizee.id(),
            optimizee.dtype(),
            optimizee.info().oracle_kinds,
            horizon};
}

namespace {

void check_start(const std::string& id, const Tensor& param, const std::string& name) {
    for (std::int64_t i = 0; i < param.size(); ++i) {
        if (std::isfinite(param.value(i))) continue;
        throw Error(ExitCode::kPlugin,
                    "optimizer '" + id + "': the start of parameter '" + name +
                        "' is not finite on this problem; scale its data" +
                        (param.dtype() == Dtype::kF32 ? ", or compute in float64" : ""));
    }
}

}  // namespace

Optimizer::Optimizer(const Catalog::Entry& entry, ResolvedOptions options, const Task& task)
    : entry_(entry),
      id_(entry.component.id),
      options_(std::move(options)),
      api_(Catalog::load(entry).optimizer),
      needs_(match_needs(entry.component, task.data, task.name, false)) {
    std::vector<const l2o_spec*> data;
    for (const int index : needs_)
        data.push_back(index < 0 ? nullptr : task.data[static_cast<std::size_t>(index)]);
    l2o_problem problem{};
    problem.struct_size = sizeof problem;
    problem.n_blocks = static_cast<std::uint32_t>(task.blocks.size());
    problem.n_data = static_cast<std::uint32_t>(data.size());
    problem.oracle_kinds = task.oracle_kinds;
    problem.blocks = task.blocks.data();
    problem.data = data.data();
    problem.horizon = task.horizon;
    problem.dtype = static_cast<std::int32_t>(task.dtype);

    CallContext call;
    const auto values = options_.values();
    const std::string who = "optimizer '" + id_ + "' on '" + task.name + "'";
    const ProcessWatch watch(who);
    call.check(
        api_.create(
            call.plain(), values.data(), static_cast<std::uint32_t>(values.size()), &problem, &instance_),
        who);
    const l2o_optimizer_info* info = api_.info(instance_);
    std::memcpy(static_cast<void*>(&info_), info, std::min<std::size_t>(info->struct_size, sizeof info_));
    for (std::uint32_t i = 0; i < info_.n_params; ++i) params_.push_back(api_.param_spec(instance_, i));
    for (std::uint32_t i = 0; i < info_.n_state; ++i) state_.push_back(api_.state_spec(instance_, i));
    if (const auto* vjp =
            static_cast<const l2o_optimizer_vjp*>(api_.get_extension(instance_, L2O_EXT_OPTIMIZER_VJP))) {
        std::memcpy(static_cast<void*>(&vjp_), vjp, std::min<std::size_t>(vjp->struct_size, sizeof vjp_));
        has_vjp_ = true;
    }
    const std::uint32_t unanswered = info_.max_questions > 0 ? info_.question_kinds & ~task.oracle_kinds : 0U;
    if (unanswered != 0) {
        api_.destroy(instance_);
        throw Error(ExitCode::kPlugin,
                    who + ": it asks for evaluations (kinds " + std::to_string(unanswered) + ") that '" +
                        task.name + "' cannot answer");
    }
}

Optimizer::~Optimizer() { api_.destroy(instance_); }

std::vector<Tensor> Optimizer::init_params(const Key& key, const ProblemData& data) const {
    std::vector<Tensor> params;
    std::vector<l2o_tensor*> out;
    for (const l2o_spec* spec : params_) {
        params.emplace_back(static_cast<Dtype>(spec->dtype), shape_of(*spec, 1));
        out.push_back(params.back().abi());
    }
    if (params.empty()) return params;
    std::vector<const l2o_tensor*> in;
    for (const int index : needs_) {
        const Tensor* tensor = index < 0 ? nullptr : &data.tensors.at(static_cast<std::size_t>(index));
        in.push_back(tensor == nullptr ? nullptr : tensor->abi());
    }
    CallContext call;
    call.reserve_scratch(info_.scratch_fixed);
    const auto lock = guard();
    call.check(api_.init_params(instance_, call.with(key), in.data(), out.data()), "optimizer '" + id_ + "'");
    for (std::size_t i = 0; i < params.size(); ++i) check_start(id_, params[i], params_[i]->name);
    return params;
}

std::unique_lock<std::mutex> Optimizer::guard() const {
    return (info_.flags & L2O_SERIAL) != 0 ? std::unique_lock(serial_) : std::unique_lock<std::mutex>();
}

}  // namespace l2o::framework
