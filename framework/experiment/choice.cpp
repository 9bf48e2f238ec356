#include <algorithm>
#include <iterator>

#include "framework/config/suggest.hpp"
#include "framework/error.hpp"
#include "framework/experiment/experiment.hpp"

namespace l2o::framework {

ResolvedOptions PluginChoice::resolve(const std::vector<SettingText>& from_weights) const {
    const auto is_override = [](const SettingText& setting) { return setting.origin.is_override; };
    std::vector<SettingText> given;
    std::remove_copy_if(settings.begin(), settings.end(), std::back_inserter(given), is_override);
    given.insert(given.end(), from_weights.begin(), from_weights.end());
    std::copy_if(settings.begin(), settings.end(), std::back_inserter(given), is_override);
    return resolve_options(entry.component.options, given, context);
}

const Catalog::Entry& find_at(const Catalog& catalog,
                              Kind kind,
                              const std::string& id,
                              const std::string& where) {
    try {
        return catalog.find(kind, id);
    } catch (const Error& error) {
        throw Error(error.code(), where + ": " + error.what());
    }
}

PluginChoice read_unchecked_choice(const Catalog& catalog, Kind kind, const Section& section) {
    const std::string id = section.require_string("use");
    return {.entry = find_at(catalog, kind, id, section.where("use")),
            .settings = section.rest(),
            .context = {
                .origin = section.origin().text(), .path = section.path(), .kind = name_of(kind), .id = id}};
}

PluginChoice read_choice(const Catalog& catalog, Kind kind, const Section& section) {
    PluginChoice choice = read_unchecked_choice(catalog, kind, section);
    static_cast<void>(choice.resolve());
    return choice;
}

SafeguardChoice safeguard_choice(const Catalog::Entry& classic,
                                 const std::vector<SettingText>& settings,
                                 const OptionContext& context) {
    const std::vector<OptionSchema>& own = safeguard_schema();
    const auto has = [](const std::vector<OptionSchema>& schema, const std::string& key) {
        return std::any_of(
            schema.begin(), schema.end(), [&](const OptionSchema& option) { return option.key == key; });
    };
    std::vector<SettingText> of_rule, of_classic;
    for (const SettingText& setting : settings) {
        if (!has(own, setting.key) && !has(classic.component.options, setting.key)) {
            std::vector<std::string> known;
            for (const auto* schema : {&own, &classic.component.options}) {
                for (const OptionSchema& option : *schema) known.push_back(option.key);
            }
            throw Error(ExitCode::kUsage,
                        setting.origin.text() + ": " + context.path + ": neither the safeguard nor '" +
                            classic.component.id + "' has an option '" + setting.key + "'" +
                            did_you_mean(setting.key, known));
        }
        (has(own, setting.key) ? of_rule : of_classic).push_back(setting);
    }
    const OptionContext rule{
        .origin = context.origin, .path = context.path, .kind = "safeguard", .id = classic.component.id};
    SafeguardChoice choice{
        .classic = {.entry = classic, .settings = of_classic, .context = context},
        .rule = safeguard_rule(resolve_options(own, of_rule, rule), context.origin + ": " + context.path)};
    static_cast<void>(choice.classic.resolve());
    return choice;
}

}  // namespace l2o::framework
