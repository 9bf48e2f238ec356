#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "framework/config/options.hpp"
#include "framework/plugin/choice.hpp"
#include "framework/rollout/point.hpp"

namespace l2o::framework {

/// When an optimizer's proposal y is taken, and when the classic step T(x_k) from the same point instead.
///
/// Test residual: |y - T(y)| <= alpha mu; mu is |x_0 - T(x_0)| at first, and lowered by r = |x_{k+1} -
/// T(x_{k+1})| whenever r <= alpha mu. Heaton, Chen, Wang & Yin 2023, "Safeguarded learned convex
/// optimization" (AAAI; arXiv:2003.01880).
///
/// Test objective: f(y) <= mu - (1 - alpha) (f(x_k) - f(T(x_k))); mu is f(x_0) at first, and lowered by r =
/// f(x_{k+1}) in every step. So mu loses a share of what T would gain, which therefore goes to 0 if f is
/// bounded below. These are the references of non-monotone line searches: Zhang & Hager 2004 (ema), Grippo,
/// Lampariello & Lucidi 1986 (recent_max).
///
/// Test ahead, of games: two tracks, and the answer is the point of least |F| on either, F = (df/du, -df/dv).
/// The classic track begins at x_0 and is never touched. The optimizer's runs instead as long as its best |F|
/// is at most c r / n after n gradients of both tracks, where r = |F(x_0)| and c = `lead`; it is first tested
/// after `trial` gradients. Once behind it rests for pause 2^j gradients of the classic track, j = 0, 1, ...,
/// and begins anew, from the best point and as in its first step, with c = `retry` m where it does so after m
/// gradients, and r = |F| there. A track that has blown up, or found nothing better for `stall` gradients,
/// begins anew at once if it is still ahead. So |F| stays within c of what Halpern's iteration is known for:
/// Yoon & Ryu 2021 (arXiv:2102.07922). Of this project.
struct SafeguardRule {
    enum class Test { kResidual, kObjective, kAhead };
    enum class Bound {
        kEma,        ///< mu <- theta r + (1 - theta) mu
        kGeometric,  ///< mu <- theta mu; for residuals only
        kRecentMax,  ///< mu <- the largest of the last `recent` r
    };
    Test test = Test::kResidual;
    Bound bound = Bound::kEma;
    double alpha = 0.99, theta = 0.25;
    std::int64_t recent = 5;
    double lead = 4, retry = 0.5;                      ///< of test ahead, as are those below
    std::int64_t trial = 40, pause = 300, stall = 60;  ///< gradients
    double blow_up = 1000;                             ///< of |F|, as a multiple of the best
};

/// The settings of a rule, as an experiment file and a command line write them.
[[nodiscard]] const std::vector<OptionSchema>& safeguard_schema();
/// @param options  resolved with safeguard_schema().
/// @param where    opens messages.
/// @throw Error kUsage for settings that do not go together.
[[nodiscard]] SafeguardRule safeguard_rule(const ResolvedOptions& options, const std::string& where);

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

/// What an optimizer is safeguarded with; borrowed.
struct Safeguard {
    const Optimizer& classic;  ///< one step of it is T
    const TensorSet& params;   ///< of the classic optimizer
    SafeguardRule rule;
};

/// Refuses what cannot be safeguarded, or not with this: T has to be a map of x alone, and the same at every
/// step; with test ahead both optimizers have to begin anywhere, and go on for ever.
/// @param where  opens messages: "contestants.lista.safeguard".
/// @throw Error kUsage
void check_safeguard(const Optimizer& guarded,
                     const Optimizer& classic,
                     SafeguardRule::Test test,
                     const Optimizee& optimizee,
                     const std::string& where);

}  // namespace l2o::framework
