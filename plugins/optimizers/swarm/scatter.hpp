#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/coordinates.hpp>
#include <l2o/sdk/optimizer.hpp>

namespace l2o::plugins {

/// Of populations whose particles learn from their differences: what they do about a problem where all start
/// in one point. Their first step evaluates it, and then spreads the particles after the first.
class Scatter {
  public:
    static constexpr const char* kDoc =
        "standard deviation of particles that start in one point, in units of the range of a coordinate in "
        "its box, without one of 1";

    Coordinates at;

    /// Whether those of row b do.
    template <class T>
    [[nodiscard]] static bool starts_in_one_point(const StepIn<T>& in,
                                                  std::int64_t b,
                                                  std::int64_t particles) {
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const auto x = in.x(k);
            const T* first = x.row(b * particles);
            for (std::int64_t p = 1; p < particles; ++p)
                if (!std::equal(first, first + x.cols, x.row(b * particles + p))) return false;
        }
        return true;
    }

    /// Sets x' of row b.
    template <class T>
    void spread(const StepIn<T>& in,
                const StepOut<T>& out,
                std::int64_t b,
                std::int64_t particles,
                double deviation,
                numerics::Stream& random) const {
        std::int64_t i = 0;  // over all blocks
        for (std::size_t k = 0; k < in.blocks(); i += in.x(k).cols, ++k) {
            for (std::int64_t p = 0; p < particles; ++p) {
                const T *x = in.x(k).row(b * particles + p), width = T(p > 0 ? deviation : 0);
                T* x_next = out.x(k).row(b * particles + p);
                for (std::int64_t c = 0; c < in.x(k).cols; ++c)
                    x_next[c] = at.clamped(i + c, x[c] + width * T(at.unit(i + c) * random.normal()));
            }
        }
    }
};

}  // namespace l2o::plugins
