#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "framework/evaluate/compare.hpp"

namespace l2o::framework {

/// All that tables and pages say of the entries, a list of objects. Of each its `name`, the `contestants`
/// that it is of and the `seeds` of their trainings; `one_training_seed`: whether nothing is known of other
/// ones; what it spent; of the metric that counts the `distribution` at the end, as in Entry, and
/// `by_contestant` what stands for each; `comparison` with the reference, null of the reference itself;
/// `target`, the way there, null where it was not looked for; `tuned`, null of one that was not. A number
/// that is not finite is null.
[[nodiscard]] nlohmann::json entries_json(const std::vector<Curve>& curves, const Judging& judging);

/// null: not finite, which a quantile is that falls on a row that diverged, and a mean with one. `rows` are
/// those that count.
[[nodiscard]] nlohmann::json to_json(const Distribution& d);
[[nodiscard]] nlohmann::json to_json(const Tuned& tuned);

}  // namespace l2o::framework
