#include "framework/experiment/run_weights.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "framework/cancel.hpp"
#include "framework/error.hpp"
#include "framework/experiment/training_hash.hpp"
#include "framework/store/file_handle.hpp"

namespace l2o::framework {

void RunWeights::find(Entrant& entrant) {
    const Contestant& contestant = *entrant.contestant;
    if (!contestant.weights.empty())
        return use(entrant, read_safetensors(contestant.weights), WeightsReport::Source::kGiven);
    if (contestant.hash.empty() || state_.is_untrained()) return;
    if (state_.folder) {
        if (std::filesystem::exists(state_.folder->training(contestant.name))) return;  // to go on from
        const std::filesystem::path own = state_.folder->weights(contestant.name);
        if (std::filesystem::exists(own)) {
            const FileHandle readable(own, O_RDONLY | O_NONBLOCK);  // else it need not be removed
            FoundWeights found = found_weights(own, contestant.hash, trained_optimizer(entrant));
            if (!found.fault.empty())
                throw Error(
                    found.code,
                    found.fault + "; " + (found.code == ExitCode::kIo ? "" : "restore the configuration, ") +
                        "remove this file to train '" + contestant.name + "' again, or start a new run");
            return use(entrant, std::move(found.file), WeightsReport::Source::kFound);
        }
    }
    if (!is_retrained(contestant)) find_shared(entrant);
}

bool RunWeights::is_retrained(const Contestant& contestant) const {
    return std::ranges::find(state_.request.retrained, contestant.name) != state_.request.retrained.end();
}

void RunWeights::find_shared(Entrant& entrant) {
    const std::filesystem::path file = stored(*entrant.contestant);
    if (std::filesystem::exists(file)) use_found(entrant, file);
}

std::filesystem::path RunWeights::stored(const Contestant& contestant) const {
    if (state_.shared.empty()) return state_.folder->weights(contestant.name);
    return state_.shared / (contestant.optimizer.id() + "-" + contestant.hash + ".safetensors");
}

std::unique_ptr<LockFile> RunWeights::lock(const Contestant& contestant) const {
    if (state_.shared.empty()) return nullptr;
    make_folders(state_.shared);
    bool is_told = false;
    const auto waiting = [&](const std::string& holder) {
        if (!is_told)
            state_.note("waiting for the training of '" + contestant.name + "' by " +
                        (holder.empty() ? "another l2o" : holder));
        is_told = true;
        if (cancel_flag() != 0)
            throw Error(ExitCode::kInterrupted,
                        "interrupted, waiting for the training of '" + contestant.name + "'");
    };
    return std::make_unique<LockFile>(
        state_.shared / ("." + contestant.optimizer.id() + "-" + contestant.hash + ".lock"),
        "process " + std::to_string(::getpid()) + " in " + state_.folder->path.string(),
        waiting);
}

void RunWeights::use_found(Entrant& entrant, const std::filesystem::path& stored) {
    const Contestant& contestant = *entrant.contestant;
    FoundWeights found = found_weights(stored, contestant.hash, trained_optimizer(entrant));
    if (found.fault.empty()) return use(entrant, std::move(found.file), WeightsReport::Source::kFound);
    if (state_.options.part == RunPart::kEvaluate)
        throw Error(found.code, found.fault + "; 'l2o train' trains '" + contestant.name + "' again");
    // Looked for again once nobody else trains them.
    if (!std::exchange(entrant.is_fault_told, true))
        state_.note(found.fault + "; '" + contestant.name + "' is trained again");
}

void RunWeights::use(Entrant& entrant, TensorFile file, WeightsReport::Source source) {
    entrant.weights = file.path;
    entrant.report = {.contestant = entrant.contestant->name,
                      .file = file.path,
                      .source = source,
                      .seconds = training_seconds(file),
                      .training = training_of(file)};
    for (const std::string& text : origin_notes(file, state_.experiment.builds)) state_.note(text);
    if (state_.options.part != RunPart::kTrain) entrant.weight_file = std::move(file);
}

void RunWeights::train(Entrant& entrant, int threads, const ProgressSink& progress) {
    const Contestant& contestant = *entrant.contestant;
    const std::unique_ptr<LockFile> alone = lock(contestant);
    // Somebody else may have done it by now.
    if (!is_retrained(contestant) && !std::filesystem::exists(state_.folder->training(contestant.name)))
        find_shared(entrant);
    if (!state_.needs_training(entrant)) return;
    const TrainFiles files{.checkpoint = state_.folder->training(contestant.name),
                           .metrics = state_.folder->metrics(),
                           .resume = !state_.options.resume.empty(),
                           .note = [this](const std::string& text) { state_.note(text); }};
    const TrainResult trained = framework::train(train_task(state_.experiment, contestant),
                                                 *entrant.train_optimizer,
                                                 *entrant.train_optimizee,
                                                 files,
                                                 threads,
                                                 progress);
    const ProblemData data =
        entrant.train_optimizee->sample(state_.keys.train_data, Split::kTrain, 0, 1, false);
    std::map<std::string, std::string> metadata =
        problem_metadata(*entrant.train_optimizer, *entrant.train_optimizee, data);
    metadata.merge(build_metadata(training_builds(contestant)));
    metadata.merge(training_metadata(contestant.hash, trained.seconds, trained));
    const std::filesystem::path file = stored(contestant);
    write_weights(
        state_.folder->weights(contestant.name), *entrant.train_optimizer, trained.params, metadata);
    if (!state_.shared.empty()) write_weights(file, *entrant.train_optimizer, trained.params, metadata);
    std::error_code ignored;
    std::filesystem::remove(files.checkpoint, ignored);
    entrant.weights = file;
    entrant.report = {.contestant = contestant.name,
                      .file = file,
                      .source = WeightsReport::Source::kTrained,
                      .seconds = trained.seconds,
                      .training = trained};
}

void RunWeights::load_parameters() {
    for (Entrant& entrant : state_.entrants) {
        const auto begin = std::chrono::steady_clock::now();
        if (entrant.params.empty() && !state_.needs_training(entrant)) entrant.params = parameters(entrant);
        if (entrant.classic && entrant.classic_params.empty()) {
            entrant.classic_params =
                TensorSet(entrant.classic->init_params(state_.keys.init_params, state_.test.instances));
        }
        if (entrant.continue_with && entrant.continue_params.empty()) {
            entrant.continue_params =
                TensorSet(entrant.continue_with->init_params(state_.keys.init_params, state_.test.instances));
        }
        entrant.preparation_seconds +=
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }
}

TensorSet RunWeights::parameters(Entrant& entrant) const {
    if (entrant.weights.empty())
        return TensorSet(entrant.optimizer->init_params(state_.keys.init_params, state_.test.instances));
    if (!entrant.weight_file) entrant.weight_file = read_safetensors(entrant.weights);
    const TensorFile file = *std::exchange(entrant.weight_file, std::nullopt);
    state_.note(problem_note(file, *entrant.optimizer, state_.optimizee, state_.test.instances));
    state_.note(option_note(file, *entrant.optimizer));
    return read_weights(
        file, *entrant.optimizer, state_.keys.init_params, state_.test.instances, &state_.optimizee);
}

}  // namespace l2o::framework
