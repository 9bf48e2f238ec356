#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "framework/config/options.hpp"
#include "framework/error.hpp"
#include "framework/plugin/call.hpp"

namespace l2o::framework {

/// What a plugin says of its options, or of what it is created for. Who knows the place in a file adds it.
class Refusal : public Error {
  public:
    using Error::Error;
};

/// Creates an instance of a plugin: api.create with these options and what the kind takes beside them, into
/// `instance`, which destroys it.
/// @param who  opens the message of an Error.
/// @throw Diverged, or Refusal with the code of CallContext::check(), kUsage for options that do not go
/// together.
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
        throw Refusal(status == L2O_STATUS_INVALID ? ExitCode::kUsage : error.code(), error.what());
    }
    instance.reset(made);
}

}  // namespace l2o::framework
