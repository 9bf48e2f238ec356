#include <unistd.h>

#include <chrono>
#include <utility>

#include "framework/cancel.hpp"
#include "framework/error.hpp"
#include "framework/experiment/runner.hpp"
#include "framework/experiment/training_hash.hpp"

namespace l2o::framework {

void Runner::find_weights(Entrant& entrant) {
    const Contestant& contestant = *entrant.contestant;
    if (!contestant.weights.empty())
        return use(entrant, read_safetensors(contestant.weights), WeightsReport::Source::kGiven);
    if (contestant.hash.empty() || is_untrained()) return;
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

void Runner::find_shared(Entrant& entrant) {
    const std::filesystem::path stored = stored_weights(*entrant.contestant);
    if (std::filesystem::exists(stored)) use_found(entrant, stored);
}

std::filesystem::path Runner::stored_weights(const Contestant& contestant) const {
    if (shared_.empty()) return folder_->weights(contestant.name);
    return shared_ / (contestant.optimizer.id() + "-" + contestant.hash + ".safetensors");
}

std::unique_ptr<LockFile> Runner::lock_training(const Contestant& contestant) const {
    if (shared_.empty()) return nullptr;
    make_folders(shared_);
    bool is_told = false;
    const auto waiting = [&](const std::string& holder) {
        if (!is_told)
            note("waiting for the training of '" + contestant.name + "' by " +
                 (holder.empty() ? "another l2o" : holder));
        is_told = true;
        if (cancel_flag() != 0)
            throw Error(ExitCode::kInterrupted,
                        "interrupted, waiting for the training of '" + contestant.name + "'");
    };
    return std::make_unique<LockFile>(
        shared_ / ("." + contestant.optimizer.id() + "-" + contestant.hash + ".lock"),
        "process " + std::to_string(::getpid()) + " in " + folder_->path.string(),
        waiting);
}

void Runner::use_found(Entrant& entrant, const std::filesystem::path& stored) {
    const Contestant& contestant = *entrant.contestant;
    FoundWeights found = found_weights(stored, contestant.hash, trained_optimizer(entrant));
    if (found.fault.empty()) return use(entrant, std::move(found.file), WeightsReport::Source::kFound);
    if (options_.part == RunPart::kEvaluate)
        throw Error(ExitCode::kUsage, found.fault + "; 'l2o train' trains '" + contestant.name + "' again");
    // Looked for again once nobody else trains them.
    if (!std::exchange(entrant.is_fault_told, true))
        note(found.fault + "; '" + contestant.name + "' is trained again");
}

void Runner::use(Entrant& entrant, TensorFile file, WeightsReport::Source source) {
    entrant.weights = file.path;
    entrant.report = {.contestant = entrant.contestant->name,
                      .file = file.path,
                      .source = source,
                      .seconds = training_seconds(file),
                      .training = training_of(file)};
    for (const std::string& text : origin_notes(file, experiment_.builds)) note(text);
    if (options_.part != RunPart::kTrain) entrant.weight_file = std::move(file);
}

void Runner::train_one(Entrant& entrant, int threads, const ProgressSink& progress) {
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
                           .note = [this](const std::string& text) { note(text); }};
    const TrainResult trained = train({.name = contestant.name,
                                       .hash = contestant.hash,
                                       .settings = *contestant.train,
                                       .builds = experiment_.builds,
                                       .seed = experiment_.seed},
                                      *entrant.train_optimizer,
                                      *entrant.train_optimizee,
                                      files,
                                      threads,
                                      progress);
    const ProblemData data = entrant.train_optimizee->sample(keys_.train_data, Split::kTrain, 0, 1, false);
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

void Runner::load_parameters() {
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

TensorSet Runner::parameters(Entrant& entrant) const {
    if (entrant.weights.empty())
        return TensorSet(entrant.optimizer->init_params(keys_.init_params, test_.instances));
    if (!entrant.weight_file) entrant.weight_file = read_safetensors(entrant.weights);
    const TensorFile file = *std::exchange(entrant.weight_file, std::nullopt);
    note(problem_note(file, *entrant.optimizer, optimizee_, test_.instances));
    return read_weights(file, *entrant.optimizer, keys_.init_params, test_.instances, &optimizee_);
}

}  // namespace l2o::framework
