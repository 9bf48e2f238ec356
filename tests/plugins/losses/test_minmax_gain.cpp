#include "tests/plugins/losses/loss_lab.hpp"

using namespace l2o::test;

namespace {

LossLab::Setup on_game(LossLab::Setup setup) {
    setup.blocks = {{2}, {2}}, setup.is_game = true;
    return setup;
}

}  // namespace

TEST_CASE("minmax_gain: u gains what f falls in its even steps, v what it rises in its odd ones") {
    LossLab lab(on_game({.loss = "minmax_gain", .batch = 2, .len = 4, .horizon = 3}));
    set_values(lab.f(), {5, 1, 3, 2, 7, 4, 6, 0});
    // u: 5 to 3, v: 3 to 7, u: 7 to 6;  u: 1 to 2, v: 2 to 4, u: 4 to 0.
    CHECK(lab.eval() == std::vector<double>{-2 - 4 - 1, 1 - 2 - 4});
}

TEST_CASE("minmax_gain: a window that begins with an odd step begins with a move of v") {
    LossLab lab(on_game({.loss = "minmax_gain", .batch = 1, .len = 3, .t0 = 7, .horizon = 20}));
    set_values(lab.f(), {5, 3, 7});
    CHECK(lab.eval() == std::vector<double>{(5 - 3) + (7 - 3)});
}

TEST_CASE("minmax_gain: scores of windows add up to that of the trajectory") {
    LossLab lab(on_game({.loss = "minmax_gain", .batch = 3, .len = 8, .horizon = 7}));
    const std::vector<double> whole = lab.eval(), first = lab.eval(0, 4), rest = lab.eval(3, 5);
    for (std::size_t row = 0; row < 3; ++row)
        CHECK(first[row] + rest[row] == doctest::Approx(whole[row]).epsilon(1e-14));
}

TEST_CASE("minmax_gain: of a population it is the mean over the particles") {
    LossLab lab(on_game({.loss = "minmax_gain", .batch = 1, .len = 2, .horizon = 1, .particles = 2}));
    set_values(lab.f(), {5, 1, 3, 5});
    CHECK(lab.eval() == std::vector<double>{(-2.0 + 4.0) / 2});
}

TEST_CASE("minmax_gain: vjp agrees with central differences to 1e-9") {
    CHECK(LossLab(on_game({.loss = "minmax_gain", .len = 6, .t0 = 3, .horizon = 9})).vjp_error() <= 1e-9);
    CHECK(LossLab(on_game({.loss = "minmax_gain", .len = 6, .horizon = 9, .particles = 3})).vjp_error() <=
          1e-9);
}

TEST_CASE("minmax_gain: a problem without players is refused, and losses that minimise are on a game") {
    CHECK_THROWS_WITH_AS(
        LossLab({.loss = "minmax_gain"}),
        doctest::Contains("no block is to be maximised, and this loss says what two players gain"),
        l2o::framework::Error);
    for (const char* loss :
         {"best_value", "final_objective", "jacobian_regularized", "log_improvement", "trajectory_sum"}) {
        CAPTURE(loss);
        CHECK_THROWS_WITH_AS(
            LossLab({.loss = loss, .is_game = true}),
            doctest::Contains("block 'x' is to be maximised, and this loss only says how low f is"),
            l2o::framework::Error);
    }
}
