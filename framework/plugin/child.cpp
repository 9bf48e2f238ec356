#include "framework/plugin/child.hpp"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>

#include "framework/error.hpp"

namespace l2o::framework {
namespace {

[[noreturn]] void fail(const char* what) {
    throw Error(ExitCode::kIo, std::string(what) + ": " + ::strerror(errno));
}

/// Ends what the child has to say: a dying process leaves no such line.
constexpr const char* kEnd = "end";

void send(int out, const std::string& line) {
    const std::string text = line + '\n';
    for (std::size_t done = 0; done < text.size();) {
        const ssize_t n = ::write(out, text.data() + done, text.size() - done);
        if (n < 0 && errno != EINTR) ::_exit(EXIT_FAILURE);
        if (n > 0) done += static_cast<std::size_t>(n);
    }
}

[[noreturn]] void be_child(int out, const std::function<void(const Send&)>& body) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    // Handlers of the caller (of a test framework, of a sanitizer) would tell a crash in their own way.
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL})
        ::signal(signal, SIG_DFL);
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
    try {
        body([out](const std::string& line) { send(out, line); });
    } catch (...) {
        ::_exit(EXIT_FAILURE);
    }
    send(out, kEnd);
    ::_exit(EXIT_SUCCESS);
}

constexpr std::size_t kMostUnread = 64 << 20;  // chosen: of a line that does not end

/// Hands on the lines that arrive until one is the last, or the child closes its end.
/// @return false if it was silent for too long, or sends what is no line.
bool listen(int in, double silence_limit_s, const std::function<void(const std::string&)>& on_line) {
    using Clock = std::chrono::steady_clock;
    const auto limit = std::chrono::milliseconds(static_cast<std::int64_t>(silence_limit_s * 1000));
    auto deadline = Clock::now() + limit;
    std::string text;
    while (true) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
        pollfd wait{in, POLLIN, 0};
        const int ready = left > 0 ? ::poll(&wait, 1, static_cast<int>(left)) : 0;
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) return false;
        char bytes[4096];
        const ssize_t n = ::read(in, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return true;
        const std::size_t known = text.size();
        text.append(bytes, static_cast<std::size_t>(n));
        for (std::size_t end = text.find('\n', known); end != std::string::npos; end = text.find('\n')) {
            const std::string line = text.substr(0, end);
            text.erase(0, end + 1);
            on_line(line);
            if (line == kEnd) return true;
            deadline = Clock::now() + limit;
        }
        if (text.size() > kMostUnread) return false;
    }
}

bool ends_within(pid_t pid, double limit_s) {
    // Not pidfd_open() of glibc 2.36, whose header gives it a C++ name.
    pollfd ended{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)), POLLIN, 0};
    if (ended.fd < 0) return true;  // an old kernel: waited for without a limit
    int ready = 0;
    do {
        ready = ::poll(&ended, 1, static_cast<int>(limit_s * 1000));
    } while (ready < 0 && errno == EINTR);
    ::close(ended.fd);
    return ready > 0;
}

/// A child, and the end of the pipe that it speaks into. Whatever happens here, neither is left behind.
class Child {
  public:
    Child(pid_t pid, int in) : pid_(pid), in_(in) {}
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() {
        if (pid_ <= 0) return;
        kill();
        (void)wait();
    }
    [[nodiscard]] int in() const { return in_; }
    [[nodiscard]] pid_t pid() const { return pid_; }
    void kill() const { ::kill(pid_, SIGKILL); }
    /// @return its status; call once
    int wait() {
        ::close(in_);
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        pid_ = 0;
        return status;
    }

  private:
    pid_t pid_;
    int in_;
};

}  // namespace

std::string run_in_child(const std::function<void(const Send&)>& body,
                         const std::function<void(const std::string&)>& on_line,
                         double silence_limit_s) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
    const pid_t pid = ::fork();
    if (pid < 0) {
        const int why = errno;
        for (const int end : ends) ::close(end);
        errno = why;
        fail("fork");
    }
    if (pid == 0) {
        ::close(ends[0]);
        be_child(ends[1], body);
    }
    ::close(ends[1]);
    Child child(pid, ends[0]);
    bool is_done = false;
    bool is_late = !listen(child.in(), silence_limit_s, [&](const std::string& line) {
        is_done = line == kEnd;
        if (!is_done) on_line(line);
    });
    // One that has closed its end may still be there, and stay.
    if (is_late || !(is_done || ends_within(child.pid(), silence_limit_s))) {
        is_late = true;
        child.kill();
    }
    const int status = child.wait();
    if (is_late) return fmt::format("{} within {} s", kHung, silence_limit_s);
    if (WIFSIGNALED(status)) {
        const char* name = ::sigabbrev_np(WTERMSIG(status));
        return fmt::format("crashed with SIG{} ({})",
                           name == nullptr ? std::to_string(WTERMSIG(status)) : name,
                           ::strsignal(WTERMSIG(status)));
    }
    return is_done ? "" : fmt::format("ended the process with exit code {}", WEXITSTATUS(status));
}

}  // namespace l2o::framework
