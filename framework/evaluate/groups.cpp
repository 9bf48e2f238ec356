#include "framework/evaluate/groups.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "framework/config/sweep_values.hpp"

namespace l2o::framework {

bool has_groups(const std::vector<Curve>& curves) {
    return std::ranges::any_of(curves, [](const Curve& curve) { return !curve.swept.empty(); });
}

bool begins_group(const std::vector<Curve>& curves, std::size_t index) {
    return !curves[index].swept.empty() && (index == 0 || curves[index - 1].group != curves[index].group);
}

std::string group_heading(const Curve& curve) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : curve.swept) keys.push_back(key);
    return fmt::format("{} by {}", curve.group, fmt::join(short_keys(keys), ", "));
}

std::string member_text(const Curve& curve) {
    if (curve.swept.empty()) return curve.contestant;
    constexpr std::size_t kMostBytes = 24;  // as in names: others have a number there
    std::vector<std::string> values;
    for (const auto& [key, value] : curve.swept) values.push_back(value);
    const auto is_long = [](const std::string& value) { return value.size() > kMostBytes; };
    if (std::ranges::any_of(values, is_long)) return curve.contestant.substr(curve.group.size() + 1);
    return fmt::format("{}", fmt::join(values, ", "));
}

std::string short_name(const Curve& curve) {
    return curve.swept.empty() ? curve.contestant : curve.group + " " + member_text(curve);
}

std::vector<GroupPlace> group_places(const std::vector<Curve>& curves) {
    std::vector<GroupPlace> places;
    for (std::size_t i = 0; i < curves.size(); ++i) {
        const bool goes_on = !curves[i].swept.empty() && !begins_group(curves, i);
        if (goes_on)
            places.push_back({places.back().group, places.back().member + 1, 0});
        else
            places.push_back({places.empty() ? 0 : places.back().group + 1, 0, 0});
    }
    for (std::size_t i = places.size(); i-- > 0;) {
        const bool is_last = i + 1 == places.size() || places[i + 1].group != places[i].group;
        places[i].members = is_last ? places[i].member + 1 : places[i + 1].members;
    }
    return places;
}

}  // namespace l2o::framework
