#include "framework/config/section.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "framework/config/value_text.hpp"
#include "framework/error.hpp"
#include "framework/text/printable.hpp"
#include "framework/text/suggest.hpp"

namespace l2o::framework {
namespace {

const char* const kExpectedBool = "true or false";
const char* const kExpectedString = "a text";
const char* const kExpectedPath = "a path";

std::string expected_int(const Range& range) { return "a whole number" + range.text(); }
std::string expected_real(const Range& range) { return "a number" + range.text(); }

std::optional<std::string> parse_string(std::string_view text) { return std::string(text); }

[[noreturn]] void refuse(const std::string& text) { throw Error(ExitCode::kUsage, text); }

}  // namespace

struct Section::Shared {
    ConfigNode root;
    std::map<const ConfigNode*, std::set<std::string>> asked;  // per section, written or not the key
    std::map<const ConfigNode*, std::unordered_map<std::string_view, const ConfigNode*>> indices{};

    const ConfigNode* find(const ConfigNode& section, const std::string& key) {
        constexpr std::size_t kFewKeys = 16;  // chosen: so many are found without an index
        if (section.children.size() <= kFewKeys) return section.find(key);
        auto& index = indices[&section];
        if (index.empty()) {
            for (const ConfigNode& child : section.children) index.emplace(child.key, &child);
        }
        const auto found = index.find(key);
        return found == index.end() ? nullptr : found->second;
    }
};

Section::Section(ConfigNode root) : shared_(std::make_shared<Shared>()), node_(&shared_->root) {
    shared_->root = std::move(root);
    origin_ = shared_->root.origin;
}

Section::Section(
    std::shared_ptr<Shared> shared, const ConfigNode* node, std::string key, std::string path, Origin origin)
    : shared_(std::move(shared)),
      node_(node),
      key_(std::move(key)),
      path_(std::move(path)),
      origin_(std::move(origin)) {}

const Origin& Section::origin() const { return origin_; }

std::string Section::path_of(const std::string& key) const {
    const ConfigNode* node = node_ ? shared_->find(*node_, key) : nullptr;
    const std::string& shown = node && !node->written.empty() ? node->written : key;
    return path_.empty() ? shown : path_ + "." + shown;
}

std::string Section::where(const std::string& key) const {
    const ConfigNode* node = node_ ? shared_->find(*node_, key) : nullptr;
    return (node ? node->origin : origin_).text() + ": " + path_of(key);
}

const ConfigNode* Section::ask(const std::string& key) const {
    if (!node_) return nullptr;
    shared_->asked[node_].insert(key);
    return shared_->find(*node_, key);
}

template <typename Value, typename Parse>
std::optional<Value> Section::find(const std::string& key,
                                   const std::string& expected,
                                   Parse parse,
                                   Limit limit) const {
    const ConfigNode* node = ask(key);
    if (!node) return std::nullopt;
    if (!node->children.empty()) refuse(where(key) + " is a section; expected " + expected);
    std::optional<Value> value = parse(node->value);
    if (!value)
        refuse(where(key) + " is '" + node->value + "'; expected " + expected +
               (limit != nullptr ? limit(node->value) : ""));
    return value;
}

template <typename Value>
Value Section::must(const std::optional<Value>& value,
                    const std::string& key,
                    const std::string& expected) const {
    if (!value) refuse(where(key) + " is missing; expected " + expected);
    return *value;
}

std::optional<std::int64_t> Section::find_int(const std::string& key, const Range& range) const {
    const auto parse = [&](const std::string& text) {
        const auto value = parse_int(text);
        return value && range.contains(static_cast<double>(*value)) ? value : std::nullopt;
    };
    return find<std::int64_t>(
        key, expected_int(range), parse, std::isfinite(range.max) ? nullptr : &int_limit);
}

std::optional<double> Section::find_real(const std::string& key, const Range& range) const {
    const auto parse = [&](const std::string& text) {
        const auto value = parse_real(text);
        return value && range.contains(*value) ? value : std::nullopt;
    };
    return find<double>(key, expected_real(range), parse, &real_limit);
}

std::optional<std::string> Section::find_choice(const std::string& key,
                                                const std::vector<std::string>& choices) const {
    const auto text = find<std::string>(key, one_of(choices), parse_string);
    if (text && std::find(choices.begin(), choices.end(), *text) == choices.end()) {
        refuse(where(key) + " is '" + *text + "'; expected " + one_of(choices) + near_choice(*text, choices));
    }
    return text;
}

std::optional<std::filesystem::path> Section::find_path(const std::string& key) const {
    const ConfigNode* node = ask(key);
    return find<std::filesystem::path>(
        key, kExpectedPath, [&](const std::string& text) -> std::optional<std::filesystem::path> {
            if (text.empty()) return std::nullopt;
            const std::filesystem::path path = (node->origin.folder / text).lexically_normal();
            if (const std::string fault = text_fault(path.string()); !fault.empty())
                refuse(where(key) + " is '" + path.string() + "': " + fault +
                       "; rename the folder or the file");
            return path;
        });
}

std::int64_t Section::get_int(const std::string& key, std::int64_t absent, const Range& range) const {
    return find_int(key, range).value_or(absent);
}
std::int64_t Section::require_int(const std::string& key, const Range& range) const {
    return must(find_int(key, range), key, expected_int(range));
}

double Section::get_real(const std::string& key, double absent, const Range& range) const {
    return find_real(key, range).value_or(absent);
}
double Section::require_real(const std::string& key, const Range& range) const {
    return must(find_real(key, range), key, expected_real(range));
}

bool Section::get_bool(const std::string& key, bool absent) const {
    return find<bool>(key, kExpectedBool, parse_bool).value_or(absent);
}
bool Section::require_bool(const std::string& key) const {
    return must(find<bool>(key, kExpectedBool, parse_bool), key, kExpectedBool);
}

std::string Section::get_string(const std::string& key, const std::string& absent) const {
    return find<std::string>(key, kExpectedString, parse_string).value_or(absent);
}
std::string Section::require_string(const std::string& key) const {
    const char* const expected = "a text that is not empty";
    const auto parse = [](const std::string& text) {
        return text.empty() ? std::nullopt : parse_string(text);
    };
    return must(find<std::string>(key, expected, parse), key, expected);
}

std::string Section::get_choice(const std::string& key,
                                const std::string& absent,
                                const std::vector<std::string>& choices) const {
    return find_choice(key, choices).value_or(absent);
}
std::string Section::require_choice(const std::string& key, const std::vector<std::string>& choices) const {
    return must(find_choice(key, choices), key, one_of(choices));
}

std::uint64_t Section::get_bytes(const std::string& key, std::uint64_t absent) const {
    return find<std::uint64_t>(key, kExpectedBytes, parse_bytes).value_or(absent);
}
std::uint64_t Section::require_bytes(const std::string& key) const {
    return must(find<std::uint64_t>(key, kExpectedBytes, parse_bytes), key, kExpectedBytes);
}

std::filesystem::path Section::get_path(const std::string& key, const std::filesystem::path& absent) const {
    const ConfigNode* node = ask(key);
    return node && node->value.empty() && node->children.empty() ? std::filesystem::path{}
                                                                 : find_path(key).value_or(absent);
}
std::filesystem::path Section::require_path(const std::string& key) const {
    return must(find_path(key), key, kExpectedPath);
}

bool Section::has(const std::string& key) const { return ask(key) != nullptr; }

Section Section::child(const std::string& key) const {
    const ConfigNode* node = ask(key);
    if (node && !node->value.empty()) {
        refuse(where(key) + " is '" + node->value + "'; expected a section '" + key + " { ... }'");
    }
    return Section(shared_, node, key, path_of(key), node ? node->origin : origin_);
}

std::vector<Section> Section::children() const {
    std::vector<Section> sections;
    if (!node_) return sections;
    for (const ConfigNode& node : node_->children) sections.push_back(child(node.key));
    return sections;
}

std::vector<SettingText> Section::rest() const {
    std::vector<SettingText> settings;
    if (!node_) return settings;
    for (const ConfigNode& node : node_->children) {
        if (shared_->asked[node_].contains(node.key)) continue;
        const auto text = find<std::string>(node.key, "a value", parse_string);
        settings.push_back({.key = node.key, .text = *text, .origin = node.origin});
    }
    return settings;
}

void Section::refuse_unknown() const {
    if (!node_) return;
    const std::set<std::string>& asked = shared_->asked[node_];
    for (const ConfigNode& node : node_->children) {
        if (!asked.contains(node.key)) {
            const std::vector<std::string> known(asked.begin(), asked.end());
            refuse(node.origin.text() + ": unknown key '" + path_of(node.key) + "'" +
                   did_you_mean(node.key, known));
        }
        Section(shared_, &node, node.key, path_of(node.key), node.origin).refuse_unknown();
    }
}

}  // namespace l2o::framework
