#include <cmath>
#include <l2o/numerics/philox.hpp>
#include <l2o/numerics/sum.hpp>

#include "framework/error.hpp"
#include "framework/rollout/arithmetic.hpp"
#include "framework/text/json.hpp"
#include "framework/train/trainer.hpp"

namespace l2o::framework {
namespace {

constexpr std::uint64_t kImitationTag = 0x696d6974;

/// Euclidean norm over all tensors.
double norm_of(const TensorSet& gradient) {
    double sum = 0;
    for (const Tensor& tensor : gradient.tensors()) {
        if (!tensor) continue;
        with_values(
            [&](auto values) {
                sum += numerics::sum_over(values.size(), [values](std::size_t i) {
                    return static_cast<double>(values[i]) * static_cast<double>(values[i]);
                });
            },
            tensor);
    }
    return std::sqrt(sum);
}

}  // namespace

bool Trainer::imitates() const {
    if (!imitation_) return false;
    const Key key = numerics::derive_key(
        keys_.train_steps, kImitationTag, static_cast<std::uint64_t>(cursor_.trajectory));
    return numerics::Stream(key, 0).uniform() < stages_[static_cast<std::size_t>(cursor_.stage)].imitation;
}

std::int64_t Trainer::horizon(const Stage& stage) const {
    return stage.horizon_of(keys_, static_cast<std::uint64_t>(cursor_.trajectory));
}

void Trainer::start() try {
    cursor_.t = current().start(static_cast<std::uint64_t>(cursor_.trajectory));
} catch (const Error& error) {
    // A long solve saw the interruption. Between two trajectories nothing is lost.
    if (error.code() == ExitCode::kInterrupted && cursor_.t == 0) save();
    throw;
}

bool Trainer::run_window(const Stage& stage) {
    const std::int64_t n =
        std::min(stage.unroll_of(keys_, static_cast<std::uint64_t>(cursor_.trajectory), cursor_.t),
                 horizon(stage) - cursor_.t);
    const double cot = settings_.mean ? 1.0 / static_cast<double>(settings_.batch) : 1.0;
    const double paid = current().paid();
    const Unroll::Window window = current().window(cursor_.t, n, cot, gradient_);
    cursor_.evaluations += current().paid() - paid;
    for (std::size_t i = 0; i < stage.gradient_factors.size(); ++i) {
        if (gradient_[i] && stage.gradient_factors[i] != 1) scale(gradient_[i], stage.gradient_factors[i]);
    }
    const double norm = window.is_finite ? norm_of(gradient_) : NAN;
    if (!std::isfinite(norm)) {
        if (window.is_unsolved) ++cursor_.unsolved;
        return skip(window.diverged, window.is_unsolved);
    }
    const double factor =
        settings_.clip_norm > 0 && norm > settings_.clip_norm ? settings_.clip_norm / norm : 1;
    std::vector<double> rates = stage.rates;
    for (double& rate : rates) rate *= stage.decayed(cursor_.epoch);
    const TensorSet* proposed = current().proposed();
    // A step of the meta-optimizer reads phi as it is, and can leave it there.
    const bool is_noted = proposed == nullptr && kept_.mean.empty();
    if (!is_noted || is_first_step()) remember(rates);
    try {
        if (proposed == nullptr)
            (imitates() ? *imitation_meta_ : *meta_)
                .step(gradient_, rates, factor, is_noted ? &kept_.good : nullptr);
    } catch (const Diverged& diverged) {
        return skip(diverged.text);
    }
    for (std::size_t i = 0; proposed != nullptr && i < proposed->size(); ++i)
        if ((*proposed)[i]) copy_values(kept_.phi[i], (*proposed)[i]);
    if (!kept_.mean.empty()) average(rates);
    ++cursor_.meta_steps;
    ++cursor_.windows;
    cursor_.skipped_since_step = 0;
    cursor_.t += n;
    cursor_.loss += window.loss / static_cast<double>(settings_.batch);
    cursor_.gradient_norm = proposed == nullptr ? std::max(cursor_.gradient_norm, norm) : NAN;
    report(window.loss / static_cast<double>(settings_.batch));
    return true;
}

bool Trainer::skip(const std::string& why, bool is_unsolved) {
    ++cursor_.skipped;
    if (!is_unsolved) ++cursor_.skipped_since_step;
    last_divergence_ = why;
    report(NAN);
    return false;
}

bool Trainer::is_first_step() const {
    return meta_->t() == 0 && (!imitation_meta_ || imitation_meta_->t() == 0);
}

void Trainer::remember(std::span<const double> rates) {
    // Those of an earlier stage are all replaced.
    const bool is_first = is_first_step();
    for (std::size_t i = 0; i < kept_.good.size(); ++i) {
        if (is_first || (gradient_[i] && rates[i] != 0)) copy_values(kept_.good[i], last()[i]);
    }
}

void Trainer::end_trajectory(const Stage& stage, bool is_finite, Validation* validation) {
    if (cursor_.windows == 0) cursor_.loss = cursor_.gradient_norm = NAN;
    // Of a trajectory that was given up the finite windows stand for the others.
    if (!is_finite && cursor_.windows > 0)
        cursor_.loss *= static_cast<double>(horizon(stage)) / static_cast<double>(cursor_.t);
    nlohmann::json record{{"contestant", task_.name},
                          {"stage", stage.name},
                          {"epoch", cursor_.epoch},
                          {"steps", cursor_.t},
                          {"loss", cursor_.loss},
                          {"gradient_norm", cursor_.gradient_norm},
                          {"skipped", cursor_.skipped},
                          {"engine_bytes", cursor_.engine_bytes},
                          {"seconds", seconds_before_ + seconds_since(started_)}};
    if (!is_finite) {
        record["diverged"] = true;
        ++cursor_.diverged_trajectories;
    }
    if (imitation_) record["imitation"] = imitates();
    if (stage.unroll_from > 0) {
        std::int64_t windows = 0;
        const auto index = static_cast<std::uint64_t>(cursor_.trajectory);
        for (std::int64_t t = 0; t < cursor_.t; t += stage.unroll_of(keys_, index, t)) ++windows;
        record["windows"] = windows;
    }
    ++cursor_.epoch;
    ++cursor_.trajectory;
    cursor_.t = cursor_.windows = 0;
    cursor_.loss = cursor_.gradient_norm = 0;
    if (validation != nullptr &&
        (cursor_.epoch % settings_.validate_every == 0 || cursor_.epoch == stage.epochs)) {
        record["validation"] = validate(*validation);
        ++cursor_.validations;
        cursor_.improved = cursor_.improved || cursor_.stale == 0;
    }
    if (log_) {
        log_->append(record);
        ++cursor_.records;
    }
}

void Trainer::average(std::span<const double> rates) {
    for (std::size_t i = 0; i < kept_.mean.size(); ++i) {
        if (!gradient_[i] || rates[i] == 0) continue;
        with_values(
            [&](auto mean, auto phi) {
                using T = typename decltype(phi)::value_type;
                const T share = static_cast<T>(1 - settings_.average);
                for (std::size_t j = 0; j < phi.size(); ++j) mean[j] += share * (phi[j] - mean[j]);
            },
            kept_.mean[i],
            kept_.phi[i]);
    }
}

double Trainer::validate(Validation& validation) {
    const double paid = validation.paid();
    const Validation::Score score = validation.score(last());
    cursor_.evaluations += validation.paid() - paid;
    cursor_.is_finite = std::isfinite(score.loss);
    if (cursor_.is_finite && !(score.loss >= cursor_.best_validation)) {
        cursor_.best_validation = score.loss;
        cursor_.stale = 0;
        kept_.best.copy_from(last());
    } else {
        ++cursor_.stale;
    }
    return score.loss;
}

}  // namespace l2o::framework
