#pragma once

#include "framework/experiment/experiment.hpp"
#include "framework/experiment/sweep.hpp"

namespace l2o::framework {

/// Whether a name is short and shown as it is; files are called after it. A '/' is another matter.
[[nodiscard]] bool can_name_file(const std::string& name);

/// Checks name and keys of one contestant of the file. @return who it stands for, see members_of()
/// @param train  the shared section; NULL: there is none. Members have it only if they are trained.
/// @throw Error kUsage: a key too many, a sweep that is none, `train` or `weights` of what has nothing to
/// learn, at its place.
[[nodiscard]] std::vector<Member> members_of_written(const Catalog& catalog,
                                                     const ConfigNode& node,
                                                     const ConfigNode* train);

/// Lays the `train` of one contestant over the shared one if it is to be trained.
/// @param node   the contestant; its `train` is complete afterwards, or there is none.
/// @param root   the whole configuration.
/// @param train  the shared section; NULL: there is none.
/// @throw Error kUsage: a key too many or missing, at its place.
void complete_contestant(const Catalog& catalog,
                         ConfigNode& node,
                         const ConfigNode& root,
                         const ConfigNode* train);

/// Reads a complete contestant; its hash is left empty.
/// @throw Error kUsage
[[nodiscard]] Contestant read_contestant(const Catalog& catalog,
                                         const Member& member,
                                         const Section& section);

/// Refuses any other key. Comes before all else about a section: a mistyped key must not be reported as a
/// missing one.
void refuse_other_keys(const ConfigNode& node,
                       const std::string& path,
                       const std::vector<std::string>& known);

}  // namespace l2o::framework
