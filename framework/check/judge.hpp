// Checks of a component, each in a child: what goes over the pipe, and what it makes of it.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "framework/check/bench.hpp"
#include "framework/check/conformance.hpp"

namespace l2o::framework {

inline constexpr const char* kCreates = "creates";

using Found = std::function<void(const Finding&)>;

[[nodiscard]] bool is_wanted(const Conformance& conformance, const std::string& name);
/// Seconds that a check may take.
[[nodiscard]] double limit_of(const Conformance& conformance);
[[nodiscard]] Finding about(const Subject& subject, const char* check, const char* rule);

/// What a check says, or throws.
[[nodiscard]] nlohmann::json verdict_of(const std::function<std::string()>& check);
/// One line; a plugin's text may hold bytes that are no UTF-8.
[[nodiscard]] std::string line_of(const nlohmann::json& message);
void take(const nlohmann::json& message, Finding& finding);
/// Runs a check in a child.
[[nodiscard]] Finding judge(Finding finding, double time_limit_s, const std::function<std::string()>& check);
/// @return  the check that hung; "" if none did.
std::string check_component(const Conformance& conformance, const Subject& subject, const Found& on_found);

/// What is set of an optimizee.
[[nodiscard]] std::map<std::string, std::string> settings_for(const Conformance& conformance,
                                                              const Catalog::Entry& entry);
/// What there is to know of a subject before it is checked.
struct Tried {
    bool is_answered = false;
    std::string refusal;  ///< why its optimizee does not suit; "" also if asking ends the process: see checks
    std::map<std::string, std::string> sizes;  ///< of the problem, which are too large without them
};
/// Asks in a child.
[[nodiscard]] Tried tried(const Conformance& conformance, const Subject& subject);
/// Adds why an optimizee does not suit, unless another one has the same reason.
void add_refusal(std::string& refusals, const std::string& refusal, const Catalog::Entry& optimizee);

}  // namespace l2o::framework
