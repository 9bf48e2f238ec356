#pragma once

#include <l2o/abi/call.h>
#include <l2o/abi/status.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "framework/float_control.hpp"
#include "framework/plugin/process_watch.hpp"

namespace l2o::framework {

using Key = std::array<std::uint64_t, 2>;

/// A plugin said L2O_STATUS_NUMERICAL: the trajectory diverged, nothing is broken.
struct Diverged {
    std::string text;
};

/// The context of calls into plugins: key, scratch, error text. One per thread of work; reused from call to
/// call.
class CallContext {
  public:
    CallContext();
    CallContext(const CallContext&) = delete;
    CallContext& operator=(const CallContext&) = delete;
    ~CallContext();

    /// The context for a call with this key, whose batch row 0 has global index row0.
    l2o_call* with(const Key& key, std::uint64_t row0 = 0) {
        call_.key[0] = key[0];
        call_.key[1] = key[1];
        call_.row0 = row0;
        return &call_;
    }
    l2o_call* plain() { return &call_; }
    /// Bytes of scratch that calls for so many rows take, by an l2o_optimizer_info or l2o_optimizee_info.
    /// @throw Error kPlugin, in who's name, if so much is no amount of memory
    template <class Info>
    [[nodiscard]] static std::uint64_t scratch_of(const Info& info,
                                                  std::int64_t rows,
                                                  const std::string& who) {
        return scratch_bytes(info.scratch_fixed, info.scratch_per_row, rows, who);
    }
    [[nodiscard]] static std::uint64_t scratch_bytes(std::uint64_t fixed,
                                                     std::uint64_t per_row,
                                                     std::int64_t rows,
                                                     const std::string& who);
    /// Grows the scratch buffer to at least `bytes`.
    void reserve_scratch(std::uint64_t bytes);

    /// After every call. What it did to how this thread computes, which is as kStandardFloat says, is undone.
    /// Returns if status is L2O_STATUS_OK; throws Diverged for L2O_STATUS_NUMERICAL, Error otherwise: "<who>:
    /// <text>".
    void check(l2o_status status, const std::string& who) {
        if (FloatControl::now() != kStandardFloat) put_back_float_control(who);
        if (status != L2O_STATUS_OK) fail(status, who);
    }

  private:
    [[noreturn]] void fail(l2o_status status, const std::string& who);

    static constexpr std::uint32_t kErrorBytes = 1024;
    l2o_call call_{};
    std::unique_ptr<char[]> error_;
};

}  // namespace l2o::framework
