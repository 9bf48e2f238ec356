// The whole meta-gradient, through the loss, the optimizer, the problem and time, against central differences
// of the loss: T = 20, float64, norm-wise relative.
#include <doctest/doctest.h>

#include <string>

#include "tests/framework/rollout/rig.hpp"

namespace {

using namespace l2o::test;
using l2o::framework::Point;
using l2o::framework::SecondOrder;
using l2o::framework::Stepper;

constexpr std::int64_t kHorizon = 20;
constexpr double kTolerance = 1e-6;

/// The number that is promised goes into the test's output.
void check_error(double error) {
    MESSAGE("norm-wise relative error " << error);
    CHECK(error <= kTolerance);
    CHECK(error > 0);
}

Lab::Setup l2o_dm_on_quadratic(const std::string& hidden) {
    return {.optimizer = "l2o_dm",
            .options = {{"preprocess", "identity"}, {"output_scale", "0.1"}, {"hidden", hidden}},
            .problem = {.optimizee = "quadratic", .options = {{"n", "5"}}, .instances = 2},
            .horizon = kHorizon};
}
Lab::Setup lista_on_sparse_recovery() {
    return {.optimizer = "lista",
            .options = {{"layers", std::to_string(kHorizon)}},
            .problem = {.optimizee = "sparse_recovery",
                        .options = {{"m", "6"}, {"n", "10"}, {"density", "0.2"}},
                        .instances = 3},
            .horizon = kHorizon};
}
Lab::Setup learned_momentum(const std::string& optimizee, const std::string& particles) {
    return {.optimizer = "learned_momentum",
            .options = {{"particles", particles}},
            .problem = {.optimizee = optimizee, .options = {{"n", "4"}}, .instances = 2},
            .horizon = kHorizon};
}

/// The sum of f + penalty ||g||^2 over points 1 .. T of a run in which every step reads the recorded g of the
/// unperturbed run.
class FrozenGradients {
  public:
    explicit FrozenGradients(Rig& rig, double penalty = 0)
        : rig_(rig), stepper_(rig.scene()), penalty_(penalty) {
        for (std::int64_t t = 0; t <= kHorizon; ++t) {
            points_.emplace_back(stepper_.layout(), l2o::framework::PointParts{.g = true, .f = true});
            spare_.emplace_back(stepper_.layout(), l2o::framework::PointParts{.g = true, .f = true});
        }
        run(points_, false);
    }
    double loss() { return run(spare_, true); }

  private:
    double run(std::vector<Point>& points, bool frozen) {
        const std::vector<Tensor> x0 = rig_.start();
        for (std::size_t k = 0; k < x0.size(); ++k) set_values(points[0].x[k], values(x0[k]));
        points[0].forget();
        stepper_.init_state(points[0]);
        double sum = 0;
        for (std::size_t t = 0; t < kHorizon; ++t) {
            if (frozen) {
                points[t].g.copy_from(points_[t].g);
                points[t].has_g = true;
            }
            const auto step = static_cast<std::int64_t>(t);
            stepper_.advance(points[t], points[t + 1], step);
            stepper_.evaluate(points[t + 1], step + 1, true, false, l2o::framework::kFree);
            for (const double f : values(points[t + 1].f)) sum += f;
            if (penalty_ == 0) continue;
            stepper_.gradient_at(points[t + 1].x_rows, step + 1, points[t + 1].g_rows);
            for (const double g : Rig::flat(points[t + 1].g)) sum += penalty_ * g * g;
        }
        return sum;
    }

    Rig& rig_;
    Stepper stepper_;
    double penalty_;
    std::vector<Point> points_, spare_;
};

}  // namespace

TEST_CASE("l2o_dm on quadratic: the exact meta-gradient equals central differences to 1e-6") {
    Rig rig({.lab = l2o_dm_on_quadratic("10"), .loss = "trajectory_sum"});
    check_error(rig.gradient_error(1e-5));
}

