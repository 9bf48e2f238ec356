#include "framework/train/validation.hpp"

#include <algorithm>
#include <cmath>

namespace l2o::framework {

bool Validation::Score::most_diverged() const {
    const auto diverged =
        std::count_if(rows.begin(), rows.end(), [](double row) { return !std::isfinite(row); });
    return 2 * diverged > static_cast<std::ptrdiff_t>(rows.size());
}

Validation::Validation(const Lesson& lesson, std::int64_t instances, std::int64_t at_once)
    : horizon_(lesson.stage.validation_horizon),
      params_(clone(lesson.phi)),
      shards_(lesson.optimizer,
              lesson.optimizee,
              lesson.loss,
              params_,
              lesson.keys,
              {.split = Split::kValidation,
               .batch = at_once,
               .shard_rows = lesson.settings.shard_rows,
               .rates = std::vector<double>(lesson.stage.rates.size(), 0),
               .unroll = {.horizon = horizon_}},
              lesson.threads) {
    for (std::int64_t first = 0; first < instances; first += at_once)
        batches_.push_back(shards_.draw(static_cast<std::uint64_t>(first)));
}

Validation::Score Validation::score(const TensorSet& params) {
    params_.copy_from(params);
    Score score;
    for (std::size_t i = 0; i < batches_.size(); ++i) {
        shards_.start(i, batches_[i]);
        const double loss = shards_.score(horizon_).loss;
        const std::vector<double> rows = shards_.row_losses();
        double solved = 0;
        const std::size_t before = score.rows.size();
        for (std::size_t row = 0; row < rows.size(); ++row) {
            if (shards_.is_unsolved(row)) continue;
            score.rows.push_back(rows[row]);
            solved += rows[row];
        }
        score.loss += score.rows.size() - before == rows.size() ? loss : solved;
    }
    score.loss /= static_cast<double>(score.rows.size());
    return score;
}

std::int64_t instances_to_compare(const TrainSettings& settings,
                                  const std::vector<Stage>& stages,
                                  const Optimizee& optimizee) {
    // chosen: a window of a training costs some four runs of its steps, and the comparison is two runs or
    // three, so that a sixteenth of the steps is under five hundredths of the cost.
    constexpr double kShare = 1.0 / 16;
    // chosen: some tenths of a second for an LSTM of 20 units.
    constexpr std::int64_t kFew = 16;
    constexpr double kLittleWork = 1 << 18;  // steps of a coordinate
    double trained = 0;
    for (const Stage& stage : stages)
        trained += static_cast<double>(stage.epochs) * static_cast<double>(stage.horizon) *
                   static_cast<double>(settings.batch);
    const auto horizon = static_cast<double>(stages.back().validation_horizon);
    double coordinates = 0;
    for (const l2o_spec* block : optimizee.blocks())
        coordinates += static_cast<double>(element_count(shape_of(*block, 1)));
    const double work = static_cast<double>(kFew) * horizon * coordinates;
    std::int64_t instances = settings.validate_instances;
    const double share = kShare * trained / horizon;
    if (share < static_cast<double>(instances)) instances = static_cast<std::int64_t>(share);
    if (instances < kFew && work <= kLittleWork) instances = std::min(kFew, settings.validate_instances);
    return instances - instances % std::min(settings.batch, std::max<std::int64_t>(instances, 1));
}

}  // namespace l2o::framework
