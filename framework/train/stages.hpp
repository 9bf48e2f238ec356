#pragma once

#include <optional>
#include <string>
#include <vector>

#include "framework/plugin/keys.hpp"
#include "framework/train/settings.hpp"

namespace l2o::framework {

/// A part of a training with one trajectory length and one set of rates. The meta-optimizer starts afresh in
/// each.
struct Stage {
    std::string name;         ///< "flat", "layer 3: new"
    std::int64_t epochs = 0;  ///< trajectories
    std::int64_t horizon = 0, unroll = 0;
    std::int64_t horizon_from = 0,
                 unroll_from = 0;  ///< lengths are drawn from here up to the above; 0: fixed
    std::int64_t validation_horizon = 0;
    double imitation = 0;                    ///< probability of a trajectory of imitation
    std::int64_t first_reverse = 0;          ///< the first step that anything trained appears in
    std::vector<double> rates;               ///< factor of the increment, per parameter; 0: frozen
    std::vector<double> gradient_factors{};  ///< per parameter, before the meta-optimizer; empty: all 1
    Decay decay = Decay::kConstant;
    std::optional<PluginChoice> loss{};  ///< none: that of the training
    /// The loss of some stage needs them, and the training set is kept from stage to stage.
    bool with_solutions = false;

    /// Factor of all rates in an epoch, from 0: falls from 1 towards 0 if there is a decay.
    [[nodiscard]] double decayed(std::int64_t epoch) const;
    /// Length of trajectory number `index`.
    [[nodiscard]] std::int64_t horizon_of(const Keys& keys, std::uint64_t index) const;
    /// Length of its window that begins at t, if the trajectory does not end before.
    [[nodiscard]] std::int64_t unroll_of(const Keys& keys, std::uint64_t index, std::int64_t t) const;
    [[nodiscard]] bool has_one_window() const { return unroll == horizon && unroll_from == 0; }
};

/// The stages of a schedule.
/// Curriculum (Chen et al. 2020, section 3.1): trajectories grow from stage to stage, and a stage is
/// validated at the length of the next one, the last at its own. Layer-wise (Liu, Chen, Wang & Yin 2019, the
/// training of section 4): for every depth the parameters that first appear in its last layer, then all of
/// them, damped by layer_decay per layer of age.
/// @throw Error kUsage if the optimizer has no layers, or a multiplier names no parameter.
[[nodiscard]] std::vector<Stage> stages_of(const TrainSettings& settings, const Optimizer& optimizer);

}  // namespace l2o::framework
