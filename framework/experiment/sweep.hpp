#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "framework/config/node.hpp"

namespace l2o::framework {

/// One of the contestants that a contestant of the file stands for.
struct Member {
    ConfigNode contestant;              ///< with a value in the place of every sweep; its key is its name
    std::optional<ConfigNode> train{};  ///< the shared section in the same way
    std::string group{};                ///< the name as it is written
    /// "optimizer.learning_rate" and its value, in the order of the file; empty: nothing is swept.
    std::vector<std::pair<std::string, std::string>> swept{};
};

/// All combinations of the values that a contestant sweeps (ConfigNode::is_sweep), the last key fastest; keys
/// that share a `zip` advance together. `train { seeds N }` is a sweep of N seeds of the training. A member
/// is called "adam.learning_rate=0.003", with as much of the keys as tells them apart and, where a value is
/// no plain word, its number; `weights { 2 FILE }` of a group are those of its second member, which is not
/// trained.
/// @param train  the shared section of who is trained: what the contestant does not set is swept here too.
/// @throw Error kUsage: file and line, what was found, what was expected.
[[nodiscard]] std::vector<Member> members_of(const ConfigNode& contestant, const ConfigNode* train);

/// @throw Error kUsage for a sweep where nothing can be swept. @param path  of the node, "" of the whole.
void refuse_sweeps(const ConfigNode& node, const std::string& path = "");

}  // namespace l2o::framework
