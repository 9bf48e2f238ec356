#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "framework/evaluate/evaluate.hpp"

namespace l2o::framework {

// Contestants that one of the file stands for are shown under a heading, without what their names share.

[[nodiscard]] bool has_groups(const std::vector<Curve>& curves);
/// Whether a heading comes before it.
[[nodiscard]] bool begins_group(const std::vector<Curve>& curves, std::size_t index);
/// "adam by learning_rate, beta1". @pre the contestant is of a group
[[nodiscard]] std::string group_heading(const Curve& curve);
/// Under the heading: "0.003, 0.9"; the name of a contestant that is of no group.
[[nodiscard]] std::string member_text(const Curve& curve);
/// Where there is no heading: "adam 0.003, 0.9".
[[nodiscard]] std::string short_name(const Curve& curve);

/// Where a contestant stands: one that is of no group is a group of its own.
struct GroupPlace {
    std::size_t group = 0, member = 0, members = 1;
};
[[nodiscard]] std::vector<GroupPlace> group_places(const std::vector<Curve>& curves);

}  // namespace l2o::framework
