#pragma once

#include <vector>

#include "framework/plugin/optimizee.hpp"

namespace l2o::framework {

/// Where a population starts: its first particle where everybody starts, every further one at a start point
/// of its own, from a key derived from `key` and its number. So a particle's start depends neither on how
/// many there are nor on the other rows.
/// @param x0    where a row starts, [B, shape] per block.
/// @param data  of these rows; row 0 has the global index row0.
/// @return      [B, P, shape] per block.
[[nodiscard]] std::vector<Tensor> start_particles(const Optimizee& optimizee,
                                                  const Key& key,
                                                  std::uint64_t row0,
                                                  const ProblemData& data,
                                                  const std::vector<Tensor>& x0,
                                                  std::int64_t particles);

/// Whether f is finite at any of these starts.
/// @param key   names the minibatch of a stochastic problem.
/// @param data  of these rows.
/// @throw Diverged, Error: what the problem says of it.
[[nodiscard]] bool has_finite_start(const Optimizee& optimizee,
                                    const Key& key,
                                    const ProblemData& data,
                                    const std::vector<Tensor>& x0);

}  // namespace l2o::framework
