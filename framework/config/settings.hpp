#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "framework/config/options.hpp"
#include "framework/config/section.hpp"

namespace l2o::framework {

/// A type of option beside those of the ABI, which no plugin can declare: a size in bytes, see parse_bytes.
inline constexpr std::int32_t kOptionBytes = -1;

/// In the place of a key: any that the user chooses.
inline constexpr const char* kAnyKey = "NAME";

/// A section of an experiment file: what it may hold, as its manual has it and as it is read.
/// A default "" stands for one that depends on other settings, or for none; the doc says which.
struct SectionSchema {
    std::string key{}, doc{};
    std::vector<OptionSchema> options{};
    std::vector<SectionSchema> sections{};
    /// "optimizer", "optimizee" or "loss": the options of the one that `use` names may be here too. "": none.
    std::string plugin{};
    bool nests = false;  ///< a key with dots, `a.b`, may be written a { b ... }

    /// @throw std::logic_error if there is none of this key.
    [[nodiscard]] const OptionSchema& option(const std::string& key) const;
    [[nodiscard]] const SectionSchema& section(const std::string& key) const;
};

[[nodiscard]] Range range_of(const OptionSchema& option);

/// A section read through its schema: types, ranges, choices and defaults are those of the schema, and what
/// it does not have cannot be asked for. Getters throw what those of Section do.  [one thread]
class Settings {
  public:
    /// @param schema  borrowed.
    Settings(Section section, const SectionSchema& schema);

    std::int64_t get_int(const std::string& key) const;
    std::int64_t get_int(const std::string& key, std::int64_t absent) const;
    double get_real(const std::string& key) const;
    double get_real(const std::string& key, double absent) const;
    bool get_bool(const std::string& key) const;
    std::string get_text(const std::string& key) const;
    std::uint64_t get_bytes(const std::string& key) const;
    /// The number of the choice, which is that of the enumerator.
    template <typename Enum>
    Enum get_choice(const std::string& key) const {
        return static_cast<Enum>(choice_index(key, std::nullopt));
    }
    template <typename Enum>
    Enum get_choice(const std::string& key, Enum absent) const {
        return static_cast<Enum>(choice_index(key, static_cast<std::size_t>(absent)));
    }
    std::optional<double> find_real(const std::string& key) const;  ///< nullopt: not written
    std::filesystem::path find_path(const std::string& key) const;  ///< "": not written

    /// @param key  of a section.
    [[nodiscard]] bool has(const std::string& key) const;
    [[nodiscard]] Settings child(const std::string& key) const;
    /// A section of a plugin, for read_choice().
    [[nodiscard]] Section plugin(const std::string& key) const;
    /// The part of the keys of this section that starts with "key.".
    /// @pre the schema nests.
    [[nodiscard]] Settings nested(const std::string& key) const;

    [[nodiscard]] const std::string& key() const { return section_.key(); }
    /// Opens a message about a setting or a section, written or not.
    [[nodiscard]] std::string where(const std::string& key) const { return section_.where(key); }

  private:
    std::size_t choice_index(const std::string& key, std::optional<std::size_t> absent) const;

    Section section_;
    const SectionSchema* schema_;
};

}  // namespace l2o::framework
