#include <algorithm>
#include <cmath>

#include "framework/error.hpp"
#include "framework/train/trainer.hpp"

namespace l2o::framework {

const TensorSet* Trainer::before_ruin(Validation& validation, const Validation::Score& score) {
    if (std::isfinite(score.loss)) return nullptr;
    const Validation::Score good = validation.score(kept_.good);
    // Instances that all parameters diverge on say nothing about the last ones.
    if (std::isfinite(good.loss) || (score.most_diverged() && !good.most_diverged())) return &kept_.good;
    const bool is_late = score.most_diverged() && !validation.score(kept_.best).most_diverged();
    return is_late ? &kept_.best : nullptr;
}

bool Trainer::windows_diverge() const {
    constexpr std::int64_t kInARow = 2;  // chosen: a single one may be its instances' doing
    return cursor_.skipped_since_step >= kInARow || cursor_.skipped - cursor_.unsolved > cursor_.meta_steps;
}

const TensorSet* Trainer::before_divergence(Validation& validation, const TensorSet& kept) {
    const std::vector<double> start = validation.score(start_).rows;
    const auto has_gained = [&](const TensorSet& params) {
        const Gain gain = gain_of(start, validation.score(params).rows);
        return gain.is_measured() ? gain.is_better() : gain.loss < gain.start_loss;
    };
    if (has_gained(kept)) return nullptr;
    for (const TensorSet* earlier : {&kept_.good, &kept_.best})
        if (has_gained(*earlier)) return earlier;
    return &start_;
}

const TensorSet& Trainer::end_stage(const Lesson& lesson,
                                    std::optional<Validation>& validation,
                                    bool is_last) {
    const bool is_validated = validation.has_value();
    const TensorSet *kept = &last(), *before = nullptr;
    std::optional<Validation::Score> score;  // of what is kept
    // Before the last stage only if something is wrong: what is found out too late is still in `good`.
    const bool is_looked_at = is_validated ? !cursor_.is_finite : is_last || cursor_.skipped_since_step > 0;
    if (is_looked_at && (is_validated || start_comparison(lesson, validation))) {
        score = validation->score(*kept);
        before = before_ruin(*validation, *score);
    } else if (!validation && cursor_.skipped_since_step > 0) {
        before = &kept_.good;
    }
    if (is_validated && settings_.restore)
        kept = &kept_.best;
    else if (before != nullptr)
        kept = before;
    if (before == nullptr && validation && windows_diverge()) {
        before = before_divergence(*validation, *kept);
        if (before != nullptr) kept = before;
    }
    if (validation && kept != &kept_.good) kept_.good.copy_from(*kept);
    if (!is_last) return *kept;
    outcome_.diverged = before != nullptr;
    if (!validation) return *kept;
    if (!score || kept != &last()) score = validation->score(*kept);
    outcome_.gain = gain_of(validation->score(start_).rows, score->rows);
    if (!outcome_.gain->is_measured())
        outcome_.unmeasured = outcome_.gain->instances == 0
                                  ? "no validation instance has the certified solution that the loss needs"
                                  : "one validation instance; expected 2 or more";
    return *kept;
}

bool Trainer::start_comparison(const Lesson& lesson, std::optional<Validation>& validation) {
    outcome_.unmeasured.clear();  // of an earlier stage
    const std::int64_t instances = instances_to_compare(settings_, stages_, optimizee_);
    if (instances == 0) {
        outcome_.unmeasured = "it would take longer than the training may; set train.validate";
        return false;
    }
    try {
        validation.emplace(lesson, instances, std::min(instances, settings_.batch));
        return true;
    } catch (const Error& error) {
        if (error.code() == ExitCode::kInterrupted) throw;
        outcome_.unmeasured = error.what();  // data without instances for it, for one
    } catch (const Diverged& diverged) {
        outcome_.unmeasured = diverged.text;
    }
    return false;
}

}  // namespace l2o::framework
