#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "framework/plugin/choice.hpp"
#include "framework/rollout/unroll.hpp"
#include "framework/train/augmented.hpp"

namespace l2o::framework {

enum class Schedule { kFlat, kLayerwise, kCurriculum };
/// How the rates fall over the epochs of a stage.
enum class Decay { kConstant, kLinear, kCosine };
/// What layer_decay damps: the increment of an old layer, or its gradient before the meta-optimizer sees it.
enum class LayerDecay { kRate, kGradient };

/// What the parameters learn from: the gradient of the meta-loss by back-propagation through the windows, by
/// evolution strategies on them, or by persistent evolution strategies; or, without one, a search by CMA-ES.
enum class EstimatorKind { kBptt, kEs, kPes, kCmaEs };

/// `imitation { teacher { use adam } }`: trajectories on which the optimizer learns the steps of another one.
struct ImitationSettings {
    PluginChoice teacher;
    double probability = 0.3;  ///< of a trajectory
};

/// `self_paced { ... }`: windows are differentiated on the rows of a batch with the least scores alone.
struct SelfPaced {
    double share = 1;          ///< of the rows, in the first trajectory; 1: always all
    std::int64_t epochs = 80;  ///< trajectories until it is 1, on a line

    [[nodiscard]] double at(std::uint64_t trajectory) const {
        return std::min(1.0,
                        share + (1 - share) * static_cast<double>(trajectory) / static_cast<double>(epochs));
    }
};

/// `stages { NAME { ... } }`: a part of a flat training, or of a curriculum; what it leaves out is that of
/// the training.
struct StageSettings {
    std::string name;
    std::int64_t epochs = 0;
    std::int64_t horizon = 0, unroll = 0;  ///< 0: those of the training
    double rate = 1;                       ///< factor of the meta-optimizer's increment
    std::optional<double> imitation{};     ///< probability; absent: that of the training
    Decay decay = Decay::kConstant;
    std::map<std::string, double> multipliers{};
    std::optional<PluginChoice> loss{};  ///< none: that of the training
};

/// `train { ... }`: how a learned optimizer is trained. A contestant's section is merged over that of the top
/// level, whose `optimizee` is merged over the experiment's; the defaults of `loss` and `meta_optimizer` are
/// trajectory_sum and adam.
struct TrainSettings {
    PluginChoice optimizee, loss, meta_optimizer;
    Augmentation augmentation{};  ///< of the optimizee
    Schedule schedule = Schedule::kFlat;
    EstimatorKind estimator = EstimatorKind::kBptt;
    double sigma = 0.01;          ///< of the perturbations of evolution strategies; where cma_es begins
    std::int64_t population = 0;  ///< of cma_es; 0: 4 + floor(3 ln n) of n numbers
    std::int64_t pairs = 0;       ///< antithetic ones; a divisor of batch (0 where nothing is perturbed)
    std::optional<ImitationSettings> imitation{};
    /// Number of the training: others begin with other parameters and learn from other draws.
    std::uint64_t seed = 0;
    std::int64_t epochs = 100;   ///< trajectories of a batch (flat schedule)
    std::int64_t horizon = 100;  ///< steps per trajectory
    std::int64_t unroll = 20;    ///< steps per meta-step; = horizon: full BPTT
    /// Shortest trajectories and windows: lengths are drawn, log-uniformly, from here up to the above. 0:
    /// fixed.
    std::int64_t horizon_from = 0, unroll_from = 0;
    std::int64_t batch = 128;    ///< instances per trajectory
    std::int64_t instances = 0;  ///< size of a fixed training set; 0: fresh instances for every trajectory
    bool mean = true;            ///< reduction over the batch: mean or sum
    double clip_norm = 0;        ///< of the meta-gradient, 0: off
    SecondOrder second_order = SecondOrder::kDrop;
    double coordinate_subsample = 1;  ///< share of the coordinates that a window is differentiated on
    UpdateProbability update_probability{};
    SelfPaced self_paced{};
    std::uint64_t memory_bytes = 0;  ///< for recorded points, all shards together, and as much again for a
                                     ///< fixed training set; 0: unlimited
    /// Rows per shard: fixed, so that results do not depend on threads. 0: see Shards::Options.
    std::int64_t shard_rows = 0;
    /// Learning-rate factor by parameter name, 'layer.03.theta' written layer { 03 { theta 0.1 } }, or by
    /// the end of names: 'theta' is that of all layers. The longer name wins.
    std::map<std::string, double> multipliers{};
    Decay decay = Decay::kConstant;       ///< of the rates, within every stage
    std::vector<StageSettings> stages{};  ///< of a flat training, one after the other; empty: one
    double average = 0;                  ///< weight of the past in a running mean of the parameters, which is
                                         ///< what is validated and kept; 0: the parameters themselves
    std::filesystem::path warm_start{};  ///< weights to start from; "": those of the plugin
    std::int64_t validate_every = 0;     ///< epochs (flat) or meta-steps (layerwise); 0: never
    std::int64_t validate_instances = 128;
    std::int64_t patience = 0;  ///< validations without a better one that end a stage; 0: never
    bool restore = true;        ///< a stage ends with its best parameters, not its last
    double checkpoint_every_s = 10;
    // Layer-wise: per depth, first the new layer's parameters, then all, then all gently.
    std::int64_t steps_new = 200, steps_all = 200, steps_fine = 0;
    double rate_new = 1, rate_all = 0.2, rate_fine = 0.02;  ///< factors of the meta-optimizer's increment
    double layer_decay = 0.3;                               ///< per layer of age, in stages "all" and "fine"
    LayerDecay layer_decay_of = LayerDecay::kRate;
};

}  // namespace l2o::framework
