#pragma once

#include <l2o/abi/call.h>

#include <cstddef>
#include <cstdint>
#include <l2o/sdk/failure.hpp>
#include <string>

namespace l2o {

/// Hands out the scratch memory of a call, piece by piece, each aligned to 64 bytes, contents undefined. A
/// default-constructed Scratch has no memory and only measures: run the same code on it in declare() and its
/// bytes() are the scratch_fixed to ask for.
class Scratch {
  public:
    Scratch() = default;
    explicit Scratch(const l2o_call& call)
        : base_(static_cast<std::byte*>(call.scratch)), capacity_(call.scratch_bytes), measures_(false) {}

    /// @return room for `count` elements until the call returns; NULL while measuring.
    /// @throw Failure if there is less, or so much is no number of bytes.
    template <class T>
    T* take(std::int64_t count) {
        constexpr std::uint64_t kMost = std::uint64_t{1} << 62;
        const std::uint64_t at = bytes_;
        if (count < 0 || static_cast<std::uint64_t>(count) > kMost / sizeof(T) || bytes_ > kMost)
            invalid("a scratch of " + std::to_string(count) + " elements of " + std::to_string(sizeof(T)) +
                    " bytes was asked for; expected fewer");
        bytes_ += (static_cast<std::uint64_t>(count) * sizeof(T) + 63) / 64 * 64;
        if (measures_) return nullptr;
        if (bytes_ > capacity_)
            invalid("the host gave " + std::to_string(capacity_) + " bytes of scratch; expected at least " +
                    std::to_string(bytes_));
        return reinterpret_cast<T*>(base_ + at);
    }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  private:
    std::byte* base_ = nullptr;
    std::uint64_t capacity_ = 0, bytes_ = 0;
    bool measures_ = true;
};

}  // namespace l2o
