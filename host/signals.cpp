#include "host/signals.hpp"

#include <signal.h>
#include <time.h>

#include <atomic>

#include "framework/plugin/call.hpp"

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

}  // namespace

void stop_on_signals() {
    static_assert(std::atomic<std::int32_t>::is_always_lock_free);
    cancel = &framework::CallContext::cancel_flag();
    struct sigaction action {};
    action.sa_handler = &ask_to_stop;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
}

}  // namespace l2o::host
