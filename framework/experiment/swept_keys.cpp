#include "framework/experiment/swept_keys.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string_view>

#include "framework/config/sweep_values.hpp"
#include "framework/error.hpp"

namespace l2o::framework {
namespace {

[[noreturn]] void refuse(const Origin& origin, const std::string& text) {
    throw Error(ExitCode::kUsage, origin.text() + ": " + text);
}

SweptKey read_key(const ConfigNode& node, const std::vector<std::string>& path, const std::string& place) {
    for (const ConfigNode& child : node.children) {
        if (child.key != kSweepKey && child.key != kZipKey)
            refuse(
                child.origin,
                "unknown key '" + place + "." + child.key +
                    "'; expected 'sweep VALUE VALUE ...' in one line, and 'zip NAME' for keys that advance "
                    "together");
    }
    const ConfigNode& list = *node.find(kSweepKey);
    const ConfigNode* zip = node.find(kZipKey);
    if (zip != nullptr && zip->value.empty()) refuse(zip->origin, place + ".zip is ''; expected a name");
    try {
        return {.path = path,
                .values = sweep_values(list.value),
                .zip = zip != nullptr ? zip->value : "",
                .origin = list.origin};
    } catch (const std::invalid_argument& expected) {
        refuse(list.origin, place + ".sweep is '" + list.value + "'; expected " + expected.what());
    }
}

void collect(const ConfigNode& node,
             std::vector<std::string>& path,
             const std::string& place,
             std::vector<SweptKey>& all) {
    for (const ConfigNode& child : node.children) {
        path.push_back(child.key);
        const std::string below = place + "." + child.key;
        if (child.is_sweep())
            all.push_back(read_key(child, path, below));
        else
            collect(child, path, below, all);
        path.pop_back();
    }
}

}  // namespace

std::string SweptKey::text() const { return fmt::format("{}", fmt::join(path, ".")); }

std::string SweptKey::label(std::size_t index) const {
    constexpr std::size_t kMostBytes = 24;  // chosen: a few of them are a short name
    const auto is_plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("_+-.,:").find(c) != std::string_view::npos;
    };
    const auto is_plain_word = [&](const std::string& value) {
        return !value.empty() && value.size() <= kMostBytes && std::ranges::all_of(value, is_plain);
    };
    return std::ranges::all_of(values, is_plain_word) ? values[index] : std::to_string(index + 1);
}

std::vector<SweptKey> swept_keys(const ConfigNode& section, const std::string& place) {
    std::vector<SweptKey> all;
    std::vector<std::string> path;
    collect(section, path, place, all);
    return all;
}

std::vector<std::vector<std::size_t>> axes_of(const std::vector<SweptKey>& all, const std::string& place) {
    std::vector<std::vector<std::size_t>> axes;
    std::map<std::string, std::size_t> zips;
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto [zip, is_new] = zips.emplace(all[i].zip, axes.size());
        if (all[i].zip.empty() || is_new) {
            axes.push_back({i});
            continue;
        }
        const SweptKey& first = all[axes[zip->second].front()];
        if (first.values.size() != all[i].values.size())
            refuse(
                all[i].origin,
                fmt::format("{}.{} has {} values, and {} of the same zip '{}' has {} ({}); expected as many",
                            place,
                            all[i].text(),
                            all[i].values.size(),
                            first.text(),
                            first.zip,
                            first.values.size(),
                            first.origin.text()));
        axes[zip->second].push_back(i);
    }
    for (const std::vector<std::size_t>& axis : axes) {
        const SweptKey& one = all[axis.front()];
        if (axis.size() == 1 && !one.zip.empty())
            refuse(one.origin,
                   place + "." + one.text() + ": no other key of the contestant has the zip '" + one.zip +
                       "'; expected one, or no zip");
    }
    return axes;
}

}  // namespace l2o::framework
