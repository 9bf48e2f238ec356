#include "framework/plugin/choice.hpp"

#include "framework/error.hpp"
#include "framework/text/suggest.hpp"

namespace l2o::framework {

ResolvedOptions PluginChoice::resolve(const std::vector<SettingText>& from_weights) const {
    std::vector<SettingText> given = from_weights;
    given.insert(given.end(), settings.begin(), settings.end());
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

std::string known_plugins(const Catalog& catalog, Kind kind) {
    std::vector<std::string> ids;
    for (const Catalog::Entry& entry : catalog.entries())
        if (entry.component.kind == kind) ids.push_back(entry.component.id);
    return did_you_mean("", ids);
}

PluginChoice read_unchecked_choice(const Catalog& catalog, Kind kind, const Section& section) {
    if (!section.has("use"))
        throw Error(ExitCode::kUsage,
                    section.where("use") + " is missing; expected 'use ID'" + known_plugins(catalog, kind));
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

}  // namespace l2o::framework
