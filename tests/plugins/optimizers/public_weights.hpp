#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace l2o::test {

inline std::filesystem::path shared_weights() {
    const char* given = std::getenv("L2O_SHARED");
    return std::filesystem::path(given != nullptr ? given : L2O_SHARED) / "data" / "public_weights";
}

/// A file of published weights; empty, with a message, where they are not at hand.
inline std::filesystem::path public_weights(const std::string& name) {
    std::filesystem::path file = shared_weights() / name;
    if (exists(file)) return file;
    MESSAGE("skipped: no published weights in '",
            shared_weights().string(),
            "'; set L2O_SHARED to the folder that holds data/public_weights");
    return {};
}

}  // namespace l2o::test
