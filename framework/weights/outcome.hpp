#pragma once

#include <cmath>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace l2o::framework {

/// How parameters compare with others on the same validation instances. An instance that diverges is worse
/// than any that does not.
struct Gain {
    std::int64_t instances = 0;
    std::int64_t diverged = 0, start_diverged = 0;  ///< instances
    double loss = NAN, start_loss = NAN;            ///< means; NAN if an instance diverged
    /// Of loss less start loss, paired, over the instances where neither diverged: mean and its standard
    /// error; NAN for fewer than one and two of them.
    double difference = NAN, standard_error = NAN;

    /// There is a standard error to compare with: of one instance there is none.
    [[nodiscard]] bool is_measured() const { return instances > 1; }
    /// Fewer instances diverge; or as many, and the mean is lower by more than its standard error.
    [[nodiscard]] bool is_better() const {
        if (diverged != start_diverged) return diverged < start_diverged;
        return difference < -standard_error;
    }
};
/// @param start, kept  losses of the same instances in the same order; not finite: it diverged.
[[nodiscard]] Gain gain_of(const std::vector<double>& start, const std::vector<double>& kept);

/// What a training came to; kept with its weights, so that those who find them again are told the same.
struct TrainingOutcome {
    std::int64_t meta_steps = 0;
    /// Windows that taught nothing: the loss, the gradient or the meta-step was not finite.
    std::int64_t skipped = 0;
    std::int64_t trajectories = 0, diverged_trajectories = 0;  ///< diverged: with such a window
    /// The last parameters are of no use: they give no finite loss, or windows diverged and nothing was
    /// gained. Others are kept: the best validated ones, the last that gave a finite loss, or those of the
    /// start.
    bool diverged = false;
    std::optional<Gain> gain{};  ///< of what is kept over what it began with
    std::string unmeasured{};    ///< why improved() says nothing; "" : it does, or nobody asked
    /// What all trajectories together have paid for, on training and validation instances, with those of the
    /// trainings that it started from; NAN: unknown.
    double evaluations = NAN;
    /// Of the trainings that it started from, one after the other; 0: none, NAN: unknown.
    double warm_start_seconds = 0;

    /// Nothing if it was not measured on two instances or more.
    [[nodiscard]] std::optional<bool> improved() const;
};

[[nodiscard]] nlohmann::json to_json(const TrainingOutcome& outcome);
/// What to_json() gave; nothing if it is something else.
[[nodiscard]] std::optional<TrainingOutcome> outcome_from_json(const nlohmann::json& json);

/// What a user has to know before he trusts the weights, a phrase each; empty if all is well.
[[nodiscard]] std::vector<std::string> remarks_on(const TrainingOutcome& outcome);

}  // namespace l2o::framework
