#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "framework/config/options.hpp"
#include "framework/error.hpp"
#include "framework/plugin/call.hpp"

namespace l2o::framework {

/// Creates an instance of a plugin: api.create with these options and what the kind takes beside them, into
/// `instance`, which destroys it.
/// @param who  opens the message of an Error.   @throw as CallContext::check(), kUsage for options
/// that do not go together.
template <class Instance, class Destroy, class Api, class Setting>
void create(std::unique_ptr<Instance, Destroy>& instance,
            const Api& api,
            const ResolvedOptions& options,
            const Setting& setting,
            const std::string& who) {
    CallContext call;
    const auto values = options.values();
    Instance* made = nullptr;
    const l2o_status status =
        api.create(call.plain(), values.data(), static_cast<std::uint32_t>(values.size()), &setting, &made);
    try {
        call.check(status, who);
    } catch (const Error& error) {
        if (status != L2O_STATUS_INVALID) throw;
        throw Error(ExitCode::kUsage, error.what());  // of the options
    }
    instance.reset(made);
}

}  // namespace l2o::framework
