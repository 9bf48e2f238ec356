#include "framework/experiment/run_state.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "framework/error.hpp"
#include "framework/plugin/blas.hpp"
#include "framework/plugin/process_watch.hpp"
#include "framework/rollout/team.hpp"
#include "framework/store/memory.hpp"

namespace l2o::framework {

RunState::RunState(const Experiment& of, const RunOptions& asked)
    : experiment(of),
      options(asked),
      keys(keys_of(experiment.seed)),
      optimizee(optimizee_of(experiment.optimizee, experiment.dtype)) {
    for (const Contestant& contestant : experiment.contestants)
        entrants.push_back(
            make_entrant(experiment, contestant, optimizee, options.part != RunPart::kEvaluate));
    const bool only_trains = options.part == RunPart::kTrain;
    const EvaluateSettings& evaluate = experiment.evaluate;
    check_size("evaluate", evaluate.instances, evaluate.starts, optimizee);
    // What cannot be evaluated is not trained for it: one instance tells.
    test = only_trains ? make_probe(experiment, optimizee) : make_test_set(experiment, optimizee);
    for (const Entrant& entrant : entrants) {
        EvaluateSettings settings = evaluate;
        // A file to train with may leave the evaluation out, whose default has more steps than layers.
        const std::int64_t layers = entrant.optimizer->info().max_steps;
        if (only_trains && layers > 0) settings.iterations = std::min(settings.iterations, layers);
        check_evaluation(settings, optimizee, test.x0, ready(entrant));
    }
    for (const Contestant& contestant : experiment.contestants) {
        if (!contestant.tune) continue;
        const TuneSettings& tune = *contestant.tune;
        const std::string where = "contestants." + contestant.group + ".tune";
        if (!tune.metric.empty()) check_metric(where + ".metric", tune.metric, optimizee);
        check_size(where, tune.instances, tune.starts, optimizee);
    }
    warn_of_memory();
}

/// Rows may end early, which nobody knows before.
void RunState::warn_of_memory() const {
    if (options.part == RunPart::kTrain) return;
    constexpr double kGiB = 1 << 30;
    const EvaluateSettings& settings = experiment.evaluate;
    const std::int64_t points = settings.iterations / settings.metrics_every + 1;
    const double most = bytes_of_test(optimizee, settings.instances, settings.starts, points);
    const std::optional<double> available = available_memory();
    if (!available || most <= *available) return;
    note(
        fmt::format("evaluate: what is recorded of {} rows at up to {} points takes up to {:.3g} GiB, and "
                    "there are {:.3g} GiB of memory; raise evaluate.metrics_every, or lower "
                    "evaluate.instances",
                    settings.instances * settings.starts,
                    points,
                    most / kGiB,
                    *available / kGiB));
}

bool RunState::needs_training(const Entrant& entrant) const {
    return !entrant.contestant->hash.empty() && entrant.weights.empty() && !is_untrained();
}

bool RunState::is_untrained() const { return request.untrained && options.part != RunPart::kTrain; }

void RunState::note(const std::string& text) const {
    if (!options.note || text.empty()) return;
    const std::lock_guard lock(note_mutex_);
    options.note(text);
}

void RunState::each(const std::vector<std::size_t>& which, const std::string& what, const Work& work) const {
    const auto name = [&](std::size_t i) { return entrants[i].contestant->name; };
    const std::int64_t most = std::min<std::int64_t>(options.threads, std::ssize(which));
    const int jobs = static_cast<int>(std::min<std::int64_t>(options.jobs, most));
    if (jobs <= 1) {
        for (const std::size_t i : which) {
            const ProcessWatch watch(what + " of '" + name(i) + "'");
            work(i, options.threads, options.progress);
        }
        return;
    }
    std::string names;
    for (const std::size_t i : which) names += (names.empty() ? "'" : ", '") + name(i) + "'";
    const ProcessWatch watch(what + " of one of " + names);
    const ProcessWatch::Crowd crowd;
    const int threads = blas_threads(options.threads) / jobs;
    Team(jobs).each(std::ssize(which), [&](std::int64_t k) {
        const std::size_t i = which[static_cast<std::size_t>(k)];
        Progress last;
        const ProgressSink progress = [&](const Progress& now) {
            last = now;
            options.progress(now);
        };
        try {
            work(i, std::max(threads, 1), options.progress ? progress : options.progress);
        } catch (const Error& error) {
            if (error.code() != ExitCode::kInterrupted)
                note(std::string(error.what()) + "; what runs beside it goes on to its end");
            throw;
        }
        if (!options.progress || last.done >= last.total) return;
        last.done = last.total;  // it has ended early
        options.progress(last);
    });
}

}  // namespace l2o::framework
