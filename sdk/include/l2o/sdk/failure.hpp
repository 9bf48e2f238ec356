#pragma once

#include <l2o/abi/call.h>
#include <l2o/abi/status.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>

namespace l2o {

/// Thrown by a method to end a call with a status and a text; it never crosses the ABI.
class Failure : public std::runtime_error {
  public:
    Failure(l2o_status status, const std::string& text) : std::runtime_error(text), status_(status) {}
    [[nodiscard]] l2o_status status() const { return status_; }

  private:
    l2o_status status_;
};

/// The method cannot work on this problem: say what it needs and what it was given.
[[noreturn]] inline void refuse(const std::string& text) { throw Failure(L2O_STATUS_UNSUPPORTED, text); }
/// An option or an argument is wrong.
[[noreturn]] inline void invalid(const std::string& text) { throw Failure(L2O_STATUS_INVALID, text); }
/// A file is missing or malformed.
[[noreturn]] inline void unreadable(const std::string& text) { throw Failure(L2O_STATUS_IO, text); }

namespace detail {

inline l2o_status report(l2o_call* call, l2o_status status, const char* text) noexcept {
    if (call != nullptr && call->err != nullptr && call->err_cap > 0) {
        const std::size_t length = std::min<std::size_t>(std::strlen(text), call->err_cap - 1);
        std::memcpy(call->err, text, length);
        call->err[length] = '\0';
    }
    return status;
}

/// Runs body; turns what it throws into a status and a text.
template <class Body>
l2o_status guard(l2o_call* call, Body&& body) noexcept {
    try {
        body();
        return L2O_STATUS_OK;
    } catch (const Failure& failure) {
        return report(call, failure.status(), failure.what());
    } catch (const std::bad_alloc&) {
        return report(call, L2O_STATUS_NOMEM, "out of memory");
    } catch (const std::invalid_argument& error) {
        return report(call, L2O_STATUS_INVALID, error.what());
    } catch (const std::exception& error) {
        return report(call, L2O_STATUS_INTERNAL, error.what());
    } catch (...) {
        return report(call, L2O_STATUS_INTERNAL, "unknown exception");
    }
}

}  // namespace detail
}  // namespace l2o
