#include "framework/plugin/optimizer.hpp"

#include <fmt/core.h>

#include <array>
#include <cmath>

#include "framework/error.hpp"
#include "framework/plugin/create.hpp"
#include "framework/plugin/needs.hpp"
#include "framework/plugin/process_watch.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {

Task task_of(const Optimizee& optimizee, std::int64_t horizon, std::int64_t max_evaluations) {
    return {.blocks = optimizee.blocks(),
            .data = optimizee.data(),
            .name = optimizee.id(),
            .dtype = optimizee.dtype(),
            .flags = optimizee.info().flags & L2O_FLAG_STOCHASTIC,
            .answers = optimizee.info().answers,
            .horizon = horizon,
            .max_evaluations = max_evaluations};
}

Problem::Problem(const Task& task, const std::vector<int>& needs) {
    for (const int index : needs)
        data_.push_back(index < 0 ? nullptr : task.data[static_cast<std::size_t>(index)]);
    problem_.struct_size = sizeof problem_;
    problem_.n_blocks = static_cast<std::uint32_t>(task.blocks.size());
    problem_.n_data = static_cast<std::uint32_t>(data_.size());
    problem_.dtype = static_cast<std::uint32_t>(task.dtype);
    problem_.blocks = task.blocks.data();
    problem_.data = data_.data();
    problem_.flags = task.flags;
    problem_.answers = task.answers;
    problem_.horizon = task.horizon;
    problem_.max_evaluations = task.max_evaluations;
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

/// "values and gradients"
std::string answers_text(std::uint32_t kinds) {
    constexpr std::array kNames{"values", "gradients", "Hessian products", "proximal points"};
    std::string text;
    for (std::size_t bit = 0; bit < kNames.size(); ++bit)
        if ((kinds >> bit & 1U) != 0) text += (text.empty() ? "" : " and ") + std::string(kNames[bit]);
    return text.empty() ? "nothing" : text;
}

}  // namespace

Optimizer::Optimizer(const Catalog::Entry& entry, ResolvedOptions options, const Task& task)
    : entry_(entry),
      id_(entry.component.id),
      options_(std::move(options)),
      api_(Catalog::load(entry).optimizer),
      instance_(nullptr, api_.destroy),
      needs_(match_needs(entry.component, task.data, task.name, false)) {
    const std::string who = "optimizer '" + id_ + "' on '" + task.name + "'";
    const ProcessWatch watch(who);
    create(instance_, api_, options_, Problem(task, needs_).abi(), who);
    info_ = normalised(*api_.info(raw()));
    const auto read = [&](Specs& specs, std::uint32_t count, const char* what, auto function) {
        specs.read(count, who, what, [&](std::uint32_t i) { return function(raw(), i); });
    };
    check_cost(info_.points_per_step, "points_per_step", who);
    read(params_, info_.n_params, "param_spec", api_.param_spec);
    read(state_, info_.n_state, "state_spec", api_.state_spec);
    for (const l2o_spec* spec : state_.all())
        if (spec->block < 0 || static_cast<std::size_t>(spec->block) > task.blocks.size())
            throw Error(
                ExitCode::kPlugin,
                fmt::format("{}: state '{}' belongs to block {} (1 + index), and there are {}; expected 0 "
                            "(none) to {}",
                            who,
                            printable(spec->name),
                            spec->block,
                            task.blocks.size(),
                            task.blocks.size()));
    if (const void* vjp = api_.get_extension(raw(), L2O_EXT_OPTIMIZER_VJP)) {
        vjp_ = normalised(*static_cast<const l2o_optimizer_vjp*>(vjp));
        has_vjp_ = vjp_.step_vjp != nullptr;
    }
    check_fit(task, who);
}

/// Refuses a pair that would fail at its first evaluation.
void Optimizer::check_fit(const Task& task, const std::string& who) const {
    const std::uint32_t asks = info_.max_questions > 0 ? info_.question_kinds : 0U;
    constexpr std::uint32_t kAsked = L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT;
    if ((asks & ~kAsked) != 0)
        throw Error(ExitCode::kPlugin,
                    who + ": it asks for " + answers_text(asks & ~kAsked) +
                        ", and questions are answered by values and gradients only");
    const std::uint32_t unanswered = (info_.reads | asks) & ~task.answers;
    if (unanswered != 0)
        throw Error(ExitCode::kPlugin,
                    who + ": it needs " + answers_text(unanswered) + ", and '" + task.name + "' offers " +
                        answers_text(task.answers) +
                        "; expected an optimizer or a problem that fits the other");
    for (const l2o_spec* block : task.blocks)
        if (has(*block, L2O_SPEC_BOUNDED) && (info_.flags & L2O_OPTIMIZER_KEEPS_BOUNDS) == 0)
            throw Error(ExitCode::kPlugin,
                        who + ": block '" + block->name +
                            "' has bounds, which this method does not keep; use one that does, for example "
                            "'projected_gradient', or 'cma_es' by values alone");
}

std::vector<Tensor> Optimizer::init_params(const Key& key, const ProblemData& data) const {
    std::vector<Tensor> params;
    std::vector<l2o_tensor*> out;
    for (const l2o_spec* spec : params_.all()) {
        params.emplace_back(dtype_of(*spec), shape_of(*spec, 1));
        out.push_back(params.back().abi());
    }
    if (params.empty()) return params;
    std::vector<const l2o_tensor*> in;
    for (const int index : needs_) {
        const Tensor* tensor = index < 0 ? nullptr : &data.tensors.at(static_cast<std::size_t>(index));
        in.push_back(tensor == nullptr ? nullptr : tensor->abi());
    }
    CallContext call;
    call.reserve_scratch(CallContext::scratch_of(info_, 0, "optimizer '" + id() + "'"));
    const auto lock = guard();
    call.check(api_.init_params(raw(), call.with(key), in.data(), out.data()), "optimizer '" + id_ + "'");
    for (std::size_t i = 0; i < params.size(); ++i) check_start(id_, params[i], params_.all()[i]->name);
    return params;
}

std::unique_lock<std::mutex> Optimizer::guard() const {
    return (info_.flags & L2O_FLAG_SERIAL) != 0 ? std::unique_lock(serial_) : std::unique_lock<std::mutex>();
}

}  // namespace l2o::framework
