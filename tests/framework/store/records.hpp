#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "framework/text/json.hpp"

namespace l2o::test {

/// The records of a metrics file, without what the clock says.
inline std::vector<nlohmann::json> records(const std::filesystem::path& path) {
    std::vector<nlohmann::json> all;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        all.push_back(nlohmann::json::parse(line));
        all.back().erase("seconds");
    }
    return all;
}

}  // namespace l2o::test
