#pragma once

#include <xmmintrin.h>

#include <cstdint>

namespace l2o::framework {

/// How a thread computes: rounding, denormal numbers, precision and traps, of SSE (MXCSR without its status
/// bits) and of the x87 (long double). Libraries change it for whoever loaded them (-ffast-math), a new
/// thread has that of the thread that started it.
struct FloatControl {
    std::uint32_t sse = 0;
    std::uint16_t x87 = 0;

    [[nodiscard]] static FloatControl now() {
        constexpr std::uint32_t kStatusBits = 0x3F;
        FloatControl control;
        control.sse = _mm_getcsr() & ~kStatusBits;
        asm volatile("fnstcw %0" : "=m"(control.x87));
        return control;
    }
    void set() const {
        _mm_setcsr(sse);
        asm volatile("fldcw %0" : : "m"(x87));
    }
    bool operator==(const FloatControl&) const = default;
};

/// What a process starts with: to nearest, denormal numbers kept, no traps, 64 bits of mantissa in the x87.
inline constexpr FloatControl kStandardFloat{.sse = 0x1F80, .x87 = 0x037F};

/// While it lives, this thread computes as kStandardFloat says; then as before.
class StandardFloat {
  public:
    StandardFloat() {
        if (before_ != kStandardFloat) kStandardFloat.set();
    }
    StandardFloat(const StandardFloat&) = delete;
    StandardFloat& operator=(const StandardFloat&) = delete;
    ~StandardFloat() {
        if (FloatControl::now() != before_) before_.set();
    }

  private:
    FloatControl before_ = FloatControl::now();
};

}  // namespace l2o::framework
