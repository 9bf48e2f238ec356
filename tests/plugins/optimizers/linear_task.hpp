#pragma once

#include <l2o/sdk/spec.hpp>
#include <string>
#include <vector>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

namespace l2o::test {

/// A task of the form b = A x, without an optimizee behind it: bend it, and see what refuses it.
struct LinearTask {
    std::vector<TensorSpec> blocks{{.name = "x", .shape = {4}, .batched = true}};
    TensorSpec a{.name = "A", .shape = {3, 4}};
    TensorSpec b{.name = "b", .shape = {3}, .batched = true};
    bool has_lambda = true;
};

/// What the user reads when the optimizer refuses the task; empty if it does not.
inline std::string refusal(const std::string& optimizer,
                           const LinearTask& linear,
                           const OptionText& options = {}) {
    SpecList blocks, data;
    for (const TensorSpec& block : linear.blocks) blocks.add(block, L2O_DTYPE_F64);
    data.add(linear.a, L2O_DTYPE_F64), data.add(linear.b, L2O_DTYPE_F64);
    if (linear.has_lambda) data.add({.name = "lambda"}, L2O_DTYPE_F64);
    framework::Task task{.blocks = {}, .data = {}, .name = "task", .dtype = Dtype::kF64};
    for (std::uint32_t i = 0; i < blocks.size(); ++i) task.blocks.push_back(blocks.at(i));
    for (std::uint32_t i = 0; i < data.size(); ++i) task.data.push_back(data.at(i));

    const auto& entry = catalog().find(framework::Kind::kOptimizer, optimizer);
    try {
        const framework::Optimizer refused(
            entry,
            framework::resolve_options(
                entry.component.options,
                framework::settings_from(options, {.file = "test"}),
                {.origin = "test", .path = "options", .kind = "optimizer", .id = optimizer}),
            task);
    } catch (const framework::Error& error) {
        return error.what();
    }
    return "";
}

}  // namespace l2o::test
