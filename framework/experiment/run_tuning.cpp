#include <algorithm>
#include <map>

#include "framework/error.hpp"
#include "framework/evaluate/curve_file.hpp"
#include "framework/experiment/runner.hpp"
#include "framework/experiment/tuning.hpp"

namespace l2o::framework {
namespace {

/// As in the test, but for the instances; only where it ends is looked at.
EvaluateSettings settings_of(const TuneSettings& tune, EvaluateSettings settings) {
    settings.instances = tune.instances;
    settings.starts = tune.starts;
    if (!tune.metric.empty()) settings.metric = tune.metric;
    settings.metrics_every = settings.iterations;
    return settings;
}

}  // namespace

std::map<std::size_t, Curve> Runner::try_candidates(const Candidates& candidates,
                                                    const EvaluateSettings& settings,
                                                    const TestSet& set) {
    std::map<std::size_t, Curve> curves;
    std::vector<std::size_t> missing;
    const auto file_of = [&](std::size_t member) {
        return folder_->evaluation(entrants_[member].contestant->name + ".tuning");
    };
    for (const Candidate& candidate : candidates.all) {
        for (const std::size_t member : candidate.members) {
            tuning_files_.push_back(file_of(member));
            if (std::optional<Curve> known = kept_curve(file_of(member), entrants_[member], settings))
                curves[member] = std::move(*known);
            else
                missing.push_back(member);
        }
    }
    std::mutex mutex;
    each(missing, "the tuning", [&](std::size_t i, int threads, const ProgressSink& progress) {
        Curve curve = evaluate(settings,
                               validation_keys(experiment_),
                               optimizee_,
                               set.rows,
                               set.x0,
                               ready(entrants_[i]),
                               threads,
                               progress);
        write_curve(file_of(i), curve, evaluation_hash(entrants_[i]));
        const std::lock_guard lock(mutex);
        curves[i] = std::move(curve);
    });
    return curves;
}

void Runner::tune() {
    const std::vector<Candidates> groups = candidates_of(experiment_.contestants);
    if (groups.empty()) return;
    entrants_hash_ = entrants_hash();
    std::vector<bool> is_out(entrants_.size());
    for (const Candidates& candidates : groups) {
        const EvaluateSettings settings = settings_of(candidates.tune, experiment_.evaluate);
        const TestSet set = make_validation_set(experiment_, optimizee_, candidates.tune);
        const std::map<std::size_t, Curve> curves = try_candidates(candidates, settings, set);
        const Judging judging = judging_of(settings,
                                           optimizee_,
                                           curves.begin()->second.metrics,
                                           unsolved_instances(set.instances, optimizee_));
        Tuned tuned = choose(candidates, curves, judging);
        tuned.instances = settings.instances;
        for (const Candidate& candidate : candidates.all) {
            for (const std::size_t member : candidate.members) {
                is_out[member] = candidate.settings != tuned.chosen;
                entrants_[member].tuned = tuned;
            }
        }
    }
    std::vector<Entrant> in;
    for (std::size_t i = 0; i < entrants_.size(); ++i) {
        if (!is_out[i])
            in.push_back(std::move(entrants_[i]));
        else if (entrants_[i].report)
            tried_.push_back(*entrants_[i].report);
    }
    entrants_ = std::move(in);
}

}  // namespace l2o::framework
