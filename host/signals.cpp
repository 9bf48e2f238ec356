#include "host/signals.hpp"

#include <dlfcn.h>
#include <execinfo.h>
#include <poll.h>
#include <signal.h>
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

void say(std::string_view text) {
    [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, text.data(), text.size());
}

// A path may hold what controls the terminal, and a handler may not allocate the escapes.
void say_path(const char* path) {
    for (; *path != '\0'; ++path) {
        const bool is_plain = *path >= ' ' && *path <= '~';
        say({is_plain ? path : "?", 1});
    }
}

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

// Says who crashed, then lets the signal end the program as if nobody had looked. dladdr and write alone, and
// a backtrace that has been warmed up: what a handler may get away with.
extern "C" void tell_who_crashed(int signal) {
    const char* what = sigdescr_np(signal);
    const char* plugin = plugin_on_the_stack();
    say("l2o: error: ");
    if (plugin != nullptr) {
        say("plugin '");
        say_path(plugin);
        say("' crashed: ");
        say(what);
        say("; 'l2o check' on it may say where\n");
    } else {
        say("crashed: ");
        say(what);
        say("; please report it\n");
    }
    ::signal(signal, SIG_DFL);
    raise(signal);
}

pid_t program = 0;  // while nobody may end it but main()
bool exits_are_json = false;

// Whoever calls exit() in the middle of a command has not done what the command was asked for, whatever it
// says.
extern "C" void tell_who_exited() {
    if (program != ::getpid()) return;
    const char* plugin = plugin_on_the_stack();
    const std::string text =
        message(std::string("plugin '") + (plugin == nullptr ? "of unknown name" : plugin) +
                "' ended the program with exit(), in the middle of the work; what was not written is lost");
    if (exits_are_json && !has_printed_json()) print_json({{"error", text}});
    std::cout.flush();
    say("l2o: error: " + text + "\n");
    ::_exit(static_cast<int>(framework::ExitCode::kPlugin));
}

}  // namespace

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

void tell_of_exits(bool wants_json) {
    program = ::getpid();
    exits_are_json = wants_json;
    std::atexit(&tell_who_exited);
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
