#include "framework/train/imitation.hpp"

#include "framework/error.hpp"
#include "framework/rollout/arithmetic.hpp"
#include "framework/train/checkpoint.hpp"

namespace l2o::framework {

Imitation::Imitation(const Lesson& lesson)
    : lesson_(lesson),
      teacher_(lesson.settings.imitation->teacher.entry,
               lesson.settings.imitation->teacher.resolve(),
               task_of(lesson.optimizee, lesson.stage.horizon)),
      teacher_params_(teacher_.init_params(
          lesson.keys.init_params,
          lesson.optimizee.sample(lesson.keys.train_data, Split::kTrain, 0, lesson.settings.batch, false))),
      shards_(lesson.optimizer,
              lesson.optimizee,
              lesson.loss,
              lesson.phi,
              lesson.keys,
              shards_of(lesson),
              lesson.threads) {
    if (teacher_.info().particles > 0) {
        const OptionContext& context = lesson.settings.imitation->teacher.context;
        throw Error(ExitCode::kUsage,
                    context.origin + ": " + context.path + ": '" + teacher_.id() +
                        "' is a population, of which no point is the one to imitate");
    }
    if (lesson.optimizer.info().particles > 0) {
        throw Error(ExitCode::kUsage,
                    "optimizer '" + lesson.optimizer.id() +
                        "' is a population, and a teacher has one point alone; remove train.imitation");
    }
    for (const Scene* scene : shards_.scenes()) {
        scenes_.push_back(std::make_unique<Scene>(
            Scene{teacher_, lesson.optimizee, scene->data, teacher_params_, scene->key, scene->row0}));
        teachers_.push_back(std::make_unique<Teacher>(*scenes_.back()));
    }
}

std::int64_t Imitation::start(std::uint64_t index) {
    const std::uint64_t first = first_instance(index, lesson_.settings);
    shards_.set_horizon(lesson_.stage.horizon_of(lesson_.keys, index));
    if (lesson_.settings.instances == 0)
        shards_.start(index, shards_.draw(first));
    else
        lesson_.batches.start(shards_, index, first, 0);
    const std::vector<const Scene*> scenes = shards_.scenes();
    const CarriedRefs carried = shards_.carried();
    for (std::size_t i = 0; i < teachers_.size(); ++i) {
        scenes_[i]->key = scenes[i]->key;
        std::vector<Tensor> x0;
        for (std::size_t k = 0; k < teachers_[i]->x().size(); ++k) {
            x0.push_back(carried[i][k]->clone());
            if ((teacher_.info().flags & L2O_OPTIMIZER_STARTS_AT_ZERO) != 0 && !all_zero(x0.back())) {
                throw Error(
                    ExitCode::kUsage,
                    "the teacher '" + teacher_.id() +
                        "' is defined from x = 0 only; the problem starts elsewhere, set its init_std to 0");
            }
        }
        teachers_[i]->start(x0);
    }
    return 0;
}

Unroll::Window Imitation::window(std::int64_t /*t*/, std::int64_t n, double cot, TensorSet& gradient) {
    return shards_.imitate(n, cot, gradient, teachers_);
}

CarriedRefs Imitation::carried_by_teachers() const {
    CarriedRefs out;
    for (const auto& teacher : teachers_) out.push_back(teacher->carried());
    return out;
}

TensorRefs Imitation::carried(std::int64_t t) const {
    if (t == 0) return {};
    TensorRefs out = by_name("carried", shards_.carried());
    out.merge(by_name("teacher", carried_by_teachers()));
    return out;
}

void Imitation::restore(const TensorFile& file, std::uint64_t index, std::int64_t t) {
    if (t == 0) return;
    start(index);
    shards_.restore(t, read_by_name(file, "carried", shards_.carried()));
    const CarriedRefs carried = read_by_name(file, "teacher", carried_by_teachers());
    for (std::size_t i = 0; i < teachers_.size(); ++i) teachers_[i]->restore(carried[i]);
}

std::int64_t Imitation::bytes() const {
    std::int64_t sum = shards_.bytes();
    for (const auto& teacher : teachers_) sum += teacher->bytes();
    return sum;
}

}  // namespace l2o::framework
