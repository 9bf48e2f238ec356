#pragma once

#include <l2o/abi/call.h>
#include <l2o/abi/tensor.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <l2o/sdk/failure.hpp>
#include <l2o/sdk/view.hpp>
#include <string>

namespace l2o {

/// Hands out the scratch memory of a call, piece by piece, each aligned to 64 bytes, contents undefined. A
/// default-constructed Scratch has no memory and only measures: see OptimizerSpec::scratch().
class Scratch {
  public:
    static constexpr std::uint64_t kAlignment = 64;

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
        const std::uint64_t content = static_cast<std::uint64_t>(count) * sizeof(T);
        bytes_ += (content + kAlignment - 1) / kAlignment * kAlignment;
        content_bytes_ += content;
        ++pieces_;
        if (measures_) return nullptr;
        if (bytes_ > capacity_)
            invalid("the host gave " + std::to_string(capacity_) + " bytes of scratch; expected at least " +
                    std::to_string(bytes_));
        return reinterpret_cast<T*>(base_ + at);
    }
    /// The same as a matrix [rows, cols].
    template <class T>
    View<T> rows(std::int64_t rows, std::int64_t cols) {
        return {take<T>(rows * cols), rows, cols, cols};
    }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    /// The same without what the alignment of the pieces takes, and their number.
    [[nodiscard]] std::uint64_t content_bytes() const { return content_bytes_; }
    [[nodiscard]] std::uint64_t pieces() const { return pieces_; }

  private:
    std::byte* base_ = nullptr;
    std::uint64_t capacity_ = 0, bytes_ = 0, content_bytes_ = 0, pieces_ = 0;
    bool measures_ = true;
};

/// Measures what calls take by running the code that takes it: take(scratch, rows, T{}) with T the problem's
/// scalar type. Raises scratch_fixed and scratch_per_row of an l2o_optimizer_info or l2o_optimizee_info to
/// it.
/// @throw Failure if that is not so much, and so much more with every row
template <class Info, class Take>
void cover_scratch(Info& info, std::uint32_t dtype, Take&& take) {
    Scratch measured[3];
    for (std::int64_t rows = 0; rows < 3; ++rows) {
        if (dtype == L2O_DTYPE_F32)
            take(measured[rows], rows, float{});
        else
            take(measured[rows], rows, double{});
    }
    const std::uint64_t none = measured[0].content_bytes(), one = measured[1].content_bytes();
    if (one < none || measured[2].content_bytes() - one != one - none ||
        measured[2].pieces() != measured[0].pieces())
        invalid("0, 1 and 2 rows take " + std::to_string(none) + ", " + std::to_string(one) + " and " +
                std::to_string(measured[2].content_bytes()) +
                " bytes of scratch; expected as much more with every row, and as many pieces");
    // A piece of rows is rounded up once, however many rows it has.
    const std::uint64_t rounding =
        one == none ? measured[0].bytes() - none : measured[0].pieces() * (Scratch::kAlignment - 1);
    info.scratch_fixed = std::max(info.scratch_fixed, none + rounding);
    info.scratch_per_row = std::max(info.scratch_per_row, one - none);
}

}  // namespace l2o
