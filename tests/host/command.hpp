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

/// What `l2o <arguments>` shows in a terminal of that many columns; 0: one that does not know. Lines end in
/// "\r\n".
inline std::string run_in_terminal(const ScratchFolder& folder,
                                   int columns,
                                   const std::string& arguments,
                                   const std::string& kind = "xterm") {
    const std::string inside =
        "stty cols " + std::to_string(columns) + " && TERM=" + kind + " " L2O_PROGRAM " " + arguments;
    return run_program(folder, "script", "-qec '" + inside + "' /dev/null").out;
}

}  // namespace l2o::test
