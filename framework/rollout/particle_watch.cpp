#include "framework/rollout/particle_watch.hpp"

#include <algorithm>
#include <string>

#include "framework/error.hpp"
#include "framework/rollout/arithmetic.hpp"

namespace l2o::framework {
namespace {

/// Whether the particles of a row are in one point.
bool are_together(const TensorSet& rows, std::int64_t row, std::int64_t particles) {
    return std::ranges::all_of(rows.tensors(), [&](const Tensor& block) {
        for (std::int64_t p = 1; p < particles; ++p)
            if (!is_same_row(block, row * particles, block, row * particles + p)) return false;
        return true;
    });
}

bool moves(const TensorSet& rows, const TensorSet& next_rows, std::int64_t row) {
    for (std::size_t k = 0; k < rows.size(); ++k)
        if (!is_same_row(rows[k], row, next_rows[k], row)) return true;
    return false;
}

}  // namespace

void ParticleWatch::watch(const Optimizer& optimizer,
                          const Optimizee& optimizee,
                          const PointLayout& layout,
                          const TensorSet& x_rows,
                          const TensorSet& next_rows,
                          std::int64_t t) {
    constexpr std::int64_t kLast = 2;  // it may take a few steps to part
    const std::int64_t particles = layout.particles;
    const bool draws = (optimizer.info().flags & L2O_FLAG_STOCHASTIC) != 0;
    if (draws || (t > 0 && (row_ < 0 || t != kLast))) return;
    const auto is_stuck = [&](const TensorSet& at, std::int64_t row) {
        return are_together(at, row, particles) && moves(x_rows, next_rows, row * particles);
    };
    if (t == 0) {
        row_ = 0;
        while (row_ < layout.batch && !is_stuck(x_rows, row_)) ++row_;
        if (row_ == layout.batch) row_ = -1;
        return;
    }
    if (!is_stuck(next_rows, row_)) return;
    throw Error(ExitCode::kUsage,
                "the " + std::to_string(particles) + " particles of '" + optimizer.id() +
                    "' start in one point of '" + optimizee.id() +
                    "' and stay together; expected a problem whose starts differ, an optimizer that spreads "
                    "its particles, or one particle");
}

}  // namespace l2o::framework
