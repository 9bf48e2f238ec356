#pragma once

#include <functional>
#include <string>
#include <vector>

#include "framework/check/guarded.hpp"

namespace l2o::framework {

/// Of inputs and of what is computed from them: some units in the last place.
inline constexpr double kRoundingOfFloat32 = 1e-6, kRoundingOfFloat64 = 1e-14;

/// What a computation gives, in the order of its outputs.
using Results = std::vector<GuardedSet*>;
using Excuse = std::function<bool(std::size_t s, std::size_t i)>;

/// difference_beyond() of results that may be far apart for a good reason: the problem is ill-conditioned, a
/// comparison is a tie. Where they differ, `compute` is called again with the inputs moved by a few parts in
/// 1 / `rounding`; a tensor that goes as far then is not judged. The inputs are as before afterwards.
/// @param wants    what `compute` gives for `inputs`, of float32 if any is; written to by it.
/// @param excuses  says of tensor `i` of results `s` that what differs in it is of no consequence; may be
/// empty.
/// @return "" if they are the same as far as can be said.
[[nodiscard]] std::string difference_beyond_rounding(const Results& wants,
                                                     const Results& gots,
                                                     double tolerance,
                                                     double floor,
                                                     const std::vector<GuardedSet*>& inputs,
                                                     double rounding,
                                                     const std::function<void()>& compute,
                                                     const Excuse& excuses = nullptr);

}  // namespace l2o::framework
