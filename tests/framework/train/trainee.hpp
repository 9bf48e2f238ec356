#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "framework/experiment/experiment.hpp"
#include "framework/train/estimator.hpp"
#include "framework/train/train.hpp"
#include "tests/framework/store/records.hpp"
#include "tests/support/lab.hpp"

namespace l2o::test {

framework::PluginChoice choice(framework::Kind kind, const std::string& id, const OptionText& options = {});

/// A learned optimizer, its problem and its training.
class Trainee {
  public:
    struct Setup {
        std::string optimizer = "learned_momentum";
        OptionText options{};
        std::string optimizee = "quadratic";
        OptionText problem{{"n", "3"}};
        std::string loss = "trajectory_sum";
        OptionText loss_options{};
        std::string meta = "adam";
        OptionText meta_options{{"learning_rate", "0.01"}};
        std::uint64_t seed = 1;
        Dtype dtype = Dtype::kF64;
    };
    /// What is not 0 is set.
    struct Lengths {
        std::int64_t epochs = 0, horizon = 0, unroll = 0, batch = 0, shard_rows = 0, validate_every = 0,
                     validate_instances = 0;
    };
    explicit Trainee(const Setup& setup) : Trainee(setup, Lengths{}) {}
    Trainee(const Setup& setup, const Lengths& lengths);

    /// To be changed before train().
    framework::TrainSettings& settings() { return *contestant_.train; }
    framework::Contestant& contestant() { return contestant_; }
    const framework::Optimizer& optimizer() const { return *optimizer_; }
    const framework::Optimizee& optimizee() const { return *optimizee_; }
    const framework::Loss& loss() const { return *loss_; }
    /// What an estimator takes, on one thread.
    framework::Lesson lesson(const framework::TensorSet& phi,
                             const framework::Keys& keys,
                             const framework::Stage& stage,
                             framework::TrainingBatches& batches) {
        return {optimizer(), optimizee(), loss(), phi, keys, settings(), stage, batches, 1};
    }
    framework::Keys keys() const { return framework::keys_of(experiment_.seed); }

    framework::TrainResult train(const framework::TrainFiles& files = {},
                                 int threads = 1,
                                 const framework::ProgressSink& progress = {});
    /// The parameters before training.
    framework::TensorSet initial_params() const;
    /// Mean loss of these parameters on the validation instances.
    double validation_loss(const framework::TensorSet& params) const;

  private:
    framework::Experiment experiment_;
    framework::Contestant contestant_;
    std::unique_ptr<framework::Optimizee> optimizee_;
    std::unique_ptr<framework::Optimizer> optimizer_;
    std::unique_ptr<framework::Loss> loss_;
};

/// LISTA of three layers, layer by layer: 15 windows in 9 stages.
Trainee layerwise_lista();

/// The bits of all tensors.
std::string bytes(const framework::TensorSet& set);
std::string bytes(const Tensor& tensor);

/// A parameter by name.
const Tensor& param(const Trainee& trainee, const framework::TensorSet& params, const std::string& name);

/// Interrupts a training after its window number `window`, counted from 1 over all sessions.
framework::ProgressSink interrupt_after(std::int64_t window);

}  // namespace l2o::test
