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
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
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
/// Of a child of the child: it goes on.
constexpr const char* kAlive = "alive";

int to_parent = -1;  // where this process sends its lines, if it is a child itself

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
    to_parent = out;
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

/// Processor time of a process, all of its threads; 0 of one that has ended.
double processor_seconds(pid_t pid) {
    clockid_t clock{};
    timespec time{};
    if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return 0;
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// How long a child may still be silent: until it has computed for so long, or waits. Where others take the
/// processors from it, a second of it takes longer than one.
class Patience {
  public:
    Patience(pid_t pid, double limit_s) : pid_(pid), limit_s_(limit_s) { renew(); }
    /// It has said something.
    void renew() {
        begin_ = before_ = processor_seconds(pid_);
        window_s_ = limit_s_;
        since_ = Clock::now();
    }
    [[nodiscard]] int left_ms() const {
        const double left = window_s_ - std::chrono::duration<double>(Clock::now() - since_).count();
        return left > 0 ? static_cast<int>(std::ceil(1000 * std::min(left, 1e6))) : 0;
    }
    /// Once none is left. @return whether there is more after all.
    bool extend() {
        constexpr double kWaits = 0.05, kLeast = 0.05;
        const double now = processor_seconds(pid_), had = now - before_, left = limit_s_ - (now - begin_);
        if (had < kWaits * window_s_ || left < kWaits * limit_s_) return false;
        before_ = now;
        window_s_ = std::max(left, kLeast);
        since_ = Clock::now();
        return true;
    }

  private:
    using Clock = std::chrono::steady_clock;

    pid_t pid_;
    double limit_s_, begin_ = 0, before_ = 0, window_s_ = 0;
    Clock::time_point since_;
};

constexpr std::size_t kMostUnread = 64 << 20;  // chosen: of a line that does not end

/// Hands on the lines that arrive until one is the last, or the child closes its end.
/// @return false if it was silent for too long, or sends what is no line.
bool listen(int in,
            pid_t pid,
            double silence_limit_s,
            const std::function<void(const std::string&)>& on_line) {
    Patience patience(pid, silence_limit_s);
    const auto say_alive = [] {
        if (to_parent >= 0) send(to_parent, kAlive);
    };
    std::string text;
    while (true) {
        const int left = patience.left_ms();
        pollfd wait{in, POLLIN, 0};
        const int ready = left > 0 ? ::poll(&wait, 1, left) : 0;
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) {
            if (!patience.extend()) return false;
            say_alive();
            continue;
        }
        char bytes[4096];
        const ssize_t n = ::read(in, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return true;
        const std::size_t known = text.size();
        text.append(bytes, static_cast<std::size_t>(n));
        for (std::size_t end = text.find('\n', known); end != std::string::npos; end = text.find('\n')) {
            const std::string line = text.substr(0, end);
            text.erase(0, end + 1);
            say_alive();
            if (line != kAlive) on_line(line);
            if (line == kEnd) return true;
            patience.renew();
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
    bool is_late = !listen(child.in(), child.pid(), silence_limit_s, [&](const std::string& line) {
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
