#include "framework/plugin/call.hpp"

#include <cstdlib>
#include <new>

#include "framework/cancel.hpp"
#include "framework/error.hpp"
#include "framework/plugin/library.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {

static_assert(sizeof(std::atomic<std::int32_t>) == sizeof(std::int32_t));

CallContext::CallContext() : error_(new char[kErrorBytes]) {
    error_[0] = '\0';
    call_.host = &host_services();
    call_.cancel = reinterpret_cast<const volatile std::int32_t*>(&framework::cancel_flag());
    call_.err = error_.get();
    call_.err_cap = kErrorBytes;
    call_.max_threads = 1;
}

CallContext::~CallContext() { std::free(call_.scratch); }

std::uint64_t CallContext::scratch_bytes(std::uint64_t fixed,
                                         std::uint64_t per_row,
                                         std::int64_t rows,
                                         const std::string& who) {
    constexpr std::uint64_t kMost = std::uint64_t{1} << 46;
    const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(rows, 0));
    if (fixed <= kMost && (count == 0 || per_row <= kMost / count)) return fixed + per_row * count;
    throw Error(ExitCode::kPlugin,
                who + " asks for " + std::to_string(fixed) + " bytes of scratch and " +
                    std::to_string(per_row) + " for each of " + std::to_string(rows) +
                    " rows; expected at most " + std::to_string(kMost) + " in all");
}

void CallContext::reserve_scratch(std::uint64_t bytes) {
    if (bytes <= call_.scratch_bytes) return;
    const std::uint64_t rounded = (bytes + 63) / 64 * 64;
    void* grown = std::aligned_alloc(64, rounded);
    if (grown == nullptr) throw std::bad_alloc();
    std::free(call_.scratch);
    call_.scratch = grown;
    call_.scratch_bytes = rounded;
}

void CallContext::fail(l2o_status status, const std::string& who) {
    const std::string text = error_[0] != '\0' ? valid_utf8(error_.get()) : "no reason given";
    error_[0] = '\0';
    switch (status) {
        case L2O_STATUS_NUMERICAL:
            throw Diverged{text};
        case L2O_STATUS_INVALID:
        case L2O_STATUS_UNSUPPORTED:
            throw Error(ExitCode::kPlugin, who + ": " + text);
        case L2O_STATUS_NOMEM:
            throw Error(ExitCode::kIo, who + ": " + text);
        case L2O_STATUS_CANCELLED:
            throw Error(ExitCode::kInterrupted, who + ": interrupted");
        case L2O_STATUS_IO:
            throw Error(ExitCode::kIo, who + ": " + text);
        default:
            throw Error(ExitCode::kPlugin,
                        who + ": internal error (status " + std::to_string(status) + "): " + text);
    }
}

}  // namespace l2o::framework
