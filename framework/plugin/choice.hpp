#pragma once

#include <string>
#include <vector>

#include "framework/config/options.hpp"
#include "framework/config/section.hpp"
#include "framework/plugin/catalog.hpp"

namespace l2o::framework {

/// A plugin and its settings as an experiment chose them: `optimizer { use lista  layers 16 }`.
struct PluginChoice {
    Catalog::Entry entry;
    std::vector<SettingText> settings;
    OptionContext context;

    [[nodiscard]] const std::string& id() const { return entry.component.id; }
    /// Checked against the plugin's schema; what is not set is as in a weight file, else the default.
    [[nodiscard]] ResolvedOptions resolve(const std::vector<SettingText>& from_weights = {}) const;
};

/// Reads a `{ use id ... }` section and checks its options. @throw Error kUsage, at the place in the file.
[[nodiscard]] PluginChoice read_choice(const Catalog& catalog, Kind kind, const Section& section);
/// The same without the options: those of a weight file may be missing yet.
[[nodiscard]] PluginChoice read_unchecked_choice(const Catalog& catalog, Kind kind, const Section& section);
/// The plugin that a setting names. @throw Error kUsage that opens with `where`.
[[nodiscard]] const Catalog::Entry& find_at(const Catalog& catalog,
                                            Kind kind,
                                            const std::string& id,
                                            const std::string& where);
/// "; known: fista, ista": the tail of a message on a plugin that is not named.
[[nodiscard]] std::string known_plugins(const Catalog& catalog, Kind kind);

}  // namespace l2o::framework
