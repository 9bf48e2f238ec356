#pragma once

#include <string>

#include "tests/support/program.hpp"

namespace l2o::test {

/// Runs `<before> l2o <arguments>` in a shell, in the given folder.
inline Outcome run_l2o(const ScratchFolder& folder,
                       const std::string& arguments,
                       const std::string& before = "") {
    return run_program(folder, L2O_PROGRAM, arguments, before);
}

inline Outcome run_l2o(const std::string& arguments) {
    const ScratchFolder folder;
    return run_l2o(folder, arguments);
}

}  // namespace l2o::test
