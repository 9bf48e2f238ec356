#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "framework/config/node.hpp"
#include "framework/config/value_text.hpp"

namespace l2o::framework {

/// A setting as it was written, for those who know its type: a plugin's option.
struct SettingText {
    std::string key, text;
    Origin origin;
};

/// A view of one section of a configuration: typed access that remembers what was asked for.
/// A section that was not written is an empty one: every setting has its default. Views share the
/// configuration and may outlive the Config; copying is cheap.
/// Every getter throws Error kUsage: where, the key path, the text, what was expected.  [one thread]
class Section {
  public:
    /// A view of the whole of a tree.
    explicit Section(ConfigNode root);

    std::int64_t get_int(const std::string& key, std::int64_t absent, const Range& range = {}) const;
    double get_real(const std::string& key, double absent, const Range& range = {}) const;
    bool get_bool(const std::string& key, bool absent) const;
    std::string get_string(const std::string& key, const std::string& absent) const;
    std::string get_choice(const std::string& key,
                           const std::string& absent,
                           const std::vector<std::string>& choices) const;
    std::uint64_t get_bytes(const std::string& key, std::uint64_t absent) const;
    /// Relative to the folder of the file that has the setting; returned absolute. "" stays "": no path.
    std::filesystem::path get_path(const std::string& key, const std::filesystem::path& absent) const;

    std::int64_t require_int(const std::string& key, const Range& range = {}) const;
    double require_real(const std::string& key, const Range& range = {}) const;
    bool require_bool(const std::string& key) const;
    std::string require_string(const std::string& key) const;  ///< not ""
    std::string require_choice(const std::string& key, const std::vector<std::string>& choices) const;
    std::uint64_t require_bytes(const std::string& key) const;
    std::filesystem::path require_path(const std::string& key) const;

    [[nodiscard]] bool has(const std::string& key) const;
    [[nodiscard]] Section child(const std::string& key) const;
    /// All sections in this one, in file order; a plain setting among them is an error.
    [[nodiscard]] std::vector<Section> children() const;
    /// All settings nobody has asked for yet, in file order; a section among them is an error.
    [[nodiscard]] std::vector<SettingText> rest() const;

    /// Refuses every setting that was never asked for, in this section and in those below that were.
    void refuse_unknown() const;

    [[nodiscard]] const std::string& key() const { return key_; }    ///< "optimizer"; "" of the whole
    [[nodiscard]] const std::string& path() const { return path_; }  ///< "contestants.lista.optimizer"
    [[nodiscard]] const Origin& origin() const;                      ///< of the nearest section written
    [[nodiscard]] std::string path_of(const std::string& key) const;
    /// "sparse.info:7: train.clip_norm": opens a message about a setting, written or not.
    [[nodiscard]] std::string where(const std::string& key) const;

  private:
    struct Shared;
    Section(std::shared_ptr<Shared> shared,
            const ConfigNode* node,
            std::string key,
            std::string path,
            Origin origin);

    const ConfigNode* ask(const std::string& key) const;
    /// What a message adds on a text that is a number, and too large or small.
    using Limit = std::string (*)(std::string_view text);
    template <typename Value, typename Parse>
    std::optional<Value> find(const std::string& key,
                              const std::string& expected,
                              Parse parse,
                              Limit limit = nullptr) const;
    template <typename Value>
    Value must(const std::optional<Value>& value, const std::string& key, const std::string& expected) const;
    std::optional<std::int64_t> find_int(const std::string& key, const Range& range) const;
    std::optional<double> find_real(const std::string& key, const Range& range) const;
    std::optional<std::string> find_choice(const std::string& key,
                                           const std::vector<std::string>& choices) const;

    std::optional<std::filesystem::path> find_path(const std::string& key) const;

    std::shared_ptr<Shared> shared_;
    const ConfigNode* node_;  // in shared_; null: not written
    std::string key_, path_;
    Origin origin_;
};

}  // namespace l2o::framework
