#pragma once

#include <stdlib.h>
#include <sys/wait.h>

#include <fstream>
#include <sstream>
#include <string>

#include "tests/framework/store/scratch_folder.hpp"

namespace l2o::test {

/// What a run of a program of this build left behind.
struct Outcome {
    int code = -1;
    std::string out, err;

    /// Exit code and stderr: "2 l2o: error: ...".
    [[nodiscard]] std::string refusal() const { return std::to_string(code) + " " + err; }
};

/// Runs `<before> <program> <arguments>` in a shell, in the given folder.
inline Outcome run_program(const ScratchFolder& folder,
                           const std::string& program,
                           const std::string& arguments,
                           const std::string& before = "") {
    const std::string out = (folder / ".stdout").string(), err = (folder / ".stderr").string();
    const std::string command = "cd '" + (folder / "").string() + "' && " + before + " " + program + " " +
                                arguments + " >'" + out + "' 2>'" + err + "' </dev/null";
    const int status = ::system(command.c_str());
    const auto text = [](const std::string& path) {
        std::ostringstream stream;
        stream << std::ifstream(path).rdbuf();
        return stream.str();
    };
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text(out), text(err)};
}

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace l2o::test
