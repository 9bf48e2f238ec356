#pragma once

#include <optional>
#include <string>

namespace l2o::framework {

/// What "adam@1.0.0" names: an id and a version; "adam" is an id alone.
struct PluginName {
    explicit PluginName(const std::string& text) : id(text.substr(0, text.rfind('@'))) {
        if (id.size() < text.size()) version = text.substr(id.size() + 1);
    }

    std::string id;
    std::optional<std::string> version{};
};

}  // namespace l2o::framework
