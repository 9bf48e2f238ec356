#include "framework/rollout/slices.hpp"

#include <algorithm>
#include <string>

namespace l2o::framework {
namespace {

constexpr std::uint64_t kNotSliceable = L2O_FLAG_STOCHASTIC | L2O_FLAG_SERIAL | L2O_OPTIMIZER_STARTS_AT_ZERO |
                                        L2O_OPTIMIZER_PARAMS_BY_PROBLEM | L2O_OPTIMIZER_ENDS_ROWS;

std::int64_t elements(const l2o_spec& spec) {
    std::int64_t product = 1;
    for (std::int32_t axis = 0; axis < spec.ndim; ++axis) product *= spec.shape[axis];
    return product;
}

}  // namespace

std::unique_ptr<const Slices> Slices::of(const Optimizer& whole,
                                         const PointLayout& layout,
                                         std::int64_t length) {
    const l2o_optimizer_info& info = whole.info();
    if ((info.flags & L2O_OPTIMIZER_COORDINATEWISE) == 0 || info.reads != L2O_ORACLE_GRADIENT ||
        (info.flags & kNotSliceable) != 0 || info.particles > 0 || info.max_questions > 0 ||
        info.max_steps > 0 || !whole.needs().empty())
        return nullptr;

    const std::int64_t one = 1;
    l2o_spec block{};
    block.struct_size = sizeof block;
    block.name = "x";
    block.doc = "one coordinate";
    block.dtype = static_cast<std::uint32_t>(layout.dtype);
    block.flags = L2O_SPEC_BATCHED;
    block.ndim = 1;
    block.shape = &one;
    Task task;
    task.blocks = {&block};
    task.name = "one coordinate";
    task.dtype = layout.dtype;
    std::unique_ptr<Slices> slices(new Slices(length));
    slices->optimizer_ = std::make_unique<Optimizer>(whole.entry(), whole.options().clone(), task);
    const Optimizer& single = *slices->optimizer_;

    const auto same_elements = [](const l2o_spec* a, const l2o_spec* b) {
        return elements(*a) == elements(*b) && a->dtype == b->dtype;
    };
    if (!std::equal(single.params().begin(),
                    single.params().end(),
                    whole.params().begin(),
                    whole.params().end(),
                    same_elements) ||
        single.state().size() * layout.blocks.size() != whole.state().size())
        return nullptr;

    for (const l2o_spec* spec : single.state()) slices->widths_.push_back(elements(*spec));
    for (std::size_t k = 0; k < layout.blocks.size(); ++k) {
        const std::int64_t coordinates = element_count(layout.blocks[k]);
        std::size_t i = 0;
        for (std::size_t index = 0; index < whole.state().size(); ++index) {
            const l2o_spec& state = *whole.state()[index];
            if (layout.blocks.size() > 1 && state.block != static_cast<std::int32_t>(k) + 1) continue;
            if (i == slices->widths_.size() || !has(state, L2O_SPEC_BATCHED) || state.dtype != block.dtype ||
                element_count(layout.state[index]) != coordinates * slices->widths_[i])
                return nullptr;
            slices->state_of_.push_back(index), ++i;
        }
        if (i != slices->widths_.size()) return nullptr;
        for (std::int64_t first = 0; first < coordinates; first += length)
            slices->all_.push_back({k, first, std::min(length, coordinates - first)});
    }
    return slices;
}

}  // namespace l2o::framework
