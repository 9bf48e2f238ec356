#include "framework/error.hpp"
#include "tests/plugins/losses/loss_lab.hpp"

using namespace l2o::test;

namespace {

void make_positive(Tensor& f) {
    for (double& value : f.values<double>()) value = std::exp(value);
}

}  // namespace

TEST_CASE("log_improvement: is the mean over t = 1 .. T of ln(f_t / (f_0 + 1e-6) + 1e-6), f_T included") {
    LossLab lab({.loss = "log_improvement", .batch = 2, .len = 4, .horizon = 3});
    set_values(lab.f(), {8, 1, 4, 2, 2, 3, 1, 0});
    const std::vector<double> score = lab.eval();
    INFO("halved by every step: -ln 2 times the mean of 1, 2, 3");
    CHECK(score[0] == doctest::Approx(-2 * std::log(2)).epsilon(1e-5));
    CHECK(score[1] ==
          doctest::Approx(
              (std::log(2 / (1 + 1e-6) + 1e-6) + std::log(3 / (1 + 1e-6) + 1e-6) + std::log(1e-6)) / 3)
              .epsilon(1e-14));
}

TEST_CASE("log_improvement: does not depend on the scale of the objective") {
    LossLab lab({.loss = "log_improvement"});
    make_positive(lab.f());
    const std::vector<double> score = lab.eval();
    for (double& value : lab.f().values<double>()) value *= 1000;
    CHECK(relative_error(lab.eval(), score) <= 1e-4);
}

TEST_CASE("log_improvement: a later window counts from its own start, so ends of windows telescope") {
    LossLab lab({.loss = "log_improvement", .batch = 1, .len = 5, .t0 = 20, .horizon = 100});
    CHECK(lab.loss().scores_windows());
    CHECK_FALSE(lab.loss().is_additive());
    set_values(lab.f(), {16, 8, 4, 2, 1});
    double sum = 0;
    for (std::int64_t j = 0; j < 4; ++j) sum += lab.eval(j, 2)[0];
    CHECK(sum == doctest::Approx(std::log(1.0 / 16) / 100).epsilon(1e-5));
}

TEST_CASE("log_improvement: the same change of f_t changes the score of any window by the same, to 1e-5") {
    LossLab lab({.loss = "log_improvement", .len = 8, .t0 = 20, .horizon = 100});
    make_positive(lab.f());
    const std::vector<double> whole = lab.eval(), late = lab.eval(3, 5);
    for (double& value : lab.f().rows(6, 1).values<double>()) value *= 1.1;
    const std::vector<double> whole_after = lab.eval(), late_after = lab.eval(3, 5);
    for (std::size_t row = 0; row < 3; ++row) {
        CHECK(whole_after[row] - whole[row] == doctest::Approx(std::log(1.1) / 100).epsilon(1e-5));
        CHECK(late_after[row] - late[row] == doctest::Approx(whole_after[row] - whole[row]).epsilon(1e-5));
    }
}

TEST_CASE("log_improvement: of a population is the mean over its particles, each from its own start") {
    LossLab lab({.loss = "log_improvement", .batch = 1, .len = 2, .horizon = 1, .particles = 2});
    set_values(lab.f(), {1, 100, 2, 800});
    CHECK(lab.eval()[0] == doctest::Approx(std::log(2 * 8) / 2).epsilon(1e-5));
}

TEST_CASE("log_improvement: vjp agrees with central differences to 1e-6, also by the start") {
    for (const std::int64_t particles : {0, 3}) {
        LossLab lab({.loss = "log_improvement", .particles = particles});
        make_positive(lab.f());
        CHECK(lab.vjp_error() <= 1e-6);
    }
}

TEST_CASE("log_improvement: a negative objective is refused with its row, point and value") {
    LossLab lab({.loss = "log_improvement", .batch = 2, .len = 3, .t0 = 10, .horizon = 100});
    set_values(lab.f(), {1, 1, 1, 1, 1, -0.25});
    CHECK_THROWS_WITH_AS(lab.eval(),
                         doctest::Contains("the objective is -0.250000 in row 1 at point 12; "
                                           "log_improvement takes its logarithm and expects values >= 0"),
                         l2o::framework::Error);
    set_values(lab.f(), {-3, 1, 1, 1, 1, 1});
    CHECK_THROWS_WITH_AS(lab.eval(),
                         doctest::Contains("the objective is -3.000000 in row 0 at point 10"),
                         l2o::framework::Error);
}

TEST_CASE("log_improvement: 0, and what rounding leaves below it, is no error") {
    LossLab lab({.loss = "log_improvement", .batch = 2, .len = 2, .horizon = 1});
    set_values(lab.f(), {1, 0, -1e-9, -1e-15});
    const std::vector<double> score = lab.eval();
    CHECK(score[0] == doctest::Approx(std::log(1e-6)).epsilon(1e-3));
    CHECK(score[1] == doctest::Approx(std::log(1e-6)).epsilon(1e-3));
}

TEST_CASE("log_improvement: an objective that is not a number gives a score that is none") {
    LossLab lab({.loss = "log_improvement", .batch = 2, .len = 2, .horizon = 1});
    set_values(lab.f(), {1, 1, std::nan(""), 1});
    const std::vector<double> score = lab.eval();
    CHECK(std::isnan(score[0]));
    CHECK(std::isfinite(score[1]));
}
