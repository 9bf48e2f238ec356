#include "framework/experiment/sweep.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>

#include "framework/config/compose.hpp"
#include "framework/config/sweep_values.hpp"
#include "framework/config/value_text.hpp"
#include "framework/error.hpp"
#include "framework/experiment/swept_keys.hpp"
#include "framework/experiment/training_seeds.hpp"

namespace l2o::framework {
namespace {

[[noreturn]] void refuse(const Origin& origin, const std::string& text) {
    throw Error(ExitCode::kUsage, origin.text() + ": " + text);
}

ConfigNode* find(ConfigNode& node, std::span<const std::string> path) {
    ConfigNode* at = &node;
    for (const std::string& key : path) {
        const auto child = std::ranges::find(at->children, key, &ConfigNode::key);
        if (child == at->children.end()) return nullptr;
        at = &*child;
    }
    return at;
}

void set(Member& member, const SweptKey& key, const std::string& value) {
    ConfigNode* node = find(member.contestant, key.path);
    if (node == nullptr) node = find(*member.train, std::span(key.path).subspan(1));
    *node = {.key = node->key, .value = value, .origin = key.origin};
}

/// `weights { 2 FILE }`: of the second member.
void take_weights(ConfigNode& contestant, const std::string& place, std::size_t number, std::size_t count) {
    ConfigNode* weights = find(contestant, std::vector<std::string>{"weights"});
    if (weights == nullptr || weights->children.empty()) return;
    for (const ConfigNode& child : weights->children) {
        const auto given = parse_int(child.key);
        if (!given || *given < 1 || *given > static_cast<std::int64_t>(count))
            refuse(child.origin,
                   fmt::format("unknown key '{}.weights.{}'; expected the number of a member, 1 to {}",
                               place,
                               child.key,
                               count));
    }
    const ConfigNode* own = weights->find(std::to_string(number));
    const ConfigNode given = own != nullptr ? *own : ConfigNode{};
    std::erase_if(contestant.children, [&](const ConfigNode& child) {
        return child.key == "weights" || (own != nullptr && child.key == "train");
    });
    if (own != nullptr)
        contestant.children.push_back({.key = "weights", .value = given.value, .origin = given.origin});
}

/// A contestant with all that is set for it.
ConfigNode with_shared(ConfigNode contestant, const ConfigNode* train) {
    if (train == nullptr) return contestant;
    ConfigNode both = *train;
    if (const ConfigNode* own = contestant.find("train")) merge_section(both, *own);
    std::erase_if(contestant.children, [](const ConfigNode& child) { return child.key == "train"; });
    contestant.children.push_back(std::move(both));
    return contestant;
}

/// Of numbers however they are written.
std::string canonical(const std::string& value) {
    const auto number = parse_real(value);
    return number ? format_real(*number) : value;
}

}  // namespace

std::vector<Member> members_of(const ConfigNode& written, const ConfigNode* train) {
    auto shared = train != nullptr ? std::optional(*train) : std::nullopt;
    const std::string place = "contestants." + written.key;
    ConfigNode contestant = written;
    expand_seeds(contestant, shared);
    const std::vector<SweptKey> keys =
        swept_keys(with_shared(contestant, shared ? &*shared : nullptr), place);
    if (keys.empty()) return {{.contestant = contestant, .train = shared, .group = contestant.key}};
    const std::vector<std::vector<std::size_t>> axes = axes_of(keys, place);
    std::vector<std::string> names;
    for (const SweptKey& key : keys) names.push_back(key.text());
    names = short_keys(names);
    std::size_t count = 1;
    for (const auto& axis : axes) {
        count *= keys[axis.front()].values.size();
        if (count > kMostSwept)
            refuse(contestant.origin,
                   fmt::format("{}: its sweeps make {} contestants or more; expected at most {}",
                               place,
                               count,
                               kMostSwept));
    }

    std::vector<Member> members;
    std::map<std::vector<std::string>, std::string> known;
    for (std::size_t n = 0; n < count; ++n) {
        Member member{.contestant = contestant, .train = shared, .group = contestant.key};
        member.contestant.written = contestant.key;
        std::vector<std::size_t> chosen(keys.size());
        std::size_t left = n;
        for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
            const std::size_t size = keys[axis->front()].values.size();
            for (const std::size_t i : *axis) chosen[i] = left % size;
            left /= size;
        }
        std::vector<std::string> same;
        for (std::size_t i = 0; i < keys.size(); ++i) {
            const std::string& value = keys[i].values[chosen[i]];
            set(member, keys[i], value);
            member.swept.emplace_back(keys[i].text(), value);
            member.contestant.key +=
                fmt::format("{}{}={}", i == 0 ? "." : ",", names[i], keys[i].label(chosen[i]));
            same.push_back(canonical(value));
        }
        take_weights(member.contestant, place, n + 1, count);
        const auto [other, is_new] = known.emplace(same, member.contestant.key);
        if (!is_new)
            refuse(keys.front().origin,
                   fmt::format("{}: '{}' and '{}' are the same; expected every value once",
                               place,
                               other->second,
                               member.contestant.key));
        members.push_back(std::move(member));
    }
    return members;
}

void refuse_sweeps(const ConfigNode& node, const std::string& path) {
    for (const ConfigNode& child : node.children) {
        const std::string place = path.empty() ? child.key : path + "." + child.key;
        if (child.is_sweep())
            refuse(child.find(kSweepKey)->origin,
                   place + ": only settings of contestants and of 'train' are swept; expected a value");
        refuse_sweeps(child, place);
    }
}

}  // namespace l2o::framework
