#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/plugins/optimizers/public_weights.hpp"
#include "tests/plugins/optimizers/rig.hpp"

namespace l2o::test {

/// Weight sets in text form: a line "name rowsxcols", then a line of values.
inline std::map<std::string, std::vector<double>> read_text_weights(const std::filesystem::path& file) {
    std::ifstream in(file);
    std::map<std::string, std::vector<double>> weights;
    std::string name, shape;
    while (in >> name >> shape) {
        std::int64_t count = 1;
        std::stringstream sizes(shape);
        for (std::string size; std::getline(sizes, size, 'x');) count *= std::stoll(size);
        auto& numbers = weights[name];
        numbers.resize(static_cast<std::size_t>(count));
        for (double& number : numbers) in >> number;
    }
    return weights;
}

/// False, with a message, where the published weights are not at hand.
inline bool load_public_weights(Rig& rig, const std::string& name) {
    const std::filesystem::path file = public_weights(name + ".txt");
    if (file.empty()) return false;
    const auto weights = read_text_weights(file);
    REQUIRE(weights.size() == rig.params.size());
    for (const auto& [param, numbers] : weights) set_values(rig.param(param), numbers);
    return true;
}

}  // namespace l2o::test
