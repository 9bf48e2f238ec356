#include "framework/error.hpp"
#include "tests/plugins/losses/loss_lab.hpp"

using namespace l2o::test;

TEST_CASE("final_objective: is f of every row at the horizon") {
    LossLab lab({.loss = "final_objective"});
    const std::vector<double> f = values(lab.f());
    CHECK(lab.eval() == std::vector<double>(f.end() - 3, f.end()));
    CHECK(lab.eval(3, 2) == lab.eval());
}

TEST_CASE("final_objective: of a population takes the best particle, or the mean over the particles") {
    const auto score = [](const char* particles) {
        LossLab lab({.loss = "final_objective",
                     .options = {{"particles", particles}},
                     .batch = 2,
                     .len = 1,
                     .horizon = 0,
                     .particles = 3});
        set_values(lab.f(), {7, 2, 6, -1, std::nan(""), -3});
        return lab.eval();
    };
    CHECK(score("best") == std::vector<double>{2, -3});
    CHECK(score("mean")[0] == doctest::Approx(5));
}

TEST_CASE("final_objective: a particle that is not a number does not win, wherever it stands") {
    LossLab lab({.loss = "final_objective", .batch = 1, .len = 1, .horizon = 0, .particles = 3});
    set_values(lab.f(), {std::nan(""), 5, 4});
    CHECK(lab.eval() == std::vector<double>{4});
}

TEST_CASE("final_objective: vjp agrees with central differences to 1e-8") {
    CHECK(LossLab({.loss = "final_objective"}).vjp_error() <= 1e-8);
    for (const char* particles : {"best", "mean"})
        CHECK(LossLab({.loss = "final_objective", .options = {{"particles", particles}}, .particles = 4})
                  .vjp_error() <= 1e-8);
}

TEST_CASE("final_objective: scores no windows, and refuses a window that ends before the horizon") {
    LossLab lab({.loss = "final_objective", .horizon = 100});
    CHECK_FALSE(lab.loss().scores_windows());
    CHECK_THROWS_WITH_AS(
        lab.eval(),
        doctest::Contains("the window ends at point 4; final_objective reads point 100 alone"),
        l2o::framework::Error);
}
