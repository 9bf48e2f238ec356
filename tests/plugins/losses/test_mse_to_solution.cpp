#include "framework/error.hpp"
#include "tests/plugins/losses/loss_lab.hpp"

using namespace l2o::test;

TEST_CASE("mse_to_solution: is half the squared distance at the last point, with the blocks in their order") {
    LossLab lab({.loss = "mse_to_solution", .batch = 1, .len = 2, .blocks = {{2}, {}}});
    set_values(lab.x(0), {9, 9, 1, 2});
    set_values(lab.x(1), {9, 3});
    set_values(lab.x_star(), {0, 4, -2});
    CHECK(lab.eval() == std::vector<double>{(1 + 4 + 25) / 2.0});
}

TEST_CASE("mse_to_solution: at all sums over the points but the first, so windows that meet add up") {
    LossLab all({.loss = "mse_to_solution", .options = {{"at", "all"}}});
    LossLab last({.loss = "mse_to_solution"});
    const std::vector<double> sum = all.eval(), low = all.eval(0, 3), high = all.eval(2, 3);
    std::vector<double> points(3);
    for (std::int64_t j = 1; j < 5; ++j) {
        const std::vector<double> at_j = last.eval(0, j + 1);
        for (std::size_t row = 0; row < 3; ++row) points[row] += at_j[row];
    }
    CHECK(relative_error(sum, points) <= 1e-14);
    for (std::size_t row = 0; row < 3; ++row)
        CHECK(low[row] + high[row] == doctest::Approx(sum[row]).epsilon(1e-14));
}

TEST_CASE("mse_to_solution: with a discount the last point has weight 1, the one before the discount") {
    LossLab all({.loss = "mse_to_solution", .options = {{"at", "all"}, {"discount", "0.5"}}});
    LossLab last({.loss = "mse_to_solution"});
    const std::vector<double> sum = all.eval();
    std::vector<double> points(3);
    for (std::int64_t j = 1; j < 5; ++j) {
        const std::vector<double> at_j = last.eval(0, j + 1);
        for (std::size_t row = 0; row < 3; ++row) points[row] += std::pow(0.5, 4 - j) * at_j[row];
    }
    CHECK(relative_error(sum, points) <= 1e-14);
}

TEST_CASE("mse_to_solution: in decibels it is the NMSE, 0 at 0 and -20 at a tenth of the distance") {
    LossLab lab({.loss = "mse_to_solution",
                 .options = {{"form", "decibel"}},
                 .batch = 3,
                 .len = 1,
                 .blocks = {{2}, {1}}});
    set_values(lab.x(0), {0, 0, 2.7, 0.9, 1, 2});
    set_values(lab.x(1), {0, 0, 3});
    set_values(lab.x_star(), {3, 1, 0, 3, 1, 0, 1, 2, 3});
    const std::vector<double> score = lab.eval();
    CHECK(score[0] == doctest::Approx(0));
    CHECK(score[1] == doctest::Approx(-20).epsilon(1e-7));
    CHECK(score[2] == doctest::Approx(10 * std::log10(1e-10 / (14.0 / 3 + 1e-10))));
}

TEST_CASE("mse_to_solution: of a population is the mean over its particles") {
    LossLab lab({.loss = "mse_to_solution", .batch = 2, .len = 1, .particles = 2, .blocks = {{1}}});
    set_values(lab.x(0), {1, 3, 0, 2});
    set_values(lab.x_star(), {1, 2});
    CHECK(lab.eval() == std::vector<double>{1, 1});
}

TEST_CASE("mse_to_solution: vjp agrees with central differences to 1e-7") {
    for (const char* at : {"last", "all"})
        for (const std::int64_t particles : {0, 3})
            CHECK(LossLab({.loss = "mse_to_solution",
                           .options = {{"at", at}},
                           .particles = particles,
                           .blocks = {{2, 2}, {3}}})
                      .vjp_error() <= 1e-7);
    for (const std::int64_t particles : {0, 3})
        CHECK(LossLab({.loss = "mse_to_solution",
                       .options = {{"at", "all"}, {"form", "decibel"}, {"discount", "0.7"}},
                       .particles = particles,
                       .blocks = {{2, 2}, {3}}})
                  .vjp_error() <= 1e-7);
}

TEST_CASE("mse_to_solution: an optimizee without x_star is refused by name") {
    CHECK_THROWS_WITH_AS(LossLab({.loss = "mse_to_solution"}, "rastrigin"),
                         doctest::Contains("x_star"),
                         l2o::framework::Error);
}

TEST_CASE("mse_to_solution: an x_star of another size is refused with both sizes") {
    LossLab lab({.loss = "mse_to_solution"});
    lab.x_star() = Tensor(Dtype::kF64, {3, 4});
    CHECK_THROWS_WITH_AS(
        lab.eval(), doctest::Contains("x_star has 3 rows of 4; expected 3 rows of 2"), l2o::framework::Error);
}
