#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "framework/rollout/safeguard.hpp"

namespace l2o::framework {

/// Which point of a trajectory is its answer. The best is the best that the row has paid for (the incumbent):
/// of a population always, and the last iterate where nothing was paid for.
enum class Answer { kLast, kBest };

/// Who moves the points, for some iterations; borrowed.
struct Leg {
    const Optimizer& optimizer;
    const TensorSet& params;
    std::optional<Safeguard> safeguard{};
};

/// Whether it asks for f or g, rather than to take what it needs from the data by itself.
[[nodiscard]] bool evaluates(const Leg& leg);

/// How trajectories are to go.
struct Course {
    Leg first;
    std::optional<Leg> then{};  ///< goes on where `first` has no layers left, with a state and a t of its own
    std::int64_t iterations = 0;
    double max_evaluations = 0;  ///< of a row, see Ledger; 0: no limit
    Answer answer = Answer::kLast;
    bool keeps_best = false;    ///< see can_keep_best(); of a population in any case
    bool pays_for_end = false;  ///< f where a row ends is charged, once, if that was not paid for before
    bool keeps_improvements = false;  ///< of keeps_best: see Ledger::improvements()
    /// Starts of a row, one after the other: each has its share of iterations and evaluations, and the
    /// optimizer begins anew. The first is the given one, the others are drawn; the answer is the best of
    /// all.
    std::int64_t restarts = 1;

    /// After which `then` takes over.
    [[nodiscard]] std::int64_t first_iterations() const;
};

/// Whether a player moves f up.
[[nodiscard]] bool is_game(const Optimizee& optimizee);
/// Whether one point can be better than another: f is not that of a minibatch, and no player moves it up.
[[nodiscard]] bool can_keep_best(const Optimizee& optimizee);

/// Refuses what cannot be run: more iterations than layers without `then`, one that cannot take over, a
/// safeguard that does not fit, the best of points that cannot be compared.
/// @param where       opens messages: "contestants.lista", "l2o solve".
/// @param as_options  settings are named as the options of a command line: --continue-with.
/// @throw Error kUsage
void check_course(const Course& course,
                  const Optimizee& optimizee,
                  const std::string& where,
                  bool as_options = false);

/// Refuses starts other than 0 for an optimizer that is defined from there only.
/// @param hint  what to do.   @throw Error kUsage
void check_start(const Optimizer& optimizer,
                 const std::vector<Tensor>& x0,
                 std::string_view where,
                 std::string_view hint);

}  // namespace l2o::framework
