#pragma once

#include "framework/config/settings.hpp"
#include "framework/experiment/experiment.hpp"

namespace l2o::framework {

/// What every `train` section is merged over: the experiment's problem, the loss trajectory_sum, the
/// meta-optimizer adam.
/// @param root  the whole configuration.
[[nodiscard]] ConfigNode train_defaults(const ConfigNode& root);

/// Lays a `train` section over another one. @throw Error kUsage if it is no section.
void lay_train_over(ConfigNode& base, const ConfigNode& overlay, const std::string& path);

/// Reads a complete `train` section.
/// @param node  the same section: it tells which multipliers there are.
[[nodiscard]] TrainSettings read_train(const Catalog& catalog,
                                       const ConfigNode& node,
                                       const Settings& section);

}  // namespace l2o::framework
