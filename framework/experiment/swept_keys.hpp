#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "framework/config/node.hpp"

namespace l2o::framework {

/// A key of a contestant with a list of values in the place of one.
struct SweptKey {
    std::vector<std::string> path{};  ///< in the contestant: optimizer, learning_rate
    std::vector<std::string> values{};
    std::string zip{};  ///< the name that it shares with the keys it advances with; "": none
    Origin origin{};    ///< of the list

    [[nodiscard]] std::string text() const;  ///< "optimizer.learning_rate"
    /// What stands for a value in a name: itself, or its number if one of the list is no plain word.
    [[nodiscard]] std::string label(std::size_t index) const;
};

/// In the order of the file. @param place  of the section, for messages: "contestants.adam"
/// @throw Error kUsage: a list that is none.
[[nodiscard]] std::vector<SweptKey> swept_keys(const ConfigNode& section, const std::string& place);

/// Positions in a list of keys: those that advance together, by their first.
/// @throw Error kUsage: keys of one zip with unequal numbers of values, or a zip of one key.
[[nodiscard]] std::vector<std::vector<std::size_t>> axes_of(const std::vector<SweptKey>& keys,
                                                            const std::string& place);

}  // namespace l2o::framework
