// Coordinate-wise optimizers slice by slice.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "framework/error.hpp"
#include "framework/rollout/rematerialise.hpp"
#include "tests/framework/rollout/rig.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;

constexpr std::int64_t kHorizon = 7;
constexpr std::int64_t kCoordinates = 700;  // of two rows: two slices of 512 and one of 376

Rig::Setup setup(const std::string& optimizer, const std::string& n = std::to_string(kCoordinates)) {
    return {.lab = {.optimizer = optimizer,
                    .options = {{"hidden", "4"}},
                    .problem = {.optimizee = "rastrigin",
                                .options = {{"n", n}, {"family", "classic"}},
                                .instances = 2}},
            .loss = "trajectory_sum",
            .horizon = kHorizon,
            .second_order = SecondOrder::kDrop};
}

struct Run {
    std::vector<double> gradient, x;
    std::int64_t bytes = 0;
};
Run run(Rig& rig, UnrollOptions options, const std::vector<Tensor>& x0) {
    options.horizon = kHorizon;
    Unroll unroll(rig.scene(), rig.loss_plugin(), options);
    unroll.start(x0);
    TensorSet gradient = rig.zero_gradient();
    const Unroll::Window window = unroll.window(kHorizon, 1, gradient);
    REQUIRE(window.is_finite);
    return {Rig::flat(gradient), values(*unroll.carried().front()), unroll.bytes()};
}

}  // namespace

TEST_CASE("slices: gradient and iterates are those of the optimizer on whole blocks") {
    for (const std::string optimizer : {"l2o_dm", "l2o_rnnprop"}) {
        CAPTURE(optimizer);
        Rig rig(setup(optimizer));
        const auto sliced = run(rig, {}, rig.start());
        // By hand: one step after the other on whole blocks.
        Stepper stepper(rig.scene());
        CHECK(stepper.slices() == nullptr);
        Point now(stepper.layout(), stepper.parts()), next(stepper.layout(), stepper.parts());
        const auto x0 = rig.start();
        for (std::size_t k = 0; k < x0.size(); ++k) set_values(now.x[k], values(x0[k]));
        stepper.init_state(now);
        for (std::int64_t t = 0; t < kHorizon; ++t) {
            stepper.advance(now, next, t);
            std::swap(now, next);
        }
        CHECK(same_bits(values(now.x[0]), sliced.x));
        // A budget that no slices fit makes the reverse work on whole blocks.
        const auto budget = static_cast<std::uint64_t>(sliced.bytes * 2 / 3);
        const auto whole = run(rig, {.memory_bytes = budget}, rig.start());
        CHECK(whole.bytes <= sliced.bytes * 2 / 3);
        CHECK(relative_error(sliced.gradient, whole.gradient) < 1e-12);
    }
}

TEST_CASE("slices: threads and what is kept of a window change no bit") {
    Rig rig(setup("l2o_rnnprop"));
    const auto want = run(rig, {}, rig.start());
    CHECK(same_bits(run(rig, {.threads = 2}, rig.start()).gradient, want.gradient));
    const auto less = run(rig, {.memory_bytes = static_cast<std::uint64_t>(want.bytes - 1)}, rig.start());
    CHECK(less.bytes < want.bytes);
    CHECK(same_bits(less.gradient, want.gradient));
}

TEST_CASE("slices: the float32 gradient of a million coordinates is that of float64 to 1e-5") {
#ifdef __SANITIZE_ADDRESS__
    const std::string n = "10000";
#else
    const std::string n = "1000000";
#endif
    std::vector<double> gradients[2];
    for (const Dtype dtype : {Dtype::kF64, Dtype::kF32}) {
        Rig::Setup million = setup("l2o_dm");
        million.lab.options = {{"output_scale", "0.1"}};
        million.lab.problem = {
            .optimizee = "three_layers", .options = {{"n", n}}, .instances = 1, .dtype = dtype};
        million.horizon = 2;
        Rig rig(million);
        Unroll unroll(rig.scene(), rig.loss_plugin(), {.horizon = 2, .threads = 2});
        unroll.start(rig.start());
        TensorSet gradient = rig.zero_gradient();
        REQUIRE(unroll.window(2, 1, gradient).is_finite);
        gradients[dtype == Dtype::kF32] = Rig::flat(gradient);
    }
    const double error = relative_error(gradients[1], gradients[0]);
    MESSAGE("norm-wise relative error " << error);
    CHECK(error <= 1e-5);
    CHECK(error > 0);
}

TEST_CASE("subsample: where all coordinates are alike a share of them says what all say") {
    Rig rig(setup("l2o_dm", "512"));
    std::vector<Tensor> x0;
    x0.emplace_back(Dtype::kF64, Shape{2, 512});
    set_values(x0[0], std::vector<double>(1024, 0.3));
    const auto all = run(rig, {}, x0);
    for (const double share : {0.01, 0.3, 0.999}) {
        CAPTURE(share);
        const auto some = run(rig, {.subsample = share}, x0);
        CHECK(relative_error(some.gradient, all.gradient) < 1e-12);
    }
}

TEST_CASE("subsample: an optimizer that cannot be sliced is refused by name") {
    Rig rig(setup("l2o_dm", "3"));
    CHECK_THROWS_WITH(run(rig, {.subsample = 0.5}, rig.start()),
                      doctest::Contains("train.coordinate_subsample is 0.5; it needs second_order drop"));
}

TEST_CASE("slices: a population that asks sees whole blocks, and is refused a subsample") {
    Rig::Setup scouts = setup("learned_scouts");
    scouts.lab.options = {};
    Rig rig(scouts);
    CHECK(Stepper(rig.scene(), {.length = 512}).slices() == nullptr);
    CHECK(Stepper(Rig(setup("l2o_dm")).scene(), {.length = 512}).slices() != nullptr);
    const auto whole = run(rig, {}, rig.start());
    CHECK(same_bits(run(rig, {.threads = 2}, rig.start()).gradient, whole.gradient));
    CHECK_THROWS_WITH(run(rig, {.subsample = 0.5}, rig.start()),
                      doctest::Contains("train.coordinate_subsample is 0.5; it needs second_order drop and a "
                                        "differentiable coordinate-wise optimizer"));
}

TEST_CASE("binomial checkpoints: the chain of a repetition more is the sum of its two parts") {
    for (std::int64_t kept = 2; kept < 10; ++kept)
        for (std::int64_t repeats = 1; repeats < 6; ++repeats)
            CHECK(longest_chain(kept, repeats) ==
                  longest_chain(kept, repeats - 1) + longest_chain(kept - 1, repeats));
    CHECK(repeats_for(1000, 1000) == 1);
    CHECK(repeats_for(1, 1) == 0);
    CHECK(repeats_for(1000, 1) == 999);
    CHECK(longest_chain(32, 2) == 561);
    CHECK(repeats_for(1000, 32) == 3);
    CHECK(next_kept(5, 1) == 0);
}
