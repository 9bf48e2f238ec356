#pragma once

#include <fmt/core.h>

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "framework/check/finding.hpp"
#include "framework/check/guarded.hpp"
#include "framework/plugin/optimizer.hpp"

namespace l2o::framework {

/// Option values as a host of another minor hands them in: a smaller one knows no field that the type of the
/// value does not use. Valid while the options are.
class SizedValues {
  public:
    SizedValues(const ResolvedOptions& options, HostSize size);
    SizedValues(const SizedValues&) = delete;
    SizedValues& operator=(const SizedValues&) = delete;
    [[nodiscard]] const std::vector<const l2o_value*>& abi() const { return pointers_; }

  private:
    std::deque<Sized<l2o_value>> values_;
    std::vector<const l2o_value*> pointers_;
};

/// A problem and its specs as a host of another minor hands them in: a smaller one knows no budget, and
/// bounds only of blocks that have them. Valid while the task is.
class SizedProblem {
  public:
    /// @param needs  as match_needs() says.   @pre task.max_evaluations is 0
    SizedProblem(const Task& task, const std::vector<int>& needs, HostSize size);
    SizedProblem(const SizedProblem&) = delete;
    SizedProblem& operator=(const SizedProblem&) = delete;
    [[nodiscard]] const l2o_problem& abi() const { return *problem_->get(); }

  private:
    const l2o_spec* resized(const l2o_spec& spec, HostSize size);

    std::deque<Sized<l2o_spec>> specs_;
    std::vector<const l2o_spec*> blocks_, data_;
    std::unique_ptr<Sized<l2o_problem>> problem_;
};

/// Creates an instance as a host of another size does, with `body(create)`, where create(description) passes
/// on what the kind takes beside its options.
/// @return  destroyed with the last owner.   @throw Broken: the plugin refuses.
template <class Instance, class Api, class Body>
std::shared_ptr<const void> create_as(const Api& api,
                                      const ResolvedOptions& options,
                                      HostSize size,
                                      Body&& body) {
    const SizedValues values(options, size);
    GuardedCall context({}, 0, 0, size);
    Instance* instance = nullptr;
    const l2o_status status = body([&](const auto& description) {
        return api.create(context.get(),
                          values.abi().data(),
                          static_cast<std::uint32_t>(values.abi().size()),
                          &description,
                          &instance);
    });
    if (status != L2O_STATUS_OK)
        throw Broken(fmt::format("create: returned status {}: {}", status, context.text()));
    return {instance, [destroy = api.destroy](Instance* own) { destroy(own); }};
}

}  // namespace l2o::framework
