#include "framework/train/back_propagation.hpp"

#include <algorithm>

#include "framework/train/checkpoint.hpp"

namespace l2o::framework {

BackPropagation::BackPropagation(const Optimizer& optimizer,
                                 const Optimizee& optimizee,
                                 const Loss& loss,
                                 const TensorSet& phi,
                                 const Keys& keys,
                                 const TrainSettings& settings,
                                 const Stage& stage,
                                 TrainingBatches& batches,
                                 int threads)
    : settings_(settings),
      stage_(stage),
      keys_(keys),
      prefix_(settings.instances > 0 && stage.has_one_window() &&
                      (optimizer.info().flags & L2O_STARTS_AT_ZERO) != 0
                  ? stage.first_reverse
                  : 0),
      batches_(batches),
      shards_(optimizer,
              optimizee,
              loss,
              phi,
              keys,
              {.split = Split::kTrain,
               .batch = settings.batch,
               .shard_rows = settings.shard_rows,
               .rates = stage.rates,
               .unroll = {.second_order = settings.second_order,
                          .horizon = stage.horizon,
                          .memory_bytes = settings.memory_bytes,
                          .subsample = settings.coordinate_subsample,
                          .update_probability = settings.update_probability},
               .with_solutions = stage.with_solutions},
              threads) {
    batches_.forget_prefixes();
}

std::int64_t BackPropagation::start(std::uint64_t index) {
    const std::uint64_t first = first_instance(index, settings_.batch, settings_.instances);
    shards_.set_horizon(stage_.horizon_of(keys_, index));
    if (settings_.instances == 0) {
        shards_.start(index, shards_.draw(first));
        return 0;
    }
    return batches_.start(shards_, index, first, prefix_) ? prefix_ : 0;
}

Unroll::Window BackPropagation::window(std::int64_t t, std::int64_t n, double cot, TensorSet& gradient) {
    return shards_.window(n, cot, gradient, std::max<std::int64_t>(stage_.first_reverse - t, 0));
}

TensorRefs BackPropagation::carried(std::int64_t t) const {
    return t > 0 ? by_name("carried", shards_.carried()) : TensorRefs{};
}

void BackPropagation::restore(const TensorFile& file, std::uint64_t index, std::int64_t t) {
    if (t == 0) return;
    start(index);
    shards_.restore(t, read_by_name(file, "carried", shards_.carried()));
}

}  // namespace l2o::framework
