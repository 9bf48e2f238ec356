#pragma once

#include <cstddef>

namespace l2o::numerics {

/// The sum of term(i) for i in [0, n) in double. Eight sums run side by side, which a compiler makes vector
/// instructions of; their order depends on n alone.
template <class Term>
[[gnu::always_inline]] inline double sum_over(std::size_t n, Term&& term) {
    constexpr std::size_t kSums = 8;
    double sums[kSums] = {};
    std::size_t i = 0;
    for (; i + kSums <= n; i += kSums)
        for (std::size_t k = 0; k < kSums; ++k) sums[k] += double(term(i + k));
    for (std::size_t k = 0; i + k < n; ++k) sums[k] += double(term(i + k));
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

}  // namespace l2o::numerics
