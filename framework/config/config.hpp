#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "framework/config/section.hpp"

namespace l2o::framework {

/// An experiment's configuration: files and overrides, composed.
class Config {
  public:
    /// @param overrides  "key.path=value" each; relative paths in them refer to the working folder.
    /// @throw Error  see read_info and apply_overrides.
    static Config load(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

    /// The same for a text; `file` names it in messages, and its folder is where includes are looked for.
    static Config parse(const std::string& text,
                        const std::filesystem::path& file,
                        const std::vector<std::string>& overrides = {});

    /// What was asked for is remembered here: root().refuse_unknown() once everybody has asked.
    [[nodiscard]] const Section& root() const { return root_; }
    [[nodiscard]] const ConfigNode& tree() const { return tree_; }

  private:
    explicit Config(ConfigNode tree);

    ConfigNode tree_;
    Section root_;
};

}  // namespace l2o::framework
