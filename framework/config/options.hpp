#pragma once

#include <l2o/abi/option.h>

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "framework/config/section.hpp"

namespace l2o::framework {

/// An option that a plugin declares; owns what an l2o_option points to.
struct OptionSchema {
    std::int32_t type = 0;  ///< L2O_OPTION_BOOL ... L2O_OPTION_REALS
    std::string key{}, doc{};
    std::optional<std::string> def{};  ///< default in text form; nullopt: required
    double min = -std::numeric_limits<double>::infinity();
    double max = std::numeric_limits<double>::infinity();
    std::vector<std::string> choices{};
    std::uint64_t flags = 0;

    friend bool operator==(const OptionSchema&, const OptionSchema&) = default;
};

/// @param option  of this header: see normalised().
OptionSchema option_schema(const l2o_option& option);

/// "a number in [0, 1)": the values an option takes, for messages and --help.
std::string expected_value(const OptionSchema& schema);

/// Whose options they are and where they were written.
struct OptionContext {
    std::string origin;  ///< "sparse.info:3"
    std::string path;    ///< "contestants.lista.optimizer"
    std::string kind;    ///< "optimizer"
    std::string id;      ///< "lista"
};

/// The value of every option of one plugin, in schema order.
/// Movable; the values keep their addresses. Not copyable: they point into it.
class ResolvedOptions {
  public:
    ResolvedOptions(ResolvedOptions&&) noexcept = default;
    ResolvedOptions& operator=(ResolvedOptions&&) noexcept = default;
    ResolvedOptions(const ResolvedOptions&) = delete;
    ResolvedOptions& operator=(const ResolvedOptions&) = delete;
    ~ResolvedOptions() = default;
    [[nodiscard]] ResolvedOptions clone() const { return ResolvedOptions(stored_); }

    /// What a plugin's create takes; lives as long as this.
    [[nodiscard]] std::span<const l2o_value* const> values() const { return values_; }
    /// Every option in its one text form (shortest numbers, absolute paths): for hashes and metadata.
    [[nodiscard]] std::map<std::string, std::string> canonical() const;
    [[nodiscard]] nlohmann::json to_json() const;

  private:
    struct Stored {
        std::string key{}, text{};  // text: canonical
        std::vector<std::int64_t> ints{};
        std::vector<double> reals{};
        l2o_value value{};
    };
    explicit ResolvedOptions(std::vector<Stored> stored);
    friend ResolvedOptions resolve_options(std::span<const OptionSchema>,
                                           std::span<const SettingText>,
                                           const OptionContext&);
    static std::optional<Stored> store(const OptionSchema& schema,
                                       const std::string& text,
                                       const std::filesystem::path& folder);

    std::vector<Stored> stored_;
    std::vector<const l2o_value*> values_;
};

/// Checks settings against a plugin's schema and fills in the defaults.
/// The key `use` is skipped. Where a key is given twice the later one counts: list the sources from the
/// weakest to the strongest. A relative L2O_OPTION_PATH refers to the folder of its origin.
/// @throw Error kUsage for an unknown key, a text that is no value of its option, a missing required option;
///        kPlugin for a default that is no value.
ResolvedOptions resolve_options(std::span<const OptionSchema> schema,
                                std::span<const SettingText> given,
                                const OptionContext& context);

/// Options read back from ResolvedOptions::to_json, as texts.
/// @param where  opens messages: "weights.safetensors: l2o.options".
/// @throw Error kUsage if it is no object of plain values.
std::map<std::string, std::string> options_from_json(const nlohmann::json& json, const std::string& where);

/// Texts from one source as settings.
std::vector<SettingText> settings_from(const std::map<std::string, std::string>& texts, const Origin& origin);

}  // namespace l2o::framework
