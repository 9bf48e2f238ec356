#include "framework/experiment/run.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "framework/config/value_text.hpp"
#include "framework/error.hpp"
#include "framework/evaluate/curve_file.hpp"
#include "framework/evaluate/results.hpp"
#include "framework/evaluate/results_file.hpp"
#include "framework/experiment/training_hash.hpp"
#include "framework/experiment/weights.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/hash.hpp"
#include "framework/store/lock_file.hpp"
#include "framework/store/metrics_log.hpp"
#include "framework/store/paths.hpp"
#include "framework/store/safetensors.hpp"

namespace l2o::framework {
namespace {

/// The instances and starts that everybody is evaluated on.
struct TestSet {
    ProblemData instances, rows;  ///< rows: every instance once per start
    std::vector<Tensor> x0;
};

TestSet make_test_set(const Experiment& experiment, const Optimizee& optimizee) {
    const Keys keys = keys_of(experiment.seed);
    TestSet test;
    test.instances = optimizee.sample(keys.test_data, Split::kTest, 0, experiment.evaluate.instances, true);
    test.rows = repeat(test.instances, optimizee, experiment.evaluate.starts);
    test.x0 = optimizee.init_point(keys.test_start, 0, test.rows);
    return test;
}

/// Instances with a NaN in a tensor that solve() writes.
std::int64_t count_unsolved(const ProblemData& data, const Optimizee& optimizee) {
    std::vector<bool> is_unsolved(static_cast<std::size_t>(data.instances), false);
    for (std::size_t i = 0; i < data.tensors.size(); ++i) {
        const l2o_spec& spec = *optimizee.data()[i];
        const Tensor& tensor = data.tensors[i];
        if (!tensor || (spec.flags & L2O_DATA_BY_SOLVE) == 0 || spec.batched == 0 || data.instances == 0)
            continue;
        const std::int64_t width = tensor.size() / data.instances;
        for (std::int64_t k = 0; k < tensor.size(); ++k)
            if (std::isnan(tensor.value(k))) is_unsolved[static_cast<std::size_t>(k / width)] = true;
    }
    return std::count(is_unsolved.begin(), is_unsolved.end(), true);
}

/// A contestant with its plugins.
struct Entrant {
    const Contestant* contestant;
    std::unique_ptr<const Optimizer> optimizer, continue_with, classic;  // on the test problem
    TensorSet params, continue_params, classic_params;
    // What its training needs; null if it is not trained.
    std::unique_ptr<const Optimizee> train_optimizee{};
    std::unique_ptr<const Optimizer> train_optimizer{};
    std::filesystem::path weights{};          // "" : not there yet, or none needed
    std::optional<TensorFile> weight_file{};  // until the parameters are taken from it
    std::optional<WeightsReport> report{};
    bool is_fault_told = false;  // of weights that were found
    double preparation_seconds = 0;
};

std::int64_t longest_horizon(const TrainSettings& train) {
    std::int64_t longest = train.stages.empty() ? train.horizon : 0;
    for (const StageSettings& stage : train.stages)
        longest = std::max(longest, stage.horizon > 0 ? stage.horizon : train.horizon);
    return longest;
}

void remove_file(const std::filesystem::path& path) {
    std::error_code code;
    std::filesystem::remove(path, code);
    if (code) throw io_error(path, "cannot be removed", code.value(), "check the permissions of its folder");
}

class Run {
  public:
    Run(const Experiment& experiment, const RunOptions& options)
        : experiment_(experiment),
          options_(options),
          keys_(keys_of(experiment.seed)),
          optimizee_(experiment.optimizee.entry, experiment.optimizee.resolve(), experiment.dtype) {
        for (const Contestant& contestant : experiment.contestants) bind(contestant);
        if (options.part == RunPart::kTrain) return;
        test_ = make_test_set(experiment, optimizee_);
        for (const Entrant& entrant : entrants_)
            check_evaluation(experiment.evaluate, optimizee_, test_.x0, ready(entrant));
    }

