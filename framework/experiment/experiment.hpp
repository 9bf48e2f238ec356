#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "framework/config/config.hpp"
#include "framework/config/options.hpp"
#include "framework/plugin/augmented.hpp"
#include "framework/plugin/catalog.hpp"
#include "framework/safeguard/safeguard.hpp"
#include "framework/store/content_hash.hpp"
#include "framework/unroll/unroll.hpp"

namespace l2o::framework {

/// A plugin and its settings as an experiment chose them: `optimizer { use lista  layers 16 }`.
struct PluginChoice {
    Catalog::Entry entry;
    std::vector<SettingText> settings;
    OptionContext context;

    [[nodiscard]] const std::string& id() const { return entry.component.id; }
    /// Checked against the plugin's schema, defaults filled in. Options of a weight file stand between the
    /// settings of the files and those of the command line.
    [[nodiscard]] ResolvedOptions resolve(const std::vector<SettingText>& from_weights = {}) const;
};

/// Reads a `{ use id ... }` section and checks its options. @throw Error kUsage, at the place in the file.
[[nodiscard]] PluginChoice read_choice(const Catalog& catalog, Kind kind, const Section& section);
/// The same without the options: those of a weight file may be missing yet.
[[nodiscard]] PluginChoice read_unchecked_choice(const Catalog& catalog, Kind kind, const Section& section);
/// The plugin that a setting names. @throw Error kUsage that opens with `where`.
[[nodiscard]] const Catalog::Entry& find_at(const Catalog& catalog,
                                            Kind kind,
                                            const std::string& id,
                                            const std::string& where);

/// `safeguard { use ista  test residual }`: the settings of the rule, and those of the classic optimizer.
struct SafeguardChoice {
    PluginChoice classic;
    SafeguardRule rule;
};
/// @param settings  of both, as they were written.
/// @throw Error kUsage for a key that neither has, a wrong value, or an optimizer that is learned.
[[nodiscard]] SafeguardChoice safeguard_choice(const Catalog::Entry& classic,
                                               const std::vector<SettingText>& settings,
                                               const OptionContext& context);

enum class Schedule { kFlat, kLayerwise, kCurriculum };
/// How the rates fall over the epochs of a stage.
enum class Decay { kConstant, kLinear, kCosine };
/// What layer_decay damps: the increment of an old layer, or its gradient before the meta-optimizer sees it.
enum class LayerDecay { kRate, kGradient };

/// How the gradient of the meta-loss is found: by back-propagation through the windows, by evolution
/// strategies on them, or by persistent evolution strategies.
enum class EstimatorKind { kBptt, kEs, kPes };

/// `imitation { teacher { use adam } }`: trajectories on which the optimizer learns the steps of another one.
struct ImitationSettings {
    PluginChoice teacher;
    double probability = 0.3;  ///< of a trajectory
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
    double sigma = 0.01;     ///< of the perturbations of evolution strategies
    std::int64_t pairs = 0;  ///< antithetic ones; a divisor of batch (0 where nothing is perturbed)
    std::optional<ImitationSettings> imitation{};
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
    std::uint64_t memory_bytes = 0;  ///< for recorded points, all shards together, and as much again for a
                                     ///< fixed training set; 0: unlimited
    std::int64_t shard_rows = 32;    ///< rows per shard: fixed, so that results do not depend on threads
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

struct EvaluateSettings {
    std::int64_t instances = 128, starts = 1, iterations = 100;
    std::int64_t max_evaluations = 0;  ///< charged evaluations (values + gradients) per row; 0: no limit
    std::int64_t metrics_every = 1;    ///< iterations between recorded points
    std::string metric{};  ///< the one of the result table; "" : the optimizee's first, or objective
    std::int64_t shard_rows = 32;
    std::string reference{};         ///< whom all others are compared to; "" : the first that is not learned
    std::optional<double> target{};  ///< of the metric: when it is reached is told for every row
    double tolerance = 1e-3;         ///< without a target: share of the way to the best that may be missing
    double checkpoint_every_s = 1;   ///< what contestants did is kept for a --resume, at most so often
};

struct Contestant {
    std::string name{};
    PluginChoice optimizer{};
    std::optional<PluginChoice> continue_with{};  ///< takes over after the last layer
    std::optional<SafeguardChoice> safeguard{};   ///< of the steps before
    std::optional<TrainSettings> train{};         ///< exactly the learned ones that have no `weights`
    std::filesystem::path weights{};              ///< given weights; "" : trained, or none needed
    /// Names what training depends on: equal hash, equal weights. Empty if nothing is trained.
    std::string hash{};

    [[nodiscard]] bool is_learned() const { return optimizer.entry.component.has_tag("learned"); }
};

/// An experiment file, checked against the schemas of all its plugins.
struct Experiment {
    std::string name;
    std::uint64_t seed = 0;
    Dtype dtype = Dtype::kF32;
    PluginChoice optimizee;
    std::vector<Contestant> contestants{};
    EvaluateSettings evaluate{};
    FileContents files{};  ///< of all options that are paths, and of weights that are given
    std::map<std::string, std::string> builds{};  ///< of all plugins that there are, see known_builds()
    std::string info{};  ///< the configuration with name, seed, dtype and absolute paths: reads back as this
    std::string hash{};  ///< of `info`
};

/// @param seed  of the command line, if given: replaces the file's.
/// @throw Error kUsage: file, key path, what was found, what was expected.
[[nodiscard]] Experiment read_experiment(const Catalog& catalog,
                                         const Config& config,
                                         std::optional<std::uint64_t> seed = std::nullopt);

/// Keys of the parts of an experiment, all derived from its seed. train_data and test_data are the same: the
/// split tells the instances apart, and what all instances share (a matrix A) is that of the training.
struct Keys {
    Key train_data, train_start, train_steps, test_data, test_start, test_steps, init_params;
};
[[nodiscard]] Keys keys_of(std::uint64_t seed);

}  // namespace l2o::framework