TEST_CASE("l2o_dm on quadratic: with drop it equals differences with the recorded g frozen to 1e-6") {
    Rig rig({.lab = l2o_dm_on_quadratic("6"), .loss = "trajectory_sum", .second_order = SecondOrder::kDrop});
    FrozenGradients frozen(rig);
    const auto want = rig.differences([&] { return frozen.loss(); }, 1e-4, true);
    check_error(relative_error(rig.gradient(), want));
}

TEST_CASE("l2o_dm on quadratic: drop and exact are different gradients") {
    Rig drop({.lab = l2o_dm_on_quadratic("6"), .loss = "trajectory_sum", .second_order = SecondOrder::kDrop});
    Rig exact({.lab = l2o_dm_on_quadratic("6"), .loss = "trajectory_sum"});
    CHECK(relative_error(drop.gradient(), exact.gradient()) > 1e-3);
}

TEST_CASE("lista on sparse_recovery: the exact meta-gradient of mse_to_solution equals differences to 1e-6") {
    Rig rig({.lab = lista_on_sparse_recovery(), .loss = "mse_to_solution"});
    check_error(rig.gradient_error(1e-6));
}

TEST_CASE("lista on sparse_recovery: the exact meta-gradient of trajectory_sum equals differences to 1e-6") {
    Rig rig({.lab = lista_on_sparse_recovery(), .loss = "trajectory_sum"});
    check_error(rig.gradient_error(1e-6));
}

TEST_CASE("learned_extragradient on rotated_saddle: the gradient goes through the ask round to 1e-6") {
    Rig rig({.lab = {.optimizer = "learned_extragradient",
                     .problem = {.optimizee = "rotated_saddle"},
                     .horizon = kHorizon},
             .loss = "minmax_gain"});
    check_error(rig.gradient_error(1e-3, true));
}

TEST_CASE(
    "l2o_minmax on rotated_saddle: the gradient goes through the other player's last gradient to 1e-6") {
    for (const char* loss : {"minmax_gain", "residual_ratio"}) {
        CAPTURE(loss);
        Rig rig({.lab = {.optimizer = "l2o_minmax",
                         .options = {{"hidden", "4"}},
                         .problem = {.optimizee = "rotated_saddle"},
                         .horizon = kHorizon},
                 .loss = loss});
        check_error(rig.gradient_error(1e-5));
    }
}

TEST_CASE("a game that begins at its solution, or comes to it: the gradient has numbers") {
    for (const char* optimizer : {"learned_secant", "l2o_minmax"})
        for (const char* loss : {"minmax_gain", "residual_ratio"})
            for (const double start : {0.0, 1e-300, 1e-100, 0.5}) {
                CAPTURE(optimizer);
                CAPTURE(loss);
                CAPTURE(start);
                Rig rig({.lab = {.optimizer = optimizer, .problem = {.optimizee = "rotated_saddle"}},
                         .loss = loss,
                         .horizon = 60});
                for (Tensor& block : rig.lab().problem().x())
                    set_values(block, std::vector<double>(static_cast<std::size_t>(block.size()), start));
                for (const double g : rig.gradient()) CHECK(std::isfinite(g));
            }
}

TEST_CASE("a step that reads f, with a learned start of its state: the meta-gradient equals differences") {
    for (const std::string optimizee : {"quadratic", "rastrigin"}) {
        CAPTURE(optimizee);
        Rig rig({.lab = learned_momentum(optimizee, "0"), .loss = "trajectory_sum"});
        check_error(rig.gradient_error(1e-4, true));
        Rig last({.lab = learned_momentum(optimizee, "0"), .loss = "final_objective"});
        check_error(last.gradient_error(1e-4, true));
    }
}

TEST_CASE("a population: the meta-gradient of [B, P, n] blocks and [B, P] objectives equals differences") {
    Rig rig({.lab = learned_momentum("rastrigin", "3"), .loss = "trajectory_sum"});
    check_error(rig.gradient_error(1e-4, true));
}

