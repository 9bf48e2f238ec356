#include "host/signals.hpp"

#include <dlfcn.h>
#include <execinfo.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "framework/cancel.hpp"
#include "framework/error.hpp"
#include "framework/plugin/call.hpp"
#include "host/console.hpp"

namespace l2o::host {
namespace {

std::atomic<std::int32_t>* cancel = nullptr;  // set before the handler is
std::atomic<std::int64_t> first_ms{0};

std::int64_t now_ms() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

// The first signal asks to stop, one that comes later than a moment ends the program at once. Within the
// moment: wrappers such as timeout(1) send every signal twice, to the process and to its group.
extern "C" void ask_to_stop(int signal) {
    constexpr std::int64_t kMomentMs = 500;
    std::int64_t none = 0;
    first_ms.compare_exchange_strong(none, now_ms());
    if (cancel->exchange(1) != 0 && now_ms() - first_ms > kMomentMs) {
        ::signal(signal, SIG_DFL);
        raise(signal);
    }
}

void say(std::string_view text, int descriptor = STDERR_FILENO) {
    [[maybe_unused]] const auto ignored = ::write(descriptor, text.data(), text.size());
}

/// Text of a handler, which may not allocate; what does not fit is left out.
class Line {
  public:
    void add(std::string_view text) {
        for (const char letter : text)
            if (size_ < text_.size()) text_[size_++] = letter;
    }
    /// A path may hold what controls the terminal.
    void add_path(const char* path) {
        for (; *path != '\0'; ++path) add({*path >= ' ' && *path <= '~' ? path : "?", 1});
    }
    /// Of what add_path() leaves, JSON takes all but these two.
    void add_json(std::string_view text) {
        for (const char& letter : text) {
            if (letter == '"' || letter == '\\') add("\\");
            add({&letter, 1});
        }
    }
    [[nodiscard]] std::string_view text() const { return {text_.data(), size_}; }

  private:
    std::array<char, 8192> text_;
    std::size_t size_ = 0;
};

/// The innermost library on the stack that has the suffix of a plugin, not of a system library; NULL if none.
const char* plugin_on_the_stack() {
    std::array<void*, 64> frames{};
    const int n = ::backtrace(frames.data(), static_cast<int>(frames.size()));
    for (int i = 0; i < n; ++i) {
        Dl_info info{};
        if (::dladdr(frames[static_cast<std::size_t>(i)], &info) == 0 || info.dli_fname == nullptr) continue;
        if (std::string_view(info.dli_fname).ends_with(".so")) return info.dli_fname;
    }
    return nullptr;
}

bool ends_are_json = false;

// Says who crashed, then lets the signal end the program as if nobody had looked. dladdr and write alone, and
// a backtrace that has been warmed up: what a handler may get away with.
extern "C" void tell_who_crashed(int signal) {
    const char* what = sigdescr_np(signal);
    const char* plugin = plugin_on_the_stack();
    Line line;
    if (plugin != nullptr) {
        line.add("plugin '");
        line.add_path(plugin);
        line.add("' crashed: ");
        line.add(what);
        line.add("; 'l2o check' on it may say where");
    } else {
        line.add("crashed: ");
        line.add(what);
        line.add("; please report it");
    }
    if (ends_are_json && !has_printed_json()) {
        Line document;
        document.add("{\n  \"error\": \"");
        document.add_json(line.text());
        document.add("\"\n}\n");
        say(document.text(), stdout_descriptor());
    }
    say("l2o: error: ");
    say(line.text());
    say("\n");
    ::signal(signal, SIG_DFL);
    raise(signal);
}

pid_t program = 0;  // while nobody may end it but main()

[[noreturn]] void end_at_once(int status) {
    while (true) ::syscall(SYS_exit_group, status);
}

// Whoever ends the program in the middle of a command has not done what the command was asked for, whatever
// it says.
void tell_who_ended(const char* how) {
    if (program != ::getpid()) return;
    program = 0;
    const char* plugin = plugin_on_the_stack();
    const std::string text = message(
        std::string("plugin '") + (plugin == nullptr ? "of unknown name" : plugin) +
        "' ended the program with " + how + ", in the middle of the work; what was not written is lost");
    if (ends_are_json && !has_printed_json()) print_json({{"error", text}});
    std::cout.flush();
    say("l2o: error: " + text + "\n");
    end_at_once(static_cast<int>(framework::ExitCode::kPlugin));
}

extern "C" void tell_who_exited() { tell_who_ended("exit()"); }
extern "C" void tell_who_quit() { tell_who_ended("quick_exit()"); }

}  // namespace

// In place of those of the C library, which tell nobody: a plugin finds the symbols of the program first.
// What the C library calls itself are its own. A child that was forked ends as it likes.
// NOLINTBEGIN(bugprone-reserved-identifier): their names
extern "C" __attribute__((visibility("default"))) void _exit(int status) {
    tell_who_ended("_exit()");
    end_at_once(status);
}
extern "C" __attribute__((visibility("default"))) void _Exit(int status) noexcept {
    tell_who_ended("_Exit()");
    end_at_once(status);
}
// NOLINTEND(bugprone-reserved-identifier)

void tell_of_crashes() {
#ifndef __SANITIZE_ADDRESS__  // which tells more
    std::array<void*, 1> frame{};
    ::backtrace(frame.data(), 1);  // the first call loads a library
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
        struct sigaction action {};
        action.sa_handler = &tell_who_crashed;
        action.sa_flags = SA_RESETHAND;
        sigemptyset(&action.sa_mask);
        sigaction(signal, &action, nullptr);
    }
#endif
}

void tell_of_ends(bool wants_json) {
    program = ::getpid();
    ends_are_json = wants_json;
    std::atexit(&tell_who_exited);
    std::at_quick_exit(&tell_who_quit);
}

void leave() { program = 0; }

void stop_on_signals() {
    static_assert(std::atomic<std::int32_t>::is_always_lock_free);
    cancel = &framework::cancel_flag();
    struct sigaction action {};
    action.sa_handler = &ask_to_stop;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
        // nohup(1) ignores hang-ups for its program. What is inherited for SIGINT says nothing: shells
        // without job control ignore it for all that they start in the background.
        struct sigaction inherited {};
        const bool is_nohup = signal == SIGHUP && sigaction(signal, nullptr, &inherited) == 0 &&
                              inherited.sa_handler == SIG_IGN;
        if (!is_nohup) sigaction(signal, &action, nullptr);
    }
}

void outlive_readers() { ::signal(SIGPIPE, SIG_IGN); }

void end_if_unread() {
    pollfd reader{stdout_descriptor(), POLLOUT, 0};
    if (::poll(&reader, 1, 0) != 1 || (reader.revents & POLLERR) == 0) return;
    ::signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
}

}  // namespace l2o::host
