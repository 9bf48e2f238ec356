#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "framework/config/config.hpp"
#include "framework/evaluate/settings.hpp"
#include "framework/plugin/choice.hpp"
#include "framework/store/content_hash.hpp"
#include "framework/train/settings.hpp"

namespace l2o::framework {

/// What an experiment file has at its top level.
inline const std::vector<std::string> kExperimentKeys{
    "name", "seed", "dtype", "optimizee", "train", "contestants", "evaluate"};

/// `tune { ... }` of a contestant: its sweep is not shown, but tried on validation instances, and the best
/// takes part.
struct TuneSettings {
    std::int64_t instances = 64, starts = 1;
    std::string metric{};  ///< "" : the one that counts in the test
};

struct Contestant {
    std::string name{};
    std::string group{};  ///< the name in the file: that of several where settings are swept, see Member
    std::vector<std::pair<std::string, std::string>> swept{};  ///< of a group: as in Member
    PluginChoice optimizer{};
    std::optional<PluginChoice> continue_with{};  ///< takes over after the last layer
    std::optional<SafeguardChoice> safeguard{};   ///< of the steps before
    std::int64_t restarts = 1;                    ///< starts that share its budget, see Course
    std::optional<TuneSettings> tune{};           ///< one of those among whom the best is chosen
    std::optional<TrainSettings> train{};         ///< exactly the learned ones that have no `weights`
    std::filesystem::path weights{};              ///< given weights; "" : trained, or none needed
    /// Names what training depends on: equal hash, equal weights. Empty if nothing is trained.
    std::string hash{};

    /// Where it is in the file, and which of those it stands for: "contestants.adam (adam.beta1=0.9)".
    [[nodiscard]] std::string place() const;
    /// Of its curve: without what is tuned.
    [[nodiscard]] std::string shown_name() const;
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> shown_swept() const;
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

}  // namespace l2o::framework