TEST_CASE("a population that asks: the meta-gradient goes through the questions of every particle to 1e-6") {
    for (const SecondOrder order : {SecondOrder::kExact, SecondOrder::kFd}) {
        for (const char* particles : {"1", "4"}) {
            Rig rig({.lab = {.optimizer = "learned_scouts",
                             .options = {{"particles", particles}},
                             .problem = {.optimizee = "rastrigin", .options = {{"n", "4"}}, .instances = 3},
                             .horizon = kHorizon},
                     .loss = "trajectory_sum",
                     .second_order = order});
            check_error(rig.gradient_error(1e-6, true));
        }
    }
}

TEST_CASE("a state of whole numbers is kept as such, and has no cotangent") {
    for (const Dtype dtype : {Dtype::kF64, Dtype::kF32}) {
        Rig rig({.lab = {.optimizer = "learned_decay",
                         .problem = {.optimizee = "rastrigin",
                                     .options = {{"n", "4"}},
                                     .instances = 3,
                                     .dtype = dtype},
                         .horizon = kHorizon},
                 .loss = "trajectory_sum"});
        if (dtype == Dtype::kF64) check_error(rig.gradient_error(1e-6, true));
        const auto unroll = rig.unroll();
        auto gradient = rig.zero_gradient();
        unroll->window(5, 1, gradient);
        const auto carried = unroll->carried();
        REQUIRE(carried.size() == 3);
        for (const std::int64_t n : carried[1]->values<std::int64_t>()) CHECK(n == 3 + 5);
        for (const std::uint8_t is_odd : carried[2]->values<std::uint8_t>()) CHECK(is_odd == 0);
    }
}

TEST_CASE("the weight of a window multiplies its gradient, which is added to what is there") {
    Rig rig({.lab = learned_momentum("rastrigin", "0"), .loss = "trajectory_sum"});
    auto once = rig.zero_gradient(), twice = rig.zero_gradient();
    rig.unroll()->window(kHorizon, 1, once);
    rig.unroll()->window(kHorizon, 1.5, twice);
    rig.unroll()->window(kHorizon, 0.5, twice);
    auto want = Rig::flat(once);
    for (double& value : want) value *= 2;
    CHECK(relative_error(Rig::flat(twice), want) <= 1e-14);
}

TEST_CASE("steps before first_reverse are not differentiated: only what the later ones add is there") {
    Rig rig({.lab = learned_momentum("rastrigin", "0"), .loss = "trajectory_sum"});
    constexpr std::int64_t kFirst = 8;
    auto part = rig.zero_gradient(), rest = rig.zero_gradient();
    rig.unroll()->window(kHorizon, 1, part, kFirst);
    auto from_there = rig.unroll();
    from_there->score(kFirst);
    from_there->window(kHorizon - kFirst, 1, rest);
    CHECK(relative_error(Rig::flat(part), Rig::flat(rest)) <= 1e-14);
    CHECK(relative_error(Rig::flat(part), rig.gradient()) > 1e-3);
}

TEST_CASE("a stochastic problem: forward and reverse of a step see the same minibatch") {
    Rig rig({.lab = learned_momentum("noisy_quartic", "0"), .loss = "trajectory_sum"});
    check_error(rig.gradient_error(1e-4, true));
}

TEST_CASE("exact is refused for a problem without a Hessian-vector product; drop is not") {
    Rig rig({.lab = learned_momentum("without_hvp", "0"), .loss = "trajectory_sum"});
    CHECK_THROWS_WITH(
        rig.unroll(),
        "second_order exact needs a Hessian-vector product, which 'without_hvp' does not offer; "
        "use second_order fd or drop");
    Rig drop({.lab = learned_momentum("without_hvp", "0"),
              .loss = "trajectory_sum",
              .second_order = SecondOrder::kDrop});
    CHECK_NOTHROW(drop.gradient());
}

TEST_CASE("second order by differences of gradients agrees with Hessian-vector products") {
    for (const Lab::Setup& lab : {l2o_dm_on_quadratic("6"),
                                  learned_momentum("noisy_quartic", "0"),
                                  learned_momentum("quadratic", "3")}) {
        Rig exact({.lab = lab, .loss = "trajectory_sum"});
        Rig fd({.lab = lab, .loss = "trajectory_sum", .second_order = SecondOrder::kFd});
        Rig drop({.lab = lab, .loss = "trajectory_sum", .second_order = SecondOrder::kDrop});
        CHECK(relative_error(fd.gradient(), exact.gradient()) < 1e-7);
        CHECK(relative_error(drop.gradient(), exact.gradient()) > 1e-3);
    }
}

