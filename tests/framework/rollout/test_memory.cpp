// Re-materialisation: a budget changes what is kept, never the result.
#include <doctest/doctest.h>

#include <string>

#include "framework/error.hpp"
#include "tests/framework/rollout/rig.hpp"

namespace {

using namespace l2o::test;

/// @param optimizer  learned_momentum reads f, l2o_dm does not, learned_extragradient asks, learned_scouts is
/// a population that asks.
Rig::Setup setup(const std::string& optimizer,
                 std::int64_t horizon,
                 const std::string& loss = "trajectory_sum") {
    const bool minimax = optimizer == "learned_extragradient";
    OptionText options;
    if (optimizer == "l2o_dm") options = {{"preprocess", "identity"}, {"hidden", "5"}};
    return {.lab = {.optimizer = optimizer,
                    .options = options,
                    .problem = {.optimizee = minimax ? "rotated_saddle" : "rastrigin",
                                .options = minimax ? OptionText{} : OptionText{{"n", "3"}},
                                .instances = 2}},
            .loss = loss,
            .horizon = horizon};
}

/// Bytes after a window, with a budget; 0 is none.
std::int64_t bytes_of_window(Rig& rig, std::int64_t horizon, std::uint64_t budget) {
    auto unroll = rig.unroll(budget);
    auto gradient = rig.zero_gradient();
    unroll->window(horizon, 1, gradient);
    return unroll->bytes();
}

/// The smallest budget, from the message that refuses 1 byte.
std::uint64_t least_budget(Rig& rig, std::int64_t horizon) {
    try {
        bytes_of_window(rig, horizon, 1);
    } catch (const l2o::framework::Error& error) {
        const std::string text = error.what(), before = "needs at least ";
        return std::stoull(text.substr(text.find(before) + before.size()));
    }
    return 0;
}

}  // namespace

TEST_CASE("under any budget the gradient has the bits of the one that keeps all points") {
    constexpr std::int64_t kHorizon = 23;  // prime: the last segment is shorter than the others
    using Case = std::pair<std::string, std::string>;
    for (const Case& tried : {Case{"learned_momentum", "trajectory_sum"},
                              Case{"l2o_dm", "trajectory_sum"},
                              Case{"learned_extragradient", "minmax_gain"},
                              Case{"learned_scouts", "trajectory_sum"},
                              Case{"learned_decay", "trajectory_sum"},
                              Case{"learned_momentum", "jacobian_regularized"}}) {
        const std::string &optimizer = tried.first, &loss = tried.second;
        CAPTURE(optimizer);
        CAPTURE(loss);
        Rig rig(setup(optimizer, kHorizon, loss));
        const auto want = rig.gradient();
        const auto all = static_cast<std::uint64_t>(bytes_of_window(rig, kHorizon, 0));
        const std::uint64_t least = least_budget(rig, kHorizon);
        REQUIRE(least > 0);
        REQUIRE(least < all);
        for (int i = 0; i <= 20; ++i) {
            const std::uint64_t budget = least + (all - least) * static_cast<std::uint64_t>(i) / 20;
            CAPTURE(budget);
            CHECK(same_bits(rig.gradient(budget), want));
            CHECK(static_cast<std::uint64_t>(bytes_of_window(rig, kHorizon, budget)) <= budget);
        }
    }
}

TEST_CASE("1000 steps stay within the budget that keeps 100 steps whole; keeping all of them does not") {
    for (const std::string optimizer : {"l2o_dm", "learned_momentum"}) {
        CAPTURE(optimizer);
        Rig rig(setup(optimizer, 1000));
        const std::int64_t hundred = bytes_of_window(rig, 100, 0), keep_all = bytes_of_window(rig, 1000, 0);
        // What the loss reads of 1000 points is kept in any case.
        const auto budget = static_cast<std::uint64_t>(hundred + std::int64_t{1000} * 2 * 2 * 8);
        const std::int64_t kept = bytes_of_window(rig, 1000, budget);
        MESSAGE(optimizer << ": T = 100 keeps " << hundred << " bytes, T = 1000 keeps " << keep_all
                          << ", and under a budget of " << budget << " it keeps " << kept);
        CHECK(static_cast<std::uint64_t>(kept) <= budget);
        CHECK(static_cast<std::uint64_t>(keep_all) > budget);
        CHECK(same_bits(rig.gradient(budget), rig.gradient()));
    }
}

TEST_CASE("a budget that is too small is an error that says the smallest one, and that one works") {
    Rig rig(setup("l2o_dm", 50));
    const std::uint64_t least = least_budget(rig, 50);
    CHECK_THROWS_WITH(
        bytes_of_window(rig, 50, least - 1),
        ("a window of 50 steps needs at least " + std::to_string(least) + " bytes, the budget is " +
         std::to_string(least - 1) + " per shard; raise train.memory, or shorten train.unroll")
            .c_str());
    CHECK_NOTHROW(bytes_of_window(rig, 50, least));
}

TEST_CASE("after a window that did not fit the budget a shorter one still works") {
    Rig rig(setup("l2o_dm", 1000));
    auto unroll = rig.unroll(least_budget(rig, 10));
    auto gradient = rig.zero_gradient(), want = rig.zero_gradient();
    unroll->window(10, 1, want);
    CHECK_THROWS_AS(unroll->window(1000, 1, gradient), l2o::framework::Error);
    unroll->start(rig.start());
    unroll->window(10, 1, gradient);
    CHECK(same_bits(Rig::flat(gradient), Rig::flat(want)));
}