    RunResult run() {
        const bool is_new = options_.resume.empty();
        std::optional<FileHandle> lock;
        if (is_new) {
            request_ = {.part = options_.part, .untrained = options_.untrained};
            if (options_.retrain) request_.retrained = trained_names();
            if (options_.part == RunPart::kTrain)
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
                            "contestants." + contestant.name + ": '" + contestant.optimizer.id() +
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
        RunResult result{.folder = folder_->path, .unsolved = count_unsolved(test_.instances, optimizee_)};
        if (!is_new && take_results(result)) return result;
        make_folders(folder_->checkpoints());
        if (!is_new) begin_again();
        try {
            for (Entrant& entrant : entrants_) {
                if (needs_training(entrant)) train_one(entrant);
            }
            if (options_.part != RunPart::kTrain) {
                load_parameters();
                evaluate_all(result);
            }
        } catch (const Error& error) {
            const bool is_refusal = error.code() == ExitCode::kUsage || error.code() == ExitCode::kPlugin;
            if (is_new && is_refusal) folder_->remove_if_unused();
            if (error.code() != ExitCode::kInterrupted) throw;
            throw Error(error.code(),
                        std::string(error.what()) + "; go on with: l2o " + options_.resume_verb +
                            " --resume " + shell_word(folder_->path.string()) + options_.resume_options);
        }
        add_weights(result);
        return result;
    }

  private:
    void add_weights(RunResult& result) const {
        for (const Entrant& entrant : entrants_) {
            if (entrant.report) result.weights.push_back(*entrant.report);
        }
    }

    /// Names what the run has come to: the results that are stored, and all that they depend on.
    [[nodiscard]] std::string results_hash() const {
        Checksum checksum;
        for (const Entrant& entrant : entrants_) checksum.add(evaluation_hash(entrant));
        for (const auto& file :
             {folder_->curves(), folder_->finals(), folder_->summary(), folder_->results()})
            checksum.add(read_file(file));
        return checksum.hex();
    }

    /// @return false if something is left to do, or would come to something else.
    bool take_results(RunResult& result) const {
        const auto is_to_train = [&](const Entrant& entrant) { return needs_training(entrant); };
        if (std::ranges::any_of(entrants_, is_to_train)) return false;
        if (options_.part != RunPart::kTrain) {
            if (request_.finished.empty()) return false;
            try {
                if (results_hash() != request_.finished) return false;
                Results results = read_results(folder_->path);
                result.judging = std::move(results.judging);
                result.curves = std::move(results.curves);
            } catch (const Error&) {
                return false;  // files that are gone are made again
            }
        }
        note(folder_->path.string() + ": this run is finished; what it came to is told as it was stored");
        result.was_finished = true;
        add_weights(result);
        return true;
    }

    /// What cannot be written is told before the work. From here on the results are not those of the run.
    void begin_again() {
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
    }

    void bind(const Contestant& contestant) {
        const Task task = task_of(optimizee_, experiment_.evaluate.iterations);
        const std::vector<SettingText> from_weights =
            contestant.weights.empty() ? std::vector<SettingText>{}
                                       : weight_options(contestant.weights, contestant.optimizer.id());
        Entrant entrant{.contestant = &contestant,
                        .optimizer = std::make_unique<Optimizer>(
                            contestant.optimizer.entry, contestant.optimizer.resolve(from_weights), task),
                        .continue_with = nullptr,
                        .classic = nullptr,
                        .params = {},
                        .continue_params = {},
                        .classic_params = {}};
        if (contestant.safeguard) {
            const PluginChoice& classic = contestant.safeguard->classic;
            entrant.classic = std::make_unique<Optimizer>(classic.entry, classic.resolve(), task);
        }
        if (contestant.continue_with) {
            entrant.continue_with = std::make_unique<Optimizer>(
                contestant.continue_with->entry, contestant.continue_with->resolve(), task);
        }
        if (contestant.train && options_.part != RunPart::kEvaluate) {
            const TrainSettings& train = *contestant.train;
            entrant.train_optimizee =
                augmented(std::make_unique<const Optimizee>(
                              train.optimizee.entry, train.optimizee.resolve(), experiment_.dtype),
                          train.augmentation);
            entrant.train_optimizer =
                std::make_unique<Optimizer>(contestant.optimizer.entry,
                                            contestant.optimizer.resolve(),
                                            task_of(*entrant.train_optimizee, longest_horizon(train)));
            if (!train.augmentation.is_none() &&
                (!entrant.train_optimizer->needs().empty() ||
                 (entrant.train_optimizer->info().flags & L2O_PARAMS_BY_PROBLEM) != 0)) {
                throw Error(ExitCode::kUsage,
                            "contestants." + contestant.name +
                                ".train: random_scaling and convex_term change the problem, and '" +
                                contestant.optimizer.id() +
                                "' is made for the data of the problem itself; set both to 0");
            }
            const auto check = [&](const PluginChoice& loss) {
                const Loss suits(loss.entry, loss.resolve(), *entrant.train_optimizee);
            };
            check(train.loss);
            for (const StageSettings& stage : train.stages)
                if (stage.loss) check(*stage.loss);
        }
        entrants_.push_back(std::move(entrant));
    }

    [[nodiscard]] bool needs_training(const Entrant& entrant) const {
        return !entrant.contestant->hash.empty() && entrant.weights.empty() && !request_.untrained;
    }

    void note(const std::string& text) const {
        if (options_.note && !text.empty()) options_.note(text);
    }

    /// Of a folder to go on in: what was asked for there, and where its weights are.
    void take_up() {
        request_ = folder_->request();
        shared_ = folder_->shared_weights(request_, experiment_.name);
        if (!request_.hash.empty() && request_.hash != experiment_.hash)
            note(folder_->config().string() +
                 " has been edited since the run began; what is in the folder is of both configurations");
        const bool trains = options_.part != RunPart::kEvaluate;
        if (options_.part == RunPart::kTrain)
            request_.untrained = false;  // of an evaluation that was asked for
        if (options_.retrain && trains) {
            for (const std::string& name : trained_names()) {
                for (auto* names : {&request_.retrained, &request_.forgotten})
                    if (!is_among(*names, name)) names->push_back(name);
            }
            folder_->write(request_);
        }
        if (request_.forgotten.empty() || !trains) return;
        for (const std::string& name : request_.forgotten) {
            for (const auto& file :
                 {folder_->evaluation(name), folder_->training(name), folder_->weights(name)})
                remove_file(file);
            const MetricsLog log(folder_->metrics(), {"contestant", name, 0});
        }
        request_.forgotten.clear();
        folder_->write(request_);
    }

    [[nodiscard]] static bool is_among(const std::vector<std::string>& names, const std::string& name) {
        return std::ranges::find(names, name) != names.end();
    }

    [[nodiscard]] std::vector<std::string> trained_names() const {
        std::vector<std::string> names;
        for (const Contestant& contestant : experiment_.contestants)
            if (!contestant.hash.empty()) names.push_back(contestant.name);
        return names;
    }

    /// Weights that are given, or that an earlier training has left: in this folder, or for everybody.
    void find_weights(Entrant& entrant) {
        const Contestant& contestant = *entrant.contestant;
        if (!contestant.weights.empty())
            return use(entrant, read_safetensors(contestant.weights), WeightsReport::Source::kGiven);
        if (contestant.hash.empty() || request_.untrained) return;
        if (folder_) {
            if (std::filesystem::exists(folder_->training(contestant.name))) return;  // to go on from
            const std::filesystem::path own = folder_->weights(contestant.name);
            if (std::filesystem::exists(own)) {
                FoundWeights found = found_weights(own, contestant.hash, trained_optimizer(entrant));
                if (!found.fault.empty())
                    throw Error(ExitCode::kUsage,
                                found.fault + "; restore the configuration, remove this file to train '" +
                                    contestant.name + "' again, or start a new run");
                return use(entrant, std::move(found.file), WeightsReport::Source::kFound);
            }
        }
        if (!is_among(request_.retrained, contestant.name)) find_shared(entrant);
    }

    void find_shared(Entrant& entrant) {
        const std::filesystem::path stored = stored_weights(*entrant.contestant);
        if (std::filesystem::exists(stored)) use_found(entrant, stored);
    }

    /// Where the weights of a training are found again.
    [[nodiscard]] std::filesystem::path stored_weights(const Contestant& contestant) const {
        if (shared_.empty()) return folder_->weights(contestant.name);
        return shared_ / (contestant.optimizer.id() + "-" + contestant.hash + ".safetensors");
    }

    /// The only process that trains these weights for everybody; the others wait. Null: nobody else does.
    [[nodiscard]] std::unique_ptr<LockFile> lock_training(const Contestant& contestant) const {
        if (shared_.empty()) return nullptr;
        make_folders(shared_);
        bool is_told = false;
        const auto waiting = [&](const std::string& holder) {
            if (!is_told)
                note("waiting for the training of '" + contestant.name + "' by " +
                     (holder.empty() ? "another l2o" : holder));
            is_told = true;
            if (CallContext::cancel_flag() != 0)
                throw Error(ExitCode::kInterrupted,
                            "interrupted, waiting for the training of '" + contestant.name + "'");
        };
        return std::make_unique<LockFile>(
            shared_ / ("." + contestant.optimizer.id() + "-" + contestant.hash + ".lock"),
            "process " + std::to_string(::getpid()) + " in " + folder_->path.string(),
            waiting);
    }

    /// That its weights are of, as far as this run trains.
    [[nodiscard]] static const Optimizer& trained_optimizer(const Entrant& entrant) {
        return entrant.train_optimizer ? *entrant.train_optimizer : *entrant.optimizer;
    }

    /// Weights that were found, if they are what their training left.
    void use_found(Entrant& entrant, const std::filesystem::path& stored) {
        const Contestant& contestant = *entrant.contestant;
        FoundWeights found = found_weights(stored, contestant.hash, trained_optimizer(entrant));
        if (found.fault.empty()) return use(entrant, std::move(found.file), WeightsReport::Source::kFound);
        if (options_.part == RunPart::kEvaluate)
            throw Error(ExitCode::kUsage,
                        found.fault + "; 'l2o train' trains '" + contestant.name + "' again");
        // Looked for again once nobody else trains them.
        if (!std::exchange(entrant.is_fault_told, true))
            note(found.fault + "; '" + contestant.name + "' is trained again");
    }

    void use(Entrant& entrant, TensorFile file, WeightsReport::Source source) {
        entrant.weights = file.path;
        entrant.report = {.contestant = entrant.contestant->name,
                          .file = file.path,
                          .source = source,
                          .seconds = training_seconds(file),
                          .training = training_of(file)};
        std::map<std::string, std::string> builds = training_builds(*entrant.contestant);
        if (source == WeightsReport::Source::kGiven) add_build(optimizee_.entry(), builds);
        for (const std::string& text : origin_notes(file, builds)) note(text);
        if (options_.part != RunPart::kTrain) entrant.weight_file = std::move(file);
    }

    void train_one(Entrant& entrant) {
        const Contestant& contestant = *entrant.contestant;
        const std::unique_ptr<LockFile> lock = lock_training(contestant);
        // Somebody else may have done it by now.
        if (!is_among(request_.retrained, contestant.name) &&
            !std::filesystem::exists(folder_->training(contestant.name)))
            find_shared(entrant);
        if (!needs_training(entrant)) return;
        const TrainFiles files{.checkpoint = folder_->training(contestant.name),
                               .metrics = folder_->metrics(),
                               .resume = !options_.resume.empty(),
                               .note = options_.note};
        const TrainResult trained = train(experiment_,
                                          contestant,
                                          *entrant.train_optimizer,
                                          *entrant.train_optimizee,
                                          files,
                                          options_.threads,
                                          options_.progress);
        const ProblemData data =
            entrant.train_optimizee->sample(keys_.train_data, Split::kTrain, 0, 1, false);
        std::map<std::string, std::string> metadata =
            problem_metadata(*entrant.train_optimizer, *entrant.train_optimizee, data);
        metadata.merge(build_metadata(training_builds(contestant)));
        metadata.merge(training_metadata(contestant.hash, trained.seconds, trained));
        const std::filesystem::path stored = stored_weights(contestant);
        write_weights(folder_->weights(contestant.name), *entrant.train_optimizer, trained.params, metadata);
        if (!shared_.empty()) write_weights(stored, *entrant.train_optimizer, trained.params, metadata);
        std::error_code ignored;
        std::filesystem::remove(files.checkpoint, ignored);
        entrant.weights = stored;
        entrant.report = {.contestant = contestant.name,
                          .file = stored,
                          .source = WeightsReport::Source::kTrained,
                          .seconds = trained.seconds,
                          .training = trained};
    }

    /// Parameters of all that can have them: from files, also right after a training, so that a run that
    /// finds weights again gives the same bits.
    void load_parameters() {
        for (Entrant& entrant : entrants_) {
            const auto begin = std::chrono::steady_clock::now();
            if (entrant.params.empty() && !needs_training(entrant)) entrant.params = parameters(entrant);
            if (entrant.classic && entrant.classic_params.empty()) {
                entrant.classic_params =
                    TensorSet(entrant.classic->init_params(keys_.init_params, test_.instances));
            }
            if (entrant.continue_with && entrant.continue_params.empty()) {
                entrant.continue_params =
                    TensorSet(entrant.continue_with->init_params(keys_.init_params, test_.instances));
            }
            entrant.preparation_seconds +=
                std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        }
    }

    TensorSet parameters(Entrant& entrant) const {
        if (entrant.weights.empty())
            return TensorSet(entrant.optimizer->init_params(keys_.init_params, test_.instances));
        if (!entrant.weight_file) entrant.weight_file = read_safetensors(entrant.weights);
        const TensorFile file = *std::exchange(entrant.weight_file, std::nullopt);
        note(problem_note(file, *entrant.optimizer, optimizee_, test_.instances));
        return read_weights(file, *entrant.optimizer, keys_.init_params, test_.instances, &optimizee_);
    }

    static double known_or_nan(double seconds) { return seconds > 0 ? seconds : NAN; }

    static Ready ready(const Entrant& entrant) {
        Ready ready{.contestant = entrant.contestant,
                    .optimizer = entrant.optimizer.get(),
                    .params = &entrant.params,
                    .continue_with = entrant.continue_with.get(),
                    .continue_params = &entrant.continue_params,
                    .training_seconds = entrant.report ? known_or_nan(entrant.report->seconds) : 0,
                    .preparation_seconds = entrant.preparation_seconds,
                    .training = entrant.report ? entrant.report->training : std::nullopt};
        if (entrant.classic)
            ready.safeguard.emplace(
                Safeguard{*entrant.classic, entrant.classic_params, entrant.contestant->safeguard->rule});
        return ready;
    }

    /// Names all that the evaluation of a contestant depends on: the configuration, the program, the plugins'
    /// libraries, the parameters, the instances and the starts.
    [[nodiscard]] std::string evaluation_hash(const Entrant& entrant) const {
        Checksum checksum;
        for (const std::string& text : {experiment_.hash,
                                        entrant.contestant->name,
                                        options_.build.version,
                                        options_.build.type,
                                        options_.build.flags})
            checksum.add(text);
        const auto add_build = [&](const Catalog::Entry& entry) {
            const Build build = Catalog::build_of(entry);
            checksum.add(build.id + " " + build.content);
        };
        const auto add = [&](std::span<const Tensor> tensors) {
            for (const Tensor& tensor : tensors) {
                if (!tensor) continue;
                checksum.add(name_of(tensor.dtype()) + to_string(tensor.shape()));
                checksum.add(
                    {static_cast<const char*>(tensor.data()), static_cast<std::size_t>(tensor.bytes())});
            }
        };
        add_build(optimizee_.entry());
        add(test_.rows.tensors);
        add(test_.x0);
        const auto add_optimizer = [&](const Optimizer* optimizer, const TensorSet& params) {
            if (optimizer == nullptr) return checksum.add("");
            add_build(optimizer->entry());
            add(params.tensors());
        };
        add_optimizer(entrant.optimizer.get(), entrant.params);
        add_optimizer(entrant.continue_with.get(), entrant.continue_params);
        add_optimizer(entrant.classic.get(), entrant.classic_params);
        return checksum.hex();
    }

    /// What an earlier session of this run has kept of a contestant.
    [[nodiscard]] std::optional<Curve> kept_evaluation(const Entrant& entrant) const {
        const std::filesystem::path file = folder_->evaluation(entrant.contestant->name);
        if (options_.resume.empty() || !std::filesystem::exists(file)) return std::nullopt;
        std::optional<Curve> curve = read_curve(file, evaluation_hash(entrant));
        const std::int64_t rows = experiment_.evaluate.instances * experiment_.evaluate.starts;
        if (curve &&
            (std::ssize(curve->final_rows.front()) != rows || curve->metrics != metric_names(optimizee_)))
            curve.reset();
        if (!curve)
            note(file.string() + ": not of this configuration, these weights and these plugins; '" +
                 entrant.contestant->name + "' is evaluated again");
        return curve;
    }

    void evaluate_all(RunResult& result) {
        using Clock = std::chrono::steady_clock;
        Clock::time_point last = Clock::now();
        std::size_t kept = 0;  // of the contestants, in their order
        const auto keep = [&] {
            for (; kept < result.curves.size(); ++kept) {
                const Entrant& entrant = entrants_[kept];
                write_curve(folder_->evaluation(entrant.contestant->name),
                            result.curves[kept],
                            evaluation_hash(entrant));
            }
            last = Clock::now();
        };
        for (const Entrant& entrant : entrants_) {
            if (std::optional<Curve> known = kept_evaluation(entrant)) {
                result.curves.push_back(std::move(*known));
                continue;
            }
            try {
                result.curves.push_back(evaluate(experiment_,
                                                 optimizee_,
                                                 test_.rows,
                                                 test_.x0,
                                                 ready(entrant),
                                                 options_.threads,
                                                 options_.progress));
            } catch (const Error& error) {
                if (error.code() == ExitCode::kInterrupted) keep();
                throw;
            }
            const std::chrono::duration<double> unkept = Clock::now() - last;
            const bool is_last = result.curves.size() == entrants_.size();
            if (!is_last && unkept.count() >= experiment_.evaluate.checkpoint_every_s) keep();
        }
        result.judging = judging_of(experiment_, optimizee_, result.curves.front().metrics);
        find_reached(result.curves, result.judging);
        const Results results{result.judging, result.curves};
        write_curves(folder_->curves(), result.curves);
        write_finals(folder_->finals(), results);
        write_summary(folder_->summary(), result.curves, result.judging);
        write_results(folder_->results(), results);
        request_.finished = results_hash();
        folder_->write(request_);
        for (const Entrant& entrant : entrants_) {
            std::error_code ignored;
            std::filesystem::remove(folder_->evaluation(entrant.contestant->name), ignored);
        }
    }

    const Experiment& experiment_;
    const RunOptions& options_;
    const Keys keys_;
    const Optimizee optimizee_;
    TestSet test_;
    std::vector<Entrant> entrants_;
    std::optional<RunFolder> folder_;
    RunRequest request_;
    std::filesystem::path shared_;  // of the weights of all runs; "": there is none
};

}  // namespace

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
    return Run(experiment, options).run();
}

}  // namespace l2o::framework