TEST_CASE("second order by differences needs gradients only") {
    Rig rig({.lab = learned_momentum("without_hvp", "0"),
             .loss = "trajectory_sum",
             .second_order = SecondOrder::kFd});
    check_error(rig.gradient_error(1e-4, true));
}

TEST_CASE("a loss that reads g: the meta-gradient equals differences, by Hessian products and by fd") {
    const OptionText penalty{{"lambda", "0.1"}};
    for (const SecondOrder order : {SecondOrder::kExact, SecondOrder::kFd}) {
        Rig rig({.lab = learned_momentum("quadratic", "0"),
                 .loss = "jacobian_regularized",
                 .loss_options = penalty,
                 .second_order = order});
        check_error(rig.gradient_error(1e-4, true));
        Rig lista({.lab = lista_on_sparse_recovery(),
                   .loss = "jacobian_regularized",
                   .loss_options = penalty,
                   .second_order = order});
        check_error(lista.gradient_error(1e-6));
    }
    INFO("particles, and a minibatch that changes from step to step");
    for (const auto& [optimizee, particles] :
         {std::pair{"rastrigin", "3"}, std::pair{"noisy_quartic", "0"}}) {
        Rig rig({.lab = learned_momentum(optimizee, particles),
                 .loss = "jacobian_regularized",
                 .loss_options = penalty});
        check_error(rig.gradient_error(1e-4, true));
    }
}

TEST_CASE("a loss that reads g: drop leaves out the way through the steps, not the penalty's own") {
    Rig rig({.lab = l2o_dm_on_quadratic("6"),
             .loss = "jacobian_regularized",
             .loss_options = {{"lambda", "0.1"}},
             .second_order = SecondOrder::kDrop});
    FrozenGradients frozen(rig, 0.1);
    auto want = rig.differences([&] { return frozen.loss(); }, 1e-4, true);
    for (double& value : want) value /= kHorizon;
    check_error(relative_error(rig.gradient(), want));
    Rig free({.lab = l2o_dm_on_quadratic("6"),
              .loss = "jacobian_regularized",
              .loss_options = {{"lambda", "0"}},
              .second_order = SecondOrder::kDrop});
    CHECK(relative_error(free.gradient(), rig.gradient()) > 1e-2);
}

TEST_CASE("a loss that reads g: with drop, a problem without Hessian products is differentiated by fd") {
    const auto gradient = [](const std::string& optimizee) {
        return Rig({.lab = learned_momentum(optimizee, "0"),
                    .loss = "jacobian_regularized",
                    .loss_options = {{"lambda", "0.1"}},
                    .second_order = SecondOrder::kDrop})
            .gradient();
    };
    CHECK(relative_error(gradient("without_hvp"), gradient("noisy_quartic")) < 1e-7);
}

TEST_CASE("exact is refused for a loss that reads g, too, even where the optimizer reads none") {
    const auto rig = [](const char* loss) {
        return std::make_unique<Rig>(Rig::Setup{
            .lab = {.optimizer = "particle_swarm", .problem = {.optimizee = "without_hvp"}}, .loss = loss});
    };
    CHECK_NOTHROW(rig("trajectory_sum")->unroll());
    CHECK_THROWS_WITH(
        rig("jacobian_regularized")->unroll(),
        doctest::Contains("second_order exact needs a Hessian-vector product, which 'without_hvp'"));
}

TEST_CASE("an optimizer without a derivative is refused by name") {
    Rig rig({.lab = {.optimizer = "adam", .problem = {.optimizee = "quadratic"}}, .loss = "trajectory_sum"});
    CHECK_THROWS_WITH(rig.gradient(),
                      "optimizer 'adam' has no derivative; it cannot be trained by back-propagation");
}
