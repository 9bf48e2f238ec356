#include "framework/check/sized.hpp"

namespace l2o::framework {
namespace {

/// The least struct_size that holds what a value of this type says.
std::size_t used_by(std::int32_t type) {
    switch (type) {
        case L2O_OPTION_BOOL:
        case L2O_OPTION_INT:
            return offsetof(l2o_value, d);
        case L2O_OPTION_REAL:
            return offsetof(l2o_value, s);
        case L2O_OPTION_CHOICE:
        case L2O_OPTION_PATH:
        case L2O_OPTION_TEXT:
            return offsetof(l2o_value, iv);
        default:
            return sizeof(l2o_value);
    }
}

}  // namespace

SizedValues::SizedValues(const ResolvedOptions& options, HostSize size) {
    for (const l2o_value* value : options.values())
        pointers_.push_back(values_.emplace_back(*value, size, used_by(value->type)).get());
}

SizedProblem::SizedProblem(const Task& task, const std::vector<int>& needs, HostSize size) {
    const Problem exact(task, needs);
    l2o_problem problem = exact.abi();
    for (std::uint32_t i = 0; i < problem.n_blocks; ++i) blocks_.push_back(resized(*problem.blocks[i], size));
    for (std::uint32_t i = 0; i < problem.n_data; ++i)
        data_.push_back(problem.data[i] == nullptr ? nullptr : resized(*problem.data[i], size));
    problem.blocks = blocks_.data();
    problem.data = data_.data();
    problem_ = std::make_unique<Sized<l2o_problem>>(problem, size, offsetof(l2o_problem, max_evaluations));
}

const l2o_spec* SizedProblem::resized(const l2o_spec& spec, HostSize size) {
    const bool is_bounded = (spec.flags & L2O_SPEC_BOUNDED) != 0;
    return specs_.emplace_back(spec, size, is_bounded ? sizeof spec : offsetof(l2o_spec, lower)).get();
}

}  // namespace l2o::framework
