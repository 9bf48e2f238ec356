#include "framework/check/child.hpp"

#include <errno.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "framework/error.hpp"

namespace l2o::framework {
namespace {

[[noreturn]] void fail(const char* what) {
    throw Error(ExitCode::kIo, std::string(what) + ": " + ::strerror(errno));
}

/// The child's side: the end marker tells an answer from what a dying process left.
constexpr char kEndMarker = '\n';

[[noreturn]] void be_child(int out, const std::function<std::string()>& body) {
    // Dies with the parent, does not take part in its Ctrl-C handling, leaves no core file to clean up.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    // Handlers of the caller (of a test framework, of a sanitizer) would tell a crash in their own way.
    for (const int signal : {SIGINT, SIGTERM, SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL})
        ::signal(signal, SIG_DFL);
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
    std::string text;
    try {
        text = body();
    } catch (...) {
        ::_exit(EXIT_FAILURE);
    }
    text += kEndMarker;
    for (std::size_t done = 0; done < text.size();) {
        const ssize_t n = ::write(out, text.data() + done, text.size() - done);
        if (n < 0 && errno != EINTR) ::_exit(EXIT_FAILURE);
        if (n > 0) done += static_cast<std::size_t>(n);
    }
    ::_exit(EXIT_SUCCESS);
}

}  // namespace

ChildOutcome run_in_child(const std::function<std::string()>& body, double time_limit_s) {
    int ends[2];
    if (::pipe(ends) != 0) fail("pipe");
    const pid_t pid = ::fork();
    if (pid < 0) fail("fork");
    if (pid == 0) {
        ::close(ends[0]);
        be_child(ends[1], body);
    }
    ::close(ends[1]);
    using Clock = std::chrono::steady_clock;
    const auto deadline =
        Clock::now() + std::chrono::milliseconds(static_cast<std::int64_t>(time_limit_s * 1000));
    ChildOutcome outcome;
    bool is_late = false;
    while (true) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
        pollfd wait{ends[0], POLLIN, 0};
        const int ready = left > 0 ? ::poll(&wait, 1, static_cast<int>(left)) : 0;
        if (ready < 0 && errno == EINTR) continue;
        if (ready == 0) {
            is_late = true;
            ::kill(pid, SIGKILL);
            break;
        }
        char bytes[4096];
        const ssize_t n = ::read(ends[0], bytes, sizeof bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        outcome.sent.append(bytes, static_cast<std::size_t>(n));
    }
    ::close(ends[0]);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    const bool is_complete = !outcome.sent.empty() && outcome.sent.back() == kEndMarker;
    if (is_late) {
        outcome.end = ChildOutcome::End::kHung;
        outcome.how = fmt::format("did not come back within {} s", time_limit_s);
    } else if (WIFSIGNALED(status)) {
        outcome.end = ChildOutcome::End::kCrashed;
        const char* name = ::sigabbrev_np(WTERMSIG(status));
        outcome.how = fmt::format("crashed with SIG{} ({})",
                                  name == nullptr ? std::to_string(WTERMSIG(status)) : name,
                                  ::strsignal(WTERMSIG(status)));
    } else if (!is_complete) {
        outcome.end = ChildOutcome::End::kExited;
        outcome.how = fmt::format("ended the process with exit code {}", WEXITSTATUS(status));
    } else {
        outcome.sent.pop_back();
    }
    return outcome;
}

}  // namespace l2o::framework
