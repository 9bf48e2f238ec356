#include "framework/experiment/run.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

#include "framework/config/value_text.hpp"
#include "framework/error.hpp"
#include "framework/evaluate/results.hpp"
#include "framework/evaluate/results_file.hpp"
#include "framework/experiment/run_folder.hpp"
#include "framework/experiment/weights.hpp"
#include "framework/store/safetensors.hpp"

namespace l2o::framework {
namespace {

constexpr const char* kSecondsKey = "l2o.training_seconds";
constexpr const char* kHashKey = "l2o.training_hash";

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
    std::filesystem::path weights{};  // "" : not there yet, or none needed
    std::optional<WeightsReport> report{};
    double preparation_seconds = 0;
};

std::int64_t longest_horizon(const TrainSettings& train) {
    std::int64_t longest = train.stages.empty() ? train.horizon : 0;
    for (const StageSettings& stage : train.stages)
        longest = std::max(longest, stage.horizon > 0 ? stage.horizon : train.horizon);
    return longest;
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
        if (!is_new) lock.emplace(RunFolder::open(options_.resume).lock());
        for (Entrant& entrant : entrants_) {
            const Contestant& contestant = *entrant.contestant;
            if (!contestant.weights.empty()) {
                use(entrant, contestant.weights, WeightsReport::Source::kGiven);
            } else if (!contestant.hash.empty() && !options_.retrain && !options_.untrained &&
                       !is_unfinished(contestant)) {
                if (std::filesystem::exists(stored_weights(contestant)))
                    use(entrant, stored_weights(contestant), WeightsReport::Source::kFound);
            }
            if (options_.part == RunPart::kEvaluate && needs_training(entrant)) {
                throw Error(ExitCode::kUsage,
                            "contestants." + contestant.name + ": '" + contestant.optimizer.id() +
                                "' has not been trained with these settings: there is no " +
                                stored_weights(contestant).string() +
                                "; train it first ('l2o train'), or name its weights ('weights FILE')");
            }
        }
        if (options_.part != RunPart::kTrain) load_parameters();
        folder_ = is_new ? RunFolder::create(options_.root, experiment_, options_.build)
                         : RunFolder::open(options_.resume);
        make_folders(folder_->checkpoints());
        if (is_new) lock.emplace(folder_->lock());
        RunResult result{.folder = folder_->path, .unsolved = count_unsolved(test_.instances, optimizee_)};
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
            throw Error(
                error.code(),
                std::string(error.what()) + "; go on with 'l2o run --resume " + folder_->path.string() + "'");
        }
        for (const Entrant& entrant : entrants_) {
            if (entrant.report) result.weights.push_back(*entrant.report);
        }
        return result;
    }

  private:
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
        return !entrant.contestant->hash.empty() && entrant.weights.empty() && !options_.untrained;
    }

    [[nodiscard]] std::filesystem::path root() const {
        return options_.resume.empty() ? std::filesystem::absolute(options_.root).lexically_normal()
                                       : RunFolder::open(options_.resume).root();
    }

    /// Where the weights of a training are found again.
    [[nodiscard]] std::filesystem::path stored_weights(const Contestant& contestant) const {
        return root() / "weights" / (contestant.optimizer.id() + "-" + contestant.hash + ".safetensors");
    }

    [[nodiscard]] bool is_unfinished(const Contestant& contestant) const {
        return !options_.resume.empty() &&
               std::filesystem::exists(RunFolder::open(options_.resume).training(contestant.name));
    }

    void use(Entrant& entrant, const std::filesystem::path& file, WeightsReport::Source source) {
        entrant.weights = file;
        entrant.report = {.contestant = entrant.contestant->name, .file = file, .source = source};
        const TensorFile header = read_safetensors(file);
        if (const auto seconds = header.metadata.find(kSecondsKey); seconds != header.metadata.end())
            entrant.report->seconds = parse_real(seconds->second).value_or(0);
    }

    void train_one(Entrant& entrant) {
        const Contestant& contestant = *entrant.contestant;
        const TrainFiles files{.checkpoint = folder_->training(contestant.name),
                               .metrics = folder_->metrics(),
                               .resume = !options_.resume.empty()};
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
        metadata[kSecondsKey] = format_real(trained.seconds);
        metadata[kHashKey] = contestant.hash;
        const std::filesystem::path stored = stored_weights(contestant);
        make_folders(stored.parent_path());
        write_weights(folder_->weights(contestant.name), *entrant.train_optimizer, trained.params, metadata);
        write_weights(stored, *entrant.train_optimizer, trained.params, metadata);
        std::error_code ignored;
        std::filesystem::remove(files.checkpoint, ignored);
        entrant.weights = stored;
        entrant.report = {.contestant = contestant.name,
                          .file = stored,
                          .source = WeightsReport::Source::kTrained,
                          .seconds = trained.seconds,
                          .meta_steps = trained.meta_steps,
                          .skipped = trained.skipped};
    }

    /// Parameters of all that can have them: from files, also right after a training, so that a run that
    /// finds weights again gives the same bits.
    void load_parameters() {
        for (Entrant& entrant : entrants_) {
            const auto begin = std::chrono::steady_clock::now();
            if (entrant.params.empty() && !needs_training(entrant)) {
                entrant.params =
                    entrant.weights.empty()
                        ? TensorSet(entrant.optimizer->init_params(keys_.init_params, test_.instances))
                        : read_weights(entrant.weights,
                                       *entrant.optimizer,
                                       keys_.init_params,
                                       test_.instances,
                                       &optimizee_);
            }
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

    static double known_or_nan(double seconds) { return seconds > 0 ? seconds : NAN; }

    static Ready ready(const Entrant& entrant) {
        Ready ready{.contestant = entrant.contestant,
                    .optimizer = entrant.optimizer.get(),
                    .params = &entrant.params,
                    .continue_with = entrant.continue_with.get(),
                    .continue_params = &entrant.continue_params,
                    .training_seconds = entrant.report ? known_or_nan(entrant.report->seconds) : 0,
                    .preparation_seconds = entrant.preparation_seconds};
        if (entrant.classic)
            ready.safeguard.emplace(
                Safeguard{*entrant.classic, entrant.classic_params, entrant.contestant->safeguard->rule});
        return ready;
    }

    void evaluate_all(RunResult& result) const {
        for (const Entrant& entrant : entrants_) {
            result.curves.push_back(evaluate(experiment_,
                                             optimizee_,
                                             test_.rows,
                                             test_.x0,
                                             ready(entrant),
                                             options_.threads,
                                             options_.progress));
        }
        result.judging = judging_of(experiment_, optimizee_, result.curves.front().metrics);
        find_reached(result.curves, result.judging);
        const Results results{result.judging, result.curves};
        write_curves(folder_->curves(), result.curves);
        write_finals(folder_->finals(), results);
        write_summary(folder_->summary(), result.curves, result.judging);
        write_results(folder_->results(), results);
    }

    const Experiment& experiment_;
    const RunOptions& options_;
    const Keys keys_;
    const Optimizee optimizee_;
    TestSet test_;
    std::vector<Entrant> entrants_;
    std::optional<RunFolder> folder_;
};

}  // namespace

Experiment resumed_experiment(const Catalog& catalog, const std::filesystem::path& folder) {
    return read_experiment(catalog, Config::load(RunFolder::open(folder).config()));
}

RunResult run_experiment(const Experiment& experiment, const RunOptions& options) {
    return Run(experiment, options).run();
}

}  // namespace l2o::framework
