#pragma once

#include <cstdint>
#include <vector>

#include "framework/train/estimator.hpp"
#include "framework/train/shards.hpp"

namespace l2o::framework {

/// Losses on validation instances, the same ones from the same starts every time; without those that lack a
/// solution which the loss needs.
class Validation {
  public:
    struct Score {
        double loss = 0;             ///< mean over them; not finite if one diverged, or there is none
        std::vector<double> rows{};  ///< per instance; not finite: it diverged

        /// As they do with ruined parameters; a few may be hard for good ones.
        [[nodiscard]] bool most_diverged() const;
    };

    /// @param lesson     names the loss and the stage, whose validation_horizon counts.
    /// @param instances  a multiple of at_once, the number of rows that are run together.
    Validation(const Lesson& lesson, std::int64_t instances, std::int64_t at_once);

    [[nodiscard]] Score score(const TensorSet& params);
    /// See Unroll::paid().
    [[nodiscard]] double paid() const { return shards_.paid(); }

  private:
    std::int64_t horizon_;
    TensorSet params_;  // those being scored
    Shards shards_;
    std::vector<ProblemData> batches_;
};

/// On how many instances a training that does not validate is compared with its start: at most those of
/// `validate.instances`, so few that they add some hundredths to its cost, and 16 where those are little work
/// however short the training is. 0: the work would show.
[[nodiscard]] std::int64_t instances_to_compare(const TrainSettings& settings,
                                                const std::vector<Stage>& stages,
                                                const Optimizee& optimizee);

}  // namespace l2o::framework
