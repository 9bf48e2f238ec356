#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "framework/plugin/catalog.hpp"

namespace l2o::framework {

/// What an optimizee publishes once its options are known: "blocks" and "data" (name, shape as "[B, m=5]",
/// dtype, doc; of data also whether they are a solution), "metrics" (name, doc, what is better, whether it
/// needs a solution) and "answers" (value, gradient, hvp, prox). It is created in a child process for that:
/// what it does there costs the child alone.
/// @param settings  options by name, as texts; the others have their defaults.
/// @pre   as for run_in_child()
/// @throw Error kUsage: the options are wrong, or one is missing. kPlugin: it cannot be created; it crashed,
/// or
///        took longer than the limit.
[[nodiscard]] nlohmann::json published_in_child(const Catalog::Entry& entry,
                                                const std::map<std::string, std::string>& settings,
                                                double time_limit_s);

}  // namespace l2o::framework
