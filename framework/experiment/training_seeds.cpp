#include "framework/experiment/training_seeds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "framework/config/sweep_values.hpp"
#include "framework/config/value_text.hpp"
#include "framework/error.hpp"
#include "framework/experiment/section_schemas.hpp"

namespace l2o::framework {
namespace {

[[noreturn]] void refuse(const Origin& origin, const std::string& text) {
    throw Error(ExitCode::kUsage, origin.text() + ": " + text);
}

}  // namespace

void expand_seeds(ConfigNode& contestant, std::optional<ConfigNode>& train) {
    struct Found {
        const ConfigNode* node = nullptr;
        bool is_own = false;
        std::string key{};
    };
    const auto section = std::ranges::find(contestant.children, "train", &ConfigNode::key);
    ConfigNode* own = section != contestant.children.end() ? &*section : nullptr;
    const auto setting = [&](const std::string& key) -> Found {
        if (const ConfigNode* node = own != nullptr ? own->find(key) : nullptr)
            return {node, true, "contestants." + contestant.key + ".train." + key};
        return {train ? train->find(key) : nullptr, false, "train." + key};
    };
    const Found seeds = setting("seeds"), seed = setting("seed");
    if (seeds.node == nullptr) return;
    const auto count = parse_int(seeds.node->value);
    if (!seeds.node->children.empty() || !count || *count < 1 ||
        *count > static_cast<std::int64_t>(kMostSwept))
        refuse(seeds.node->origin,
               fmt::format("{} is '{}'; expected how many trainings, a whole number in [1, {}]",
                           seeds.key,
                           seeds.node->is_sweep() ? seeds.node->find(kSweepKey)->value : seeds.node->value,
                           kMostSwept));
    const bool is_swept = seed.node != nullptr && seed.node->is_sweep();
    if (is_swept && seed.is_own == seeds.is_own)
        refuse(seeds.node->origin,
               fmt::format("{} is '{}', and {} is swept; expected one of the two",
                           seeds.key,
                           seeds.node->value,
                           seed.key));
    std::optional<ConfigNode> swept;
    if (!is_swept || seeds.is_own) {
        const bool is_set = seed.node != nullptr && !is_swept;
        const std::int64_t most = static_cast<std::int64_t>(kMaxCount) - *count + 1;
        const auto first = is_set ? parse_int(seed.node->value) : 0;
        if (!first || *first < 0 || *first > most)
            refuse(seed.node->origin,
                   fmt::format(
                       "{} is '{}'; expected a whole number in [0, {}]", seed.key, seed.node->value, most));
        std::string values;
        for (std::int64_t i = 0; i < *count; ++i) values += (i > 0 ? " " : "") + std::to_string(*first + i);
        swept.emplace(ConfigNode{.key = "seed", .origin = seeds.node->origin});
        if (*count > 1)
            swept->children = {{.key = kSweepKey, .value = values, .origin = seeds.node->origin}};
        else
            swept->value = values;
    }
    for (ConfigNode* settings : {own, train ? &*train : nullptr}) {
        if (settings == nullptr) continue;
        std::erase_if(settings->children, [&](const ConfigNode& child) {
            return child.key == "seeds" || (swept && child.key == "seed");
        });
    }
    if (swept) (own != nullptr ? *own : *train).children.push_back(std::move(*swept));
}

}  // namespace l2o::framework
