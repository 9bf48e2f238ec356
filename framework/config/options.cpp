#include "framework/config/options.hpp"

#include <algorithm>
#include <cmath>
#include <l2o/files/json.hpp>
#include <utility>

#include "framework/config/options_text.hpp"
#include "framework/config/settings.hpp"
#include "framework/config/value_text.hpp"
#include "framework/error.hpp"
#include "framework/store/paths.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"
#include "framework/text/suggest.hpp"

namespace l2o::framework {
namespace {

std::string owner(const OptionContext& context) { return context.kind + " '" + context.id + "'"; }

}  // namespace

OptionSchema option_schema(const l2o_option& option) {
    OptionSchema schema{.type = option.type,
                        .key = option.key ? option.key : "",
                        .doc = option.doc ? option.doc : "",
                        .min = option.min,
                        .max = option.max,
                        .flags = option.flags};
    const bool is_required = (option.flags & L2O_OPTION_REQUIRED) != 0;
    if (option.def && !is_required) schema.def = option.def;
    for (const char* const* choice = option.choices; choice && *choice; ++choice)
        schema.choices.emplace_back(*choice);
    return schema;
}

nlohmann::json to_json(const OptionSchema& option) {
    nlohmann::json json{{"key", option.key}, {"type", option.type}, {"doc", option.doc}};
    if (option.def) json["default"] = *option.def;
    if (std::isfinite(option.min)) json["min"] = option.min;
    if (std::isfinite(option.max)) json["max"] = option.max;
    if (!option.choices.empty()) json["choices"] = option.choices;
    if (option.flags != 0) json["flags"] = option.flags;
    return json;
}

std::string expected_value(const OptionSchema& schema) {
    const std::string range = range_of(schema).text();
    switch (schema.type) {
        case L2O_OPTION_BOOL:
            return "true or false";
        case L2O_OPTION_INT:
            return "a whole number" + range;
        case L2O_OPTION_REAL:
            return "a number" + range;
        case L2O_OPTION_INTS:
            return "whole numbers separated by commas" + (range.empty() ? "" : ", each" + range);
        case L2O_OPTION_REALS:
            return "numbers separated by commas" + (range.empty() ? "" : ", each" + range);
        case L2O_OPTION_PATH:
            return "a path";
        case L2O_OPTION_TEXT:
            return "a text without control characters";
        case L2O_OPTION_CHOICE:
            return one_of(schema.choices);
        case kOptionBytes:
            return kExpectedBytes;
        default:
            return "a value of type " + std::to_string(schema.type) + ", which this host does not know";
    }
}

// nullopt: the text is no value of the option.
std::optional<ResolvedOptions::Stored> ResolvedOptions::store(const OptionSchema& schema,
                                                              const std::string& text,
                                                              const std::filesystem::path& folder) {
    const Range range = range_of(schema);
    const auto in_range = [&](auto number) { return range.contains(static_cast<double>(number)); };
    Stored stored{.key = schema.key, .text = text};
    l2o_value& value = stored.value;
    value.struct_size = sizeof(l2o_value);
    value.type = schema.type;
    switch (schema.type) {
        case L2O_OPTION_BOOL: {
            const auto flag = parse_bool(text);
            if (!flag) return std::nullopt;
            value.i = *flag ? 1 : 0;
            stored.text = *flag ? "true" : "false";
            return stored;
        }
        case L2O_OPTION_INT: {
            const auto number = parse_int(text);
            if (!number || !in_range(*number)) return std::nullopt;
            value.i = *number;
            stored.text = std::to_string(*number);
            return stored;
        }
        case L2O_OPTION_REAL: {
            const auto number = parse_real(text);
            if (!number || !range.contains(*number)) return std::nullopt;
            value.d = *number;
            stored.text = format_real(*number);
            return stored;
        }
        case L2O_OPTION_CHOICE: {
            const auto choice = std::find(schema.choices.begin(), schema.choices.end(), text);
            if (choice == schema.choices.end()) return std::nullopt;
            value.i = choice - schema.choices.begin();
            return stored;
        }
        case L2O_OPTION_INTS: {
            const auto numbers = parse_ints(text);
            if (!numbers || !std::all_of(numbers->begin(), numbers->end(), in_range)) return std::nullopt;
            stored.ints = *numbers;
            stored.text = format_ints(*numbers);
            return stored;
        }
        case L2O_OPTION_REALS: {
            const auto numbers = parse_reals(text);
            if (!numbers || !std::all_of(numbers->begin(), numbers->end(), in_range)) return std::nullopt;
            stored.reals = *numbers;
            stored.text = format_reals(*numbers);
            return stored;
        }
        case L2O_OPTION_TEXT:
            if (!text_fault(text).empty() || text.find_first_of("\t\r\n") != std::string::npos)
                return std::nullopt;
            return stored;
        case L2O_OPTION_PATH:
            if (!text.empty()) stored.text = absolute_path(folder / text).string();
            return stored;
        default:
            return std::nullopt;
    }
}

ResolvedOptions::ResolvedOptions(std::vector<Stored> stored) : stored_(std::move(stored)) {
    for (Stored& entry : stored_) {  // the vector has its final place; only now may anything point into it
        l2o_value& value = entry.value;
        if (value.type == L2O_OPTION_CHOICE || value.type == L2O_OPTION_PATH || value.type == L2O_OPTION_TEXT)
            value.s = entry.text.c_str();
        value.iv = entry.ints.data();
        value.dv = entry.reals.data();
        value.count = entry.ints.size() + entry.reals.size();  // one of them is empty
        values_.push_back(&value);
    }
}

std::map<std::string, std::string> ResolvedOptions::canonical() const {
    std::map<std::string, std::string> texts;
    for (const Stored& entry : stored_) texts[entry.key] = entry.text;
    return texts;
}

nlohmann::json ResolvedOptions::to_json() const {
    nlohmann::json json = nlohmann::json::object();
    for (const Stored& entry : stored_) {
        switch (entry.value.type) {
            case L2O_OPTION_BOOL:
                json[entry.key] = entry.value.i != 0;
                break;
            case L2O_OPTION_INT:
                json[entry.key] = entry.value.i;
                break;
            case L2O_OPTION_REAL:
                json[entry.key] = entry.value.d;
                break;
            case L2O_OPTION_INTS:
                json[entry.key] = entry.ints;
                break;
            case L2O_OPTION_REALS:
                json[entry.key] = entry.reals;
                break;
            default:
                json[entry.key] = entry.text;
                break;
        }
    }
    return json;
}

ResolvedOptions resolve_options(std::span<const OptionSchema> schema,
                                std::span<const SettingText> given,
                                const OptionContext& context) {
    std::vector<std::string> keys;
    for (const OptionSchema& option : schema) keys.push_back(option.key);

    std::map<std::string, const SettingText*> chosen;
    for (const SettingText& setting : given) {
        if (setting.key == "use") continue;
        if (std::find(keys.begin(), keys.end(), setting.key) == keys.end()) {
            throw Error(ExitCode::kUsage,
                        setting.origin.text() + ": " + context.path + ": " + owner(context) +
                            " has no option '" + setting.key + "'" +
                            (keys.empty() ? "; it has none" : did_you_mean(setting.key, keys)));
        }
        chosen[setting.key] = &setting;
    }

    std::vector<ResolvedOptions::Stored> stored;
    for (const OptionSchema& option : schema) {
        const auto setting = chosen.find(option.key);
        const bool is_given = setting != chosen.end();
        if (!is_given && !option.def) {
            throw Error(ExitCode::kUsage,
                        context.origin + ": " + context.path + "." + option.key + " is missing; " +
                            owner(context) + " requires " + expected_value(option));
        }
        const std::string& text = is_given ? setting->second->text : *option.def;
        auto value = ResolvedOptions::store(
            option, text, is_given ? setting->second->origin.folder : std::filesystem::path{});
        if (!value) {
            const std::string fault =
                " is '" + text + "'; expected " + expected_value(option) +
                (option.type == L2O_OPTION_INT && !std::isfinite(option.max) ? int_limit(text) : "") +
                (option.type == L2O_OPTION_REAL ? real_limit(text) : "");
            if (!is_given) {
                throw Error(ExitCode::kPlugin,
                            owner(context) + ": the default of option '" + option.key + "'" + fault);
            }
            throw Error(ExitCode::kUsage,
                        setting->second->origin.text() + ": " + context.path + "." + option.key + fault +
                            near_choice(text, option.choices));
        }
        if (const std::string fault = text_fault(value->text);
            option.type == L2O_OPTION_PATH && !fault.empty()) {
            const std::string where = is_given ? setting->second->origin.text() : context.origin;
            throw Error(ExitCode::kUsage,
                        where + ": " + context.path + "." + option.key + " is '" + value->text +
                            "': " + fault + "; rename the folder or the file");
        }
        stored.push_back(std::move(*value));
    }
    return ResolvedOptions(std::move(stored));
}

std::map<std::string, std::string> options_from_json(const nlohmann::json& json, const std::string& where) {
    const auto text_of = [&](const std::string& key, const nlohmann::json& value) -> std::string {
        if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
        if (value.is_number_integer()) return value.dump();
        if (value.is_number_float()) return format_real(value.get<double>());
        if (value.is_string()) return value.get<std::string>();
        const auto is_int = [](const nlohmann::json& item) { return item.is_number_integer(); };
        const auto is_number = [](const nlohmann::json& item) { return item.is_number(); };
        if (value.is_array() && std::all_of(value.begin(), value.end(), is_int))
            return format_ints(value.get<std::vector<std::int64_t>>());
        if (value.is_array() && std::all_of(value.begin(), value.end(), is_number))
            return format_reals(value.get<std::vector<double>>());
        throw Error(ExitCode::kUsage,
                    where + ": option '" + key + "' is '" + value.dump() +
                        "'; expected a number, a text, true, false or a list of numbers");
    };
    if (!json.is_object()) {
        throw Error(ExitCode::kUsage, where + " is '" + json.dump() + "'; expected an object of options");
    }
    std::map<std::string, std::string> texts;
    for (const auto& [key, value] : json.items()) texts[key] = text_of(key, value);
    return texts;
}

std::map<std::string, std::string> options_from_text(std::string_view text, const std::string& where) {
    try {
        constexpr std::size_t kMaxDepth = 2;  // an option may be a list
        return options_from_json(files::parse_json(text, kMaxDepth, "an object of plain values and lists"),
                                 where);
    } catch (const files::JsonFault& fault) {
        throw Error(ExitCode::kUsage, where + " is '" + std::string(text) + "', which " + fault.what());
    }
}

std::vector<SettingText> settings_from(const std::map<std::string, std::string>& texts,
                                       const Origin& origin) {
    std::vector<SettingText> settings;
    for (const auto& [key, text] : texts) settings.push_back({.key = key, .text = text, .origin = origin});
    return settings;
}

}  // namespace l2o::framework
