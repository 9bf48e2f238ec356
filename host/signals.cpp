#include "host/signals.hpp"

#include <signal.h>

#include <atomic>

#include "framework/plugin/call.hpp"

namespace l2o::host {
namespace {

std::atomic<std::int32_t>* cancel = nullptr;  // set before the handler is

extern "C" void ask_to_stop(int) { cancel->store(1); }

}  // namespace

void stop_on_signals() {
    static_assert(std::atomic<std::int32_t>::is_always_lock_free);
    cancel = &framework::CallContext::cancel_flag();
    struct sigaction action {};
    action.sa_handler = &ask_to_stop;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
}

}  // namespace l2o::host
