#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace l2o::framework {

/// Longest chain of pieces whose reverse needs no piece to be run more than `repeats` times again, with
/// `kept` of its points kept at a time: C(kept + repeats, repeats) (Griewank 1992; Griewank & Walther 2000,
/// algorithm 799 "revolve").
[[nodiscard]] inline std::int64_t longest_chain(std::int64_t kept, std::int64_t repeats) {
    std::int64_t product = 1;
    for (std::int64_t i = 1; i <= repeats; ++i) {
        if (product > std::numeric_limits<std::int64_t>::max() / (kept + i)) return product;
        product = product * (kept + i) / i;
    }
    return product;
}

/// How often a piece of a chain is run again at most. @pre kept >= 1.
[[nodiscard]] inline std::int64_t repeats_for(std::int64_t pieces, std::int64_t kept) {
    std::int64_t repeats = 0;
    while (longest_chain(kept, repeats) < pieces) ++repeats;
    return repeats;
}

/// Of a chain of `pieces` whose first point is one of `kept` that may be kept: how many pieces further the
/// next one lies; 0: none is kept. The part before it has one repetition less left, the part behind it one
/// point less.
[[nodiscard]] inline std::int64_t next_kept(std::int64_t pieces, std::int64_t kept) {
    if (pieces < 2 || kept < 2) return 0;
    return std::min(longest_chain(kept, repeats_for(pieces, kept) - 1), pieces - 1);
}

}  // namespace l2o::framework
