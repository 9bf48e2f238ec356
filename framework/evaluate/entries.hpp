#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "framework/evaluate/evaluate.hpp"

namespace l2o::framework {

// Contestants that differ in nothing but the seed of their training are one entry of tables and figures.

/// The setting that trainings of one contestant differ in.
inline constexpr std::string_view kSeedKey = "train.seed";

/// A contestant over its training seeds.
struct Entry {
    std::string name{};
    std::vector<std::size_t> members{};  ///< of the curves, in their order
    std::vector<std::string> seeds{};    ///< of its members' trainings; empty where no seed is swept
    double training_seconds = 0;         ///< as of a curve, the mean over its members
    double training_evaluations = 0;     ///< the same; see TrainingOutcome::evaluations

    /// That it learned something, whenever that was.
    [[nodiscard]] bool is_trained() const { return training_seconds != 0; }
    /// So that nothing is known of other trainings.
    [[nodiscard]] bool has_one_seed() const { return is_trained() && members.size() == 1; }
};

/// In the order of their first members.
[[nodiscard]] std::vector<Entry> entries_of(const std::vector<Curve>& curves);

/// What they did, each under its own name and without the seed: of every number the median over its members,
/// of costs and times the mean; `finite` and `rows` are sums. Rows and histories are only in its members.
[[nodiscard]] std::vector<Curve> curves_of(const std::vector<Entry>& entries,
                                           const std::vector<Curve>& curves);

/// "dm.hidden=5" of "dm.hidden=5,seed=2"; of "dm.seed=2" the group, "dm"; else the name.
/// @param swept  keys and values, in the order of the name
[[nodiscard]] std::string entry_name(const std::string& contestant,
                                     const std::string& group,
                                     const std::vector<std::pair<std::string, std::string>>& swept);

/// What is swept but for the seed of the training.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> without_seed(
    std::vector<std::pair<std::string, std::string>> swept);

/// The seed alone: what is shown of a contestant that is tuned; and its name then, "dm.seed=2" or the group.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> only_seed(
    std::vector<std::pair<std::string, std::string>> swept);
[[nodiscard]] std::string tuned_name(const std::string& group,
                                     const std::vector<std::pair<std::string, std::string>>& swept);

/// "one training seed: ...", what that means for the statements about those whom it is true of; "" if there
/// are none.
[[nodiscard]] std::string one_seed_text(const std::vector<Entry>& entries);

/// Least and greatest of a number of the curves of an entry.
template <class Number>
[[nodiscard]] std::pair<double, double> range_of(const Entry& entry,
                                                 const std::vector<Curve>& curves,
                                                 Number&& number) {
    std::pair<double, double> range{number(curves[entry.members.front()]),
                                    number(curves[entry.members.front()])};
    for (const std::size_t member : entry.members) {
        range.first = std::min(range.first, number(curves[member]));
        range.second = std::max(range.second, number(curves[member]));
    }
    return range;
}

}  // namespace l2o::framework
