#pragma once

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
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

namespace detail {

inline std::string text_of(const std::filesystem::path& path) {
    std::ostringstream stream;
    stream << std::ifstream(path).rdbuf();
    return stream.str();
}

/// For a shell: `<before> <program> <arguments>` in the given folder, its output in .stdout and .stderr
/// there, wherever `before` goes.
inline std::string command_line(const ScratchFolder& folder,
                                const std::string& program,
                                const std::string& arguments,
                                const std::string& before) {
    const std::string path = (folder / "").string();
    return "cd '" + path + "' && " + before + " " + program + " " + arguments + " >'" + path +
           ".stdout' 2>'" + path + ".stderr' </dev/null";
}

inline Outcome outcome_of(const ScratchFolder& folder, int status) {
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            text_of(folder / ".stdout"),
            text_of(folder / ".stderr")};
}

}  // namespace detail

/// Runs `<before> <program> <arguments>` in a shell, in the given folder.
inline Outcome run_program(const ScratchFolder& folder,
                           const std::string& program,
                           const std::string& arguments,
                           const std::string& before = "") {
    return detail::outcome_of(folder,
                              ::system(detail::command_line(folder, program, arguments, before).c_str()));
}

/// Runs `<program> <arguments>` in the given folder and sends it the signal as soon as `is_seen(its process
/// id)`, however long that takes. A program that ends by itself before gets none.
inline Outcome run_until(const ScratchFolder& folder,
                         const std::string& program,
                         const std::string& arguments,
                         const std::function<bool(pid_t)>& is_seen,
                         int signal = SIGINT) {
    const std::string command = detail::command_line(folder, program, arguments, "exec");
    const pid_t child = ::fork();
    if (child == 0) {
        ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
        ::_exit(127);
    }
    int status = 0;
    while (!is_seen(child)) {
        if (::waitpid(child, &status, WNOHANG) == child) return detail::outcome_of(folder, status);
        ::usleep(1000);
    }
    ::kill(child, signal);
    ::waitpid(child, &status, 0);
    return detail::outcome_of(folder, status);
}

/// Whether the program has printed this so far.
inline bool has_printed(const ScratchFolder& folder, const std::string& part) {
    return detail::text_of(folder / ".stdout").find(part) != std::string::npos;
}

/// The same on stderr.
inline bool has_printed_error(const ScratchFolder& folder, const std::string& part) {
    return detail::text_of(folder / ".stderr").find(part) != std::string::npos;
}

/// Whether a process has this library loaded.
inline bool has_loaded(pid_t process, const std::string& library) {
    return detail::text_of("/proc/" + std::to_string(process) + "/maps").find(library) != std::string::npos;
}

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace l2o::test
