#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "framework/evaluate/compare.hpp"

namespace l2o::framework {

/// What rows spent until many targets on the objective, by values that were paid for (Hansen et al. 2021,
/// COCO: a platform for comparing continuous optimizers in a black-box setting, section 4).
struct Runtimes {
    /// Targets are values of f - f_opt; else what is left of the way from the start of a row to the best that
    /// any contestant paid for on it: 1 is the start.
    bool is_absolute = false;
    std::vector<double> targets{};  ///< whole decades, falling
    std::vector<double> budgets{};  ///< evaluations per dimension of x, rising
    std::int64_t rows = 0;  ///< of a training that count: with a known optimum, or improved by anybody
    struct Run {
        std::string contestant{};             ///< the entry, see Entry
        std::vector<std::int64_t> reached{};  ///< [target]: by so many rows
        /// [target]: evaluations of all rows, until they reached it or ended, per row that did; inf: none
        /// did.
        std::vector<double> expected{};
        /// [budget]: share of the pairs of a row and one of kEcdfTargets targets that are reached within it.
        std::vector<double> share{};
    };
    std::vector<Run> runs{};  ///< one per entry, over the rows of all its trainings
};

/// Evenly spaced in their logarithm, from the first target to the last.
inline constexpr std::int64_t kEcdfTargets = 51;

/// Nothing where the objective is not paid for (Judging::is_paid_for), or no row counts.
/// @param dimension  of x
/// @param optima     least f of every instance, NAN: unknown; nothing: of all
/// @pre the curves have their histories, see find_reached()
[[nodiscard]] std::optional<Runtimes> runtimes_of(const std::vector<Curve>& curves,
                                                  const Judging& judging,
                                                  std::int64_t dimension,
                                                  const std::optional<std::vector<double>>& optima);

/// "f - f_opt from 100 to 1e-08"
[[nodiscard]] std::string targets_text(const Runtimes& runtimes);

}  // namespace l2o::framework
