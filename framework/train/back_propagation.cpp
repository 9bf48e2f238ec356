#include "framework/train/back_propagation.hpp"

#include <algorithm>

#include "framework/train/checkpoint.hpp"

namespace l2o::framework {
namespace {

Shards::Options differentiated(const Lesson& lesson) {
    Shards::Options options = shards_of(lesson);
    options.unroll.second_order = lesson.settings.second_order;
    options.unroll.subsample = lesson.settings.coordinate_subsample;
    options.unroll.has_scores = lesson.settings.self_paced.share < 1;
    return options;
}

}  // namespace

BackPropagation::BackPropagation(const Lesson& lesson)
    : lesson_(lesson),
      prefix_(lesson.settings.instances > 0 && lesson.stage.has_one_window() &&
                      (lesson.optimizer.info().flags & L2O_OPTIMIZER_STARTS_AT_ZERO) != 0
                  ? lesson.stage.first_reverse
                  : 0),
      shards_(lesson.optimizer,
              lesson.optimizee,
              lesson.loss,
              lesson.phi,
              lesson.keys,
              differentiated(lesson),
              lesson.threads) {
    lesson_.batches.forget_prefixes();
}

std::int64_t BackPropagation::start(std::uint64_t index) {
    const std::uint64_t first = first_instance(index, lesson_.settings);
    shards_.set_horizon(lesson_.stage.horizon_of(lesson_.keys, index));
    shards_.set_share(lesson_.settings.self_paced.at(index));
    if (lesson_.settings.instances == 0) {
        shards_.start(index, shards_.draw(first));
        return 0;
    }
    return lesson_.batches.start(shards_, index, first, prefix_) ? prefix_ : 0;
}

Unroll::Window BackPropagation::window(std::int64_t t, std::int64_t n, double cot, TensorSet& gradient) {
    return shards_.window(n, cot, gradient, std::max<std::int64_t>(lesson_.stage.first_reverse - t, 0));
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
