#pragma once

#include "framework/experiment/experiment.hpp"

namespace l2o::framework {

/// Whether a name is short and shown as it is; files are called after it. A '/' is another matter.
[[nodiscard]] bool can_name_file(const std::string& name);

/// Checks the keys of one contestant, and lays its `train` over the shared one if it is to be trained.
/// @param node   the contestant; its `train` is complete afterwards, or there is none.
/// @param root   the whole configuration.
/// @param train  the shared section; NULL: there is none.
/// @throw Error kUsage: a key too many or missing, at its place.
void complete_contestant(const Catalog& catalog,
                         ConfigNode& node,
                         const ConfigNode& root,
                         const ConfigNode* train);

/// Reads a complete contestant; its hash is left empty.
[[nodiscard]] Contestant read_contestant(const Catalog& catalog,
                                         const ConfigNode& node,
                                         const Section& section);

/// Refuses any other key. Comes before all else about a section: a mistyped key must not be reported as a
/// missing one.
void refuse_other_keys(const ConfigNode& node,
                       const std::string& path,
                       const std::vector<std::string>& known);

}  // namespace l2o::framework
