#pragma once

#include <string>
#include <vector>

#include "framework/config/node.hpp"

namespace l2o::framework {

/// Lays the settings of one section over those of another: a later value wins, sections merge key by key. Of
/// a value and a sweep of values (ConfigNode::is_sweep) the later one wins as well.
/// Linear in the keys of both.
/// Where `use` names another plugin than before, the earlier settings of that section go: they belonged to
/// the other plugin. Another version of it keeps them.
void merge_section(ConfigNode& base, const ConfigNode& overlay);

/// Lays "key.path=value" texts over a tree. A later text wins over an earlier one; whether an option or the
/// `use` beside it is given first makes no difference.
/// @throw Error kUsage if a text has another form, or is no text (see text_fault), naming it.
void apply_overrides(ConfigNode& root, const std::vector<std::string>& overrides);

/// Why a key cannot be part of a path ("contains a dot"), or "" if it can.
std::string key_fault(const std::string& key);

}  // namespace l2o::framework
