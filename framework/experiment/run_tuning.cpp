#include "framework/experiment/run_tuning.hpp"

#include <algorithm>
#include <map>

#include "framework/error.hpp"
#include "framework/evaluate/curve_file.hpp"
#include "framework/experiment/kept_curves.hpp"
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

/// What each member came to.
std::map<std::size_t, Curve> try_candidates(RunState& state,
                                            const Candidates& candidates,
                                            const EvaluateSettings& settings,
                                            const TestSet& set) {
    const KeptCurves kept(state);
    std::map<std::size_t, Curve> curves;
    std::vector<std::size_t> missing;
    const auto file_of = [&](std::size_t member) {
        return state.folder->evaluation(state.entrants[member].contestant->name + ".tuning");
    };
    for (const Candidate& candidate : candidates.all) {
        for (const std::size_t member : candidate.members) {
            state.tuning_files.push_back(file_of(member));
            if (std::optional<Curve> known = kept.find(file_of(member), state.entrants[member], settings))
                curves[member] = std::move(*known);
            else
                missing.push_back(member);
        }
    }
    std::mutex mutex;
    state.each(missing, "the tuning", [&](std::size_t i, int threads, const ProgressSink& progress) {
        Curve curve = evaluate(settings,
                               validation_keys(state.experiment),
                               state.optimizee,
                               set.rows,
                               set.x0,
                               ready(state.entrants[i]),
                               threads,
                               progress);
        write_curve(file_of(i), curve, kept.hash_of(state.entrants[i]));
        const std::lock_guard lock(mutex);
        curves[i] = std::move(curve);
    });
    return curves;
}

}  // namespace

void tune(RunState& state) {
    const std::vector<Candidates> groups = candidates_of(state.experiment.contestants);
    if (groups.empty()) return;
    std::vector<bool> is_out(state.entrants.size());
    for (const Candidates& candidates : groups) {
        const EvaluateSettings settings = settings_of(candidates.tune, state.experiment.evaluate);
        const TestSet set = make_validation_set(state.experiment, state.optimizee, candidates.tune);
        const std::map<std::size_t, Curve> curves = try_candidates(state, candidates, settings, set);
        const Judging judging = judging_of(settings,
                                           state.optimizee,
                                           curves.begin()->second.metrics,
                                           unsolved_instances(set.instances, state.optimizee));
        Tuned tuned = choose(candidates, curves, judging);
        tuned.instances = settings.instances;
        for (const Candidate& candidate : candidates.all) {
            for (const std::size_t member : candidate.members) {
                is_out[member] = candidate.settings != tuned.chosen;
                state.entrants[member].tuned = tuned;
            }
        }
    }
    std::vector<Entrant> in;
    for (std::size_t i = 0; i < state.entrants.size(); ++i) {
        if (!is_out[i])
            in.push_back(std::move(state.entrants[i]));
        else if (state.entrants[i].report)
            state.tried.push_back(*state.entrants[i].report);
    }
    state.entrants = std::move(in);
}

}  // namespace l2o::framework
