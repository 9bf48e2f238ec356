#include "framework/config/compose.hpp"

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "framework/config/info_scan.hpp"
#include "framework/error.hpp"
#include "framework/store/paths.hpp"
#include "framework/text/plugin_name.hpp"
#include "framework/text/printable.hpp"
#include "framework/text/suggest.hpp"

namespace l2o::framework {
namespace {

constexpr std::size_t kFewKeys = 8;  // chosen: so many are found without an index

ConfigNode single_setting(const std::string& override_text, const Origin& origin) {
    const auto refuse = [&](const std::string& fault) {
        throw Error(ExitCode::kUsage,
                    "--set '" + override_text + "': " + fault +
                        "; expected 'key.path=value', such as 'train.epochs=10'");
    };
    if (const std::string fault = text_fault(override_text); !fault.empty()) refuse(fault);
    const std::size_t equals = override_text.find('=');
    if (equals == std::string::npos) refuse("there is no '='");
    std::string path = override_text.substr(0, equals);
    if (static_cast<std::size_t>(std::count(path.begin(), path.end(), '.')) >= kMaxDepth)
        refuse("there are more than " + std::to_string(kMaxDepth) + " keys in the path");

    ConfigNode node{.value = override_text.substr(equals + 1), .origin = origin};
    while (true) {  // from the last key to the first, wrapping a section round what there is
        const std::size_t dot = path.rfind('.');
        node.key = dot == std::string::npos ? path : path.substr(dot + 1);
        if (const std::string fault = key_fault(node.key); !fault.empty()) refuse(fault);
        ConfigNode section{.origin = origin};
        section.children.push_back(std::move(node));
        if (dot == std::string::npos) return section;
        node = std::move(section);
        path.resize(dot);
    }
}

/// An empty value in the place of a section means nothing.
void refuse_emptied_section(const ConfigNode& base, const ConfigNode& setting, const std::string& path) {
    for (const ConfigNode& child : setting.children) {
        const ConfigNode* known = base.find(child.key);
        if (known == nullptr || known->children.empty() || known->is_sweep()) continue;
        const std::string place = path + child.key;
        refuse_emptied_section(*known, child, place + ".");
        if (!child.children.empty() || !child.value.empty()) continue;
        std::vector<std::string> keys;
        for (const ConfigNode& inner : known->children) keys.push_back(inner.key);
        throw Error(ExitCode::kUsage,
                    child.origin.text() + ": " + place + " is empty, and stands for a section; expected '" +
                        place + ".KEY=VALUE', KEY " + one_of(keys));
    }
}

}  // namespace

void merge_section(ConfigNode& base, const ConfigNode& overlay) {
    const ConfigNode* use_before = base.find("use");
    const ConfigNode* use_now = overlay.find("use");
    if (use_before && use_now && PluginName(use_before->value).id != PluginName(use_now->value).id)
        base.children.clear();

    // The index has views of keys, which a growing vector would move.
    const std::size_t most = base.children.size() + overlay.children.size();
    if (most > base.children.capacity()) base.children.reserve(std::max(most, 2 * base.children.capacity()));
    std::unordered_map<std::string_view, ConfigNode*> index;
    const bool is_indexed = overlay.children.size() > kFewKeys;
    if (is_indexed) {
        for (ConfigNode& child : base.children) index.emplace(child.key, &child);
    }
    const auto find = [&](const std::string& key) {
        if (is_indexed) {
            const auto found = index.find(key);
            return found == index.end() ? nullptr : found->second;
        }
        const auto found = std::ranges::find(base.children, key, &ConfigNode::key);
        return found == base.children.end() ? nullptr : &*found;
    };
    for (const ConfigNode& child : overlay.children) {
        ConfigNode* known = find(child.key);
        if (known == nullptr) {
            ConfigNode& added = base.children.emplace_back(child);
            if (is_indexed) index.emplace(added.key, &added);
            continue;
        }
        const bool is_pure_section = child.value.empty() && !child.children.empty();
        // A value and a sweep of values replace one another.
        if (child.is_sweep()) known->value.clear();
        if (!is_pure_section && known->is_sweep()) known->children.clear();
        if (!is_pure_section) {
            known->value = child.value;
            known->origin = child.origin;
        }
        merge_section(*known, child);
    }
}

void apply_overrides(ConfigNode& root, const std::vector<std::string>& overrides) {
    const Origin origin{.file = "--set", .folder = working_folder()};
    // All of them first form one tree: `use` given last must not drop the options given before it.
    ConfigNode overlay;
    std::map<std::string, std::string> given;
    for (const std::string& text : overrides) {
        const ConfigNode setting = single_setting(text, origin);
        const std::size_t equals = text.find('=');
        const std::string path = text.substr(0, equals), value = text.substr(equals + 1);
        if (const auto [earlier, is_new] = given.emplace(path, value); !is_new)
            throw Error(ExitCode::kUsage,
                        "--set: " + path + " is given twice, '" + earlier->second + "' and '" + value +
                            "'; expected one of them");
        refuse_emptied_section(root, setting, "");
        merge_section(overlay, setting);
    }
    merge_section(root, overlay);
}

std::string key_fault(const std::string& key) {
    if (key.empty()) return "a key is empty";
    if (key.find('.') != std::string::npos) return "the key '" + key + "' contains a dot";
    if (key.front() == '#') return "the key '" + key + "' starts with '#'";
    return "";
}

}  // namespace l2o::framework
