#include "framework/weights/outcome.hpp"

#include <fmt/format.h>

#include <l2o/files/json.hpp>

#include "framework/text/json.hpp"
#include "framework/weights/json_numbers.hpp"

namespace l2o::framework {
namespace {

using nlohmann::json;

/// Of losses: their mean, NAN if one is not finite; and how many are not.
void mean_of(const std::vector<double>& losses, double& mean, std::int64_t& diverged) {
    double sum = 0;
    for (const double loss : losses) {
        sum += loss;
        if (!std::isfinite(loss)) ++diverged;
    }
    mean = diverged == 0 && !losses.empty() ? sum / static_cast<double>(losses.size()) : NAN;
}

json or_null(double number) { return std::isnan(number) ? json() : json(number); }

}  // namespace

Gain gain_of(const std::vector<double>& start, const std::vector<double>& kept) {
    Gain gain{.instances = static_cast<std::int64_t>(kept.size())};
    mean_of(start, gain.start_loss, gain.start_diverged);
    mean_of(kept, gain.loss, gain.diverged);
    double pairs = 0, mean = 0, squares = 0;
    for (std::size_t i = 0; i < kept.size(); ++i) {
        const double difference = kept[i] - start[i];
        if (!std::isfinite(kept[i]) || !std::isfinite(start[i])) continue;
        // Welford 1962: neither sum cancels.
        const double from_mean = difference - mean;
        mean += from_mean / ++pairs;
        squares += from_mean * (difference - mean);
    }
    if (pairs > 0) gain.difference = mean;
    if (pairs > 1) gain.standard_error = std::sqrt(squares / (pairs - 1) / pairs);
    return gain;
}

std::optional<bool> TrainingOutcome::improved() const {
    if (!gain || !gain->is_measured()) return std::nullopt;
    return gain->is_better();
}

json to_json(const TrainingOutcome& outcome) {
    json validation;
    if (outcome.gain) {
        const Gain& gain = *outcome.gain;
        validation = {{"instances", gain.instances},
                      {"diverged", gain.diverged},
                      {"start_diverged", gain.start_diverged},
                      {"loss", gain.loss},
                      {"start_loss", gain.start_loss},
                      {"difference", gain.difference},
                      {"standard_error", gain.standard_error}};
    }
    return {{"meta_steps", outcome.meta_steps},
            {"skipped", outcome.skipped},
            {"trajectories", outcome.trajectories},
            {"diverged_trajectories", outcome.diverged_trajectories},
            {"diverged", outcome.diverged},
            {"improved", outcome.improved() ? json(*outcome.improved()) : json()},
            {"validation", validation},
            {"unmeasured", outcome.unmeasured},
            {"evaluations", or_null(outcome.evaluations)},
            {"warm_start_seconds", or_null(outcome.warm_start_seconds)}};
}

std::optional<TrainingOutcome> outcome_from_json(const json& from) try {
    TrainingOutcome outcome{.meta_steps = count_of(from, "meta_steps"),
                            .skipped = count_of(from, "skipped"),
                            .trajectories = count_of(from, "trajectories"),
                            .diverged_trajectories = count_of(from, "diverged_trajectories"),
                            .diverged = from.at("diverged").get<bool>(),
                            .unmeasured = from.at("unmeasured").get<std::string>()};
    // An earlier l2o told neither.
    if (from.contains("evaluations")) outcome.evaluations = real_of(from, "evaluations");
    if (from.contains("warm_start_seconds")) outcome.warm_start_seconds = real_of(from, "warm_start_seconds");
    if (const json& validation = from.at("validation"); !validation.is_null()) {
        outcome.gain = {.instances = count_of(validation, "instances"),
                        .diverged = count_of(validation, "diverged"),
                        .start_diverged = count_of(validation, "start_diverged"),
                        .loss = real_of(validation, "loss"),
                        .start_loss = real_of(validation, "start_loss"),
                        .difference = real_of(validation, "difference"),
                        .standard_error = real_of(validation, "standard_error")};
    }
    return outcome;
} catch (const json::exception&) {
    return std::nullopt;
} catch (const files::JsonFault&) {
    return std::nullopt;
}

std::vector<std::string> remarks_on(const TrainingOutcome& outcome) {
    std::vector<std::string> remarks;
    if (outcome.diverged)
        remarks.emplace_back("diverged: its last parameters are of no use, earlier ones are kept");
    if (outcome.skipped > 0) {
        remarks.push_back(fmt::format("{} window{} skipped (not finite) in {} of {} trajectories",
                                      outcome.skipped,
                                      outcome.skipped == 1 ? "" : "s",
                                      outcome.diverged_trajectories,
                                      outcome.trajectories));
    }
    if (!outcome.improved().value_or(true)) {
        const Gain& gain = *outcome.gain;
        std::string text =
            fmt::format("no better than its start values on {} validation instances: ", gain.instances);
        if (gain.diverged > 0 || gain.start_diverged > 0)
            text += fmt::format("{} of them diverge, {} at the start", gain.diverged, gain.start_diverged);
        else
            text += fmt::format("loss {:.4g}, {:.4g} at the start", gain.loss, gain.start_loss);
        if (!std::isnan(gain.standard_error))
            text += fmt::format(", difference {:.3g} +- {:.2g}", gain.difference, gain.standard_error);
        remarks.push_back(std::move(text));
    }
    if (!outcome.unmeasured.empty())
        remarks.push_back("not compared with its start values: " + outcome.unmeasured);
    return remarks;
}

}  // namespace l2o::framework
