#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "framework/experiment/run.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/train/train.hpp"

namespace l2o::framework {

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
    std::optional<Tuned> tuned{};
};

/// @throw Error that opens with the place in the file, of what it refuses.
[[nodiscard]] Optimizee optimizee_of(const PluginChoice& choice, Dtype dtype);

/// With plugins for the test problem and, if it may be trained, those of its training; without parameters.
/// @throw Error kPlugin, kUsage: they do not suit one another
[[nodiscard]] Entrant make_entrant(const Experiment& experiment,
                                   const Contestant& contestant,
                                   const Optimizee& optimizee,
                                   bool may_train);

/// What an evaluation takes of it: *entrant must outlive it.
[[nodiscard]] Ready ready(const Entrant& entrant);

/// Its training, which borrows both. It must have one.
[[nodiscard]] TrainTask train_task(const Experiment& experiment, const Contestant& contestant);

/// That its weights are of, as far as it may be trained.
[[nodiscard]] const Optimizer& trained_optimizer(const Entrant& entrant);

}  // namespace l2o::framework
