#include "framework/config/config.hpp"

#include <utility>

#include "framework/config/compose.hpp"
#include "framework/config/info_file.hpp"

namespace l2o::framework {
namespace {

ConfigNode overridden(ConfigNode tree, const std::vector<std::string>& overrides) {
    apply_overrides(tree, overrides);
    return tree;
}

}  // namespace

Config::Config(ConfigNode tree) : tree_(std::move(tree)), root_(tree_) {}

Config Config::load(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
    return Config(overridden(read_info(file), overrides));
}

Config Config::parse(const std::string& text,
                     const std::filesystem::path& file,
                     const std::vector<std::string>& overrides) {
    return Config(overridden(parse_info(text, file), overrides));
}

}  // namespace l2o::framework
