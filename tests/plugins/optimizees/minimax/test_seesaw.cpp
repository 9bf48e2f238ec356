#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;

TEST_CASE("seesaw: gradient and Hessian-vector product agree with central differences to 1e-8") {
    CHECK(ProblemLab({.optimizee = "seesaw", .options = {{"range", "7"}}}).gradient_error() <= 1e-8);
    CHECK(ProblemLab({.optimizee = "seesaw", .options = {{"range", "7"}}}).hvp_error() <= 1e-8);
}

TEST_CASE("seesaw: at u = k / a, v = 0 the gradient is 0, and d_u is 0 there and nowhere between") {
    ProblemLab lab({.optimizee = "seesaw", .instances = 4});
    const std::vector<double> a = values(lab.data("a"));
    std::vector<double> u;
    for (std::size_t i = 0; i < 4; ++i) u.push_back((double(i) - 1) / a[i]);  // k = -1, 0, 1, 2
    set_values(lab.x()[0], u);
    set_values(lab.x()[1], {0, 0, 0, 0});
    for (const std::vector<double>& block : lab.gradient())
        for (const double g : block) CHECK(std::abs(g) <= 1e-15);
    for (const double distance : lab.metric("distance")) CHECK(distance <= 1e-15);
    for (const double residual : lab.metric("residual")) CHECK(residual <= 1e-15);
    for (double& at : u) at += 0.25;
    set_values(lab.x()[0], u);
    for (const double d_u : lab.metric("d_u")) CHECK(d_u == doctest::Approx(0.25));
}

TEST_CASE("seesaw: every range draws a and b from its own intervals and fills them") {
    struct Want {
        const char* range;
        double a0, a1, b0, b1;
    };
    for (const Want& want : {Want{"1", .9, 1, .9, 1},
                             Want{"2", 0, 1, .9, 1},
                             Want{"3", 0, 3.5, .9, 1},
                             Want{"4", 0, 5, .9, 1},
                             Want{"5", .9, 1, 0, 1},
                             Want{"6", 0, 5, 0, 1},
                             Want{"7", 0, 5, 0, 2}}) {
        CAPTURE(want.range);
        ProblemLab lab({.optimizee = "seesaw", .options = {{"range", want.range}}, .instances = 400});
        const auto fills = [](const std::vector<double>& drawn, double lower, double upper) {
            const auto [least, most] = std::minmax_element(drawn.begin(), drawn.end());
            const double margin = 0.03 * (upper - lower);  // misses it in (1 - 0.03)^400 = 5e-6 of the cases
            return *least >= lower && *least<lower + margin&& * most <= upper&& * most> upper - margin;
        };
        CHECK(fills(values(lab.data("a")), want.a0, want.a1));
        CHECK(fills(values(lab.data("b")), want.b0, want.b1));
    }
}

TEST_CASE("seesaw: range = 8 is refused with the ranges that there are") {
    std::string text;
    try {
        const ProblemLab lab({.optimizee = "seesaw", .options = {{"range", "8"}}});
    } catch (const l2o::framework::Error& error) {
        text = error.what();
    }
    CAPTURE(text);
    CHECK(text.find("range") != std::string::npos);
    CHECK(text.find('7') != std::string::npos);
}
