#include "framework/experiment/run.hpp"

#include <algorithm>

#include "framework/error.hpp"
#include "framework/experiment/run_evaluation.hpp"
#include "framework/experiment/run_tuning.hpp"
#include "framework/experiment/run_weights.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/lock_file.hpp"
#include "framework/store/metrics_log.hpp"
#include "framework/store/paths.hpp"

namespace l2o::framework {
namespace {

void remove_file(const std::filesystem::path& path) {
    std::error_code code;
    std::filesystem::remove(path, code);
    if (code) throw io_error(path, "cannot be removed", code.value(), "check the permissions of its folder");
}

/// The order of the work, and what is taken up of an earlier session.
class Runner {
  public:
    Runner(const Experiment& experiment, const RunOptions& options)
        : state_(experiment, options), weights_(state_) {}
    RunResult run();

  private:
    /// Of a folder to go on in: what was asked for there, and where its weights are.
    void take_up();
    /// @return false if something is left to do, or would come to something else.
    bool is_finished(RunResult& result);
    /// What cannot be written is told before the work. From here on the results are not those of the run.
    void begin_again();
    void add_weights(RunResult& result) const;
    [[nodiscard]] std::vector<std::string> trained_names() const;

    RunState state_;
    RunWeights weights_;
};

}  // namespace

RunResult Runner::run() {
    const bool is_new = state_.options.resume.empty();
    std::optional<FileHandle> lock;
    if (is_new) {
        state_.request = {.part = state_.options.part,
                          .untrained = state_.options.untrained,
                          .report = state_.options.report};
        if (state_.options.retrain) state_.request.retrained = trained_names();
        // Not all of config.info may take part.
        if (state_.options.part == RunPart::kTrain || state_.options.untrained)
            for (const Contestant& contestant : state_.experiment.contestants)
                state_.request.contestants.push_back(contestant.name);
        state_.shared = absolute_path(state_.options.root) / "weights";
    } else {
        state_.folder = RunFolder::open(state_.options.resume);
        lock.emplace(state_.folder->lock());
        take_up();
    }
    for (Entrant& entrant : state_.entrants) {
        const Contestant& contestant = *entrant.contestant;
        weights_.find(entrant);
        if (state_.options.part == RunPart::kEvaluate && state_.needs_training(entrant)) {
            throw Error(ExitCode::kUsage,
                        contestant.place() + ": '" + contestant.optimizer.id() +
                            "' has not been trained with these settings: there is no " +
                            weights_.stored(contestant).string() +
                            "; train it first ('l2o train'), or name its weights ('weights FILE')");
        }
    }
    if (state_.options.part != RunPart::kTrain) weights_.load_parameters();
    if (is_new) {
        state_.folder =
            RunFolder::create(state_.options.root, state_.experiment, state_.options.build, state_.request);
        lock.emplace(state_.folder->lock());
        state_.request = state_.folder->request();
    }
    RunResult result{.folder = state_.folder->path, .report = state_.request.report && state_.options.report};
    if (!is_new && is_finished(result)) return result;
    make_folders(state_.folder->checkpoints());
    if (!is_new) begin_again();
    try {
        std::vector<std::size_t> untrained;
        for (std::size_t i = 0; i < state_.entrants.size(); ++i)
            if (state_.needs_training(state_.entrants[i])) untrained.push_back(i);
        state_.each(untrained, "the training", [&](std::size_t i, int threads, const ProgressSink& progress) {
            weights_.train(state_.entrants[i], threads, progress);
        });
        if (state_.options.part != RunPart::kTrain) {
            weights_.load_parameters();
            RunEvaluation evaluation(state_);
            tune(state_);
            evaluation.evaluate(result.results);
        }
    } catch (const Error& error) {
        const bool is_refusal = error.code() == ExitCode::kUsage || error.code() == ExitCode::kPlugin;
        if (is_new && is_refusal) state_.folder->remove_if_unused();
        if (error.code() != ExitCode::kInterrupted) throw;
        throw Error(error.code(),
                    std::string(error.what()) + "; go on with: l2o " + state_.options.resume_verb +
                        " --resume " + shell_word(state_.folder->path.string()) +
                        state_.options.resume_options);
    }
    add_weights(result);
    return result;
}

bool Runner::is_finished(RunResult& result) {
    const auto is_to_train = [&](const Entrant& entrant) { return state_.needs_training(entrant); };
    if (std::ranges::any_of(state_.entrants, is_to_train)) return false;
    const bool only_trains = state_.options.part == RunPart::kTrain;
    if (!only_trains && !RunEvaluation(state_).take_up(result.results)) return false;
    state_.note(state_.folder->path.string() +
                (only_trains ? ": nothing is left to train"
                             : ": this run is finished; what it came to is told as it was stored"));
    result.was_finished = true;
    add_weights(result);
    return true;
}

void Runner::add_weights(RunResult& result) const {
    for (const Entrant& entrant : state_.entrants) {
        if (entrant.report) result.weights.push_back(*entrant.report);
    }
    result.weights.insert(result.weights.end(), state_.tried.begin(), state_.tried.end());
}

void Runner::begin_again() {
    std::vector<std::filesystem::path> files{state_.folder->metrics()};
    if (state_.options.part != RunPart::kTrain)
        files.insert(files.end(),
                     {state_.folder->curves(),
                      state_.folder->finals(),
                      state_.folder->summary(),
                      state_.folder->results()});
    for (const Entrant& entrant : state_.entrants) {
        if (state_.needs_training(entrant)) files.push_back(state_.folder->weights(entrant.contestant->name));
        files.push_back(state_.folder->evaluation(entrant.contestant->name));
    }
    for (const std::filesystem::path& file : files) check_output(file);
    state_.request.finished.clear();
    state_.folder->write(state_.request);
    if (const std::string others = state_.folder->record_plugins(state_.experiment); !others.empty())
        state_.note(state_.folder->path.string() + ": was begun with other builds of its plugins: " + others +
                    "; what was trained before is gone on with");
}

void Runner::take_up() {
    state_.request = state_.folder->request();
    state_.shared = state_.folder->shared_weights(state_.request, state_.experiment.name);
    if (!state_.request.hash.empty() && state_.request.hash != state_.experiment.hash)
        state_.note(state_.folder->config().string() +
                    " has been edited since the run began; what is in the folder is of both configurations");
    const bool trains = state_.options.part != RunPart::kEvaluate;
    if (state_.options.retrain && trains) {
        for (const std::string& name : trained_names()) {
            for (auto* names : {&state_.request.retrained, &state_.request.forgotten})
                if (std::ranges::find(*names, name) == names->end()) names->push_back(name);
        }
        state_.folder->write(state_.request);
    }
    if (state_.request.forgotten.empty() || !trains) return;
    for (const std::string& name : state_.request.forgotten) {
        for (const auto& file : {state_.folder->evaluation(name),
                                 state_.folder->evaluation(name + ".tuning"),
                                 state_.folder->training(name),
                                 state_.folder->weights(name)})
            remove_file(file);
        const MetricsLog log(state_.folder->metrics(), {"contestant", name, 0});
    }
    state_.request.forgotten.clear();
    state_.folder->write(state_.request);
}

std::vector<std::string> Runner::trained_names() const {
    std::vector<std::string> names;
    for (const Contestant& contestant : state_.experiment.contestants)
        if (!contestant.hash.empty()) names.push_back(contestant.name);
    return names;
}

ResumedRun resumed_run(const Catalog& catalog, const std::filesystem::path& path) {
    const RunFolder folder = RunFolder::open(path);
    ResumedRun run{.experiment = read_experiment(catalog, Config::load(folder.config())),
                   .request = folder.request()};
    std::vector<Contestant>& contestants = run.experiment.contestants;
    for (const std::string& name : run.request.contestants) {
        if (std::ranges::find(contestants, name, &Contestant::name) == contestants.end())
            throw Error(ExitCode::kUsage,
                        folder.config().string() + ": has no contestant '" + name +
                            "', which is what this run trains; restore it, or start a new run");
    }
    const auto is_wanted = [&](const Contestant& contestant) {
        return run.request.contestants.empty() ||
               std::ranges::find(run.request.contestants, contestant.name) != run.request.contestants.end();
    };
    std::erase_if(contestants, [&](const Contestant& contestant) { return !is_wanted(contestant); });
    return run;
}

RunResult run_experiment(const Experiment& experiment, const RunOptions& options) {
    return Runner(experiment, options).run();
}

}  // namespace l2o::framework
