#include "framework/experiment/run.hpp"

#include <algorithm>
#include <atomic>

#include "framework/error.hpp"
#include "framework/experiment/runner.hpp"
#include "framework/plugin/blas.hpp"
#include "framework/plugin/process_watch.hpp"
#include "framework/rollout/team.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/metrics_log.hpp"
#include "framework/store/paths.hpp"

namespace l2o::framework {
namespace {

void remove_file(const std::filesystem::path& path) {
    std::error_code code;
    std::filesystem::remove(path, code);
    if (code) throw io_error(path, "cannot be removed", code.value(), "check the permissions of its folder");
}

}  // namespace

Runner::Runner(const Experiment& experiment, const RunOptions& options)
    : experiment_(experiment),
      options_(options),
      keys_(keys_of(experiment.seed)),
      optimizee_(experiment.optimizee.entry, experiment.optimizee.resolve(), experiment.dtype) {
    for (const Contestant& contestant : experiment.contestants)
        entrants_.push_back(
            make_entrant(experiment, contestant, optimizee_, options.part != RunPart::kEvaluate));
    if (options.part == RunPart::kTrain) return;
    test_ = make_test_set(experiment, optimizee_);
    for (const Entrant& entrant : entrants_)
        check_evaluation(experiment.evaluate, optimizee_, test_.x0, ready(entrant));
    for (const Contestant& contestant : experiment.contestants)
        if (contestant.tune)
            check_metric(
                "contestants." + contestant.group + ".tune.metric", contestant.tune->metric, optimizee_);
}

RunResult Runner::run() {
    const bool is_new = options_.resume.empty();
    std::optional<FileHandle> lock;
    if (is_new) {
        request_ = {.part = options_.part, .untrained = options_.untrained, .report = options_.report};
        if (options_.retrain) request_.retrained = trained_names();
        if (options_.part == RunPart::kTrain || options_.untrained)  // not all of config.info may be here
            for (const Contestant& contestant : experiment_.contestants)
                request_.contestants.push_back(contestant.name);
        shared_ = absolute_path(options_.root) / "weights";
    } else {
        folder_ = RunFolder::open(options_.resume);
        lock.emplace(folder_->lock());
        take_up();
    }
    for (Entrant& entrant : entrants_) {
        const Contestant& contestant = *entrant.contestant;
        find_weights(entrant);
        if (options_.part == RunPart::kEvaluate && needs_training(entrant)) {
            throw Error(ExitCode::kUsage,
                        contestant.place() + ": '" + contestant.optimizer.id() +
                            "' has not been trained with these settings: there is no " +
                            stored_weights(contestant).string() +
                            "; train it first ('l2o train'), or name its weights ('weights FILE')");
        }
    }
    if (options_.part != RunPart::kTrain) load_parameters();
    if (is_new) {
        folder_ = RunFolder::create(options_.root, experiment_, options_.build, request_);
        lock.emplace(folder_->lock());
        request_ = folder_->request();
    }
    RunResult result{.folder = folder_->path, .report = request_.report && options_.report};
    if (!is_new && take_results(result)) return result;
    make_folders(folder_->checkpoints());
    if (!is_new) begin_again();
    try {
        std::vector<std::size_t> untrained;
        for (std::size_t i = 0; i < entrants_.size(); ++i)
            if (needs_training(entrants_[i])) untrained.push_back(i);
        each(untrained, "the training", [&](std::size_t i, int threads, const ProgressSink& progress) {
            train_one(entrants_[i], threads, progress);
        });
        if (options_.part != RunPart::kTrain) {
            load_parameters();
            tune();
            evaluate_all(result.results);
        }
    } catch (const Error& error) {
        const bool is_refusal = error.code() == ExitCode::kUsage || error.code() == ExitCode::kPlugin;
        if (is_new && is_refusal) folder_->remove_if_unused();
        if (error.code() != ExitCode::kInterrupted) throw;
        throw Error(error.code(),
                    std::string(error.what()) + "; go on with: l2o " + options_.resume_verb + " --resume " +
                        shell_word(folder_->path.string()) + options_.resume_options);
    }
    add_weights(result);
    return result;
}

void Runner::add_weights(RunResult& result) const {
    for (const Entrant& entrant : entrants_) {
        if (entrant.report) result.weights.push_back(*entrant.report);
    }
    result.weights.insert(result.weights.end(), tried_.begin(), tried_.end());
}

void Runner::begin_again() {
    std::vector<std::filesystem::path> files{folder_->metrics()};
    if (options_.part != RunPart::kTrain)
        files.insert(files.end(),
                     {folder_->curves(), folder_->finals(), folder_->summary(), folder_->results()});
    for (const Entrant& entrant : entrants_) {
        if (needs_training(entrant)) files.push_back(folder_->weights(entrant.contestant->name));
        files.push_back(folder_->evaluation(entrant.contestant->name));
    }
    for (const std::filesystem::path& file : files) check_output(file);
    request_.finished.clear();
    folder_->write(request_);
    if (const std::string others = folder_->record_plugins(experiment_); !others.empty())
        note(folder_->path.string() + ": was begun with other builds of its plugins: " + others +
             "; what was trained before is gone on with");
}

bool Runner::needs_training(const Entrant& entrant) const {
    return !entrant.contestant->hash.empty() && entrant.weights.empty() && !is_untrained();
}

bool Runner::is_untrained() const { return request_.untrained && options_.part != RunPart::kTrain; }

void Runner::note(const std::string& text) const {
    if (!options_.note || text.empty()) return;
    const std::lock_guard lock(note_mutex_);
    options_.note(text);
}

void Runner::each(const std::vector<std::size_t>& entrants, const std::string& what, const Work& work) const {
    const auto name = [&](std::size_t i) { return entrants_[i].contestant->name; };
    const std::int64_t most = std::min<std::int64_t>(options_.threads, std::ssize(entrants));
    const int jobs = static_cast<int>(std::min<std::int64_t>(options_.jobs, most));
    if (jobs <= 1) {
        for (const std::size_t i : entrants) {
            const ProcessWatch watch(what + " of '" + name(i) + "'");
            work(i, options_.threads, options_.progress);
        }
        return;
    }
    std::string names;
    for (const std::size_t i : entrants) names += (names.empty() ? "'" : ", '") + name(i) + "'";
    const ProcessWatch watch(what + " of one of " + names);
    const ProcessWatch::Crowd crowd;
    const int threads = blas_threads(options_.threads) / jobs;
    std::atomic<bool> has_failed = false;
    Team(jobs).each(std::ssize(entrants), [&](std::int64_t k) {
        if (has_failed) return;
        const std::size_t i = entrants[static_cast<std::size_t>(k)];
        Progress last;
        const ProgressSink progress = [&](const Progress& now) {
            last = now;
            options_.progress(now);
        };
        try {
            work(i, std::max(threads, 1), options_.progress ? progress : options_.progress);
        } catch (const Error& error) {
            has_failed = true;
            if (error.code() != ExitCode::kInterrupted)
                note(std::string(error.what()) + "; what runs beside it goes on to its end");
            throw;
        }
        if (!options_.progress || last.done >= last.total) return;
        last.done = last.total;  // it has ended early
        options_.progress(last);
    });
}

void Runner::take_up() {
    request_ = folder_->request();
    shared_ = folder_->shared_weights(request_, experiment_.name);
    if (!request_.hash.empty() && request_.hash != experiment_.hash)
        note(folder_->config().string() +
             " has been edited since the run began; what is in the folder is of both configurations");
    const bool trains = options_.part != RunPart::kEvaluate;
    if (options_.retrain && trains) {
        for (const std::string& name : trained_names()) {
            for (auto* names : {&request_.retrained, &request_.forgotten})
                if (!is_among(*names, name)) names->push_back(name);
        }
        folder_->write(request_);
    }
    if (request_.forgotten.empty() || !trains) return;
    for (const std::string& name : request_.forgotten) {
        for (const auto& file : {folder_->evaluation(name),
                                 folder_->evaluation(name + ".tuning"),
                                 folder_->training(name),
                                 folder_->weights(name)})
            remove_file(file);
        const MetricsLog log(folder_->metrics(), {"contestant", name, 0});
    }
    request_.forgotten.clear();
    folder_->write(request_);
}

bool Runner::is_among(const std::vector<std::string>& names, const std::string& name) {
    return std::ranges::find(names, name) != names.end();
}

std::vector<std::string> Runner::trained_names() const {
    std::vector<std::string> names;
    for (const Contestant& contestant : experiment_.contestants)
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
