#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <string>
#include <vector>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;
using namespace l2o::framework;

namespace {

const std::vector<std::string> kScalable = {"sphere",
                                            "ellipsoid",
                                            "rosenbrock",
                                            "ackley",
                                            "griewank",
                                            "schwefel",
                                            "styblinski_tang",
                                            "levy",
                                            "rastrigin"};
const std::vector<std::string> kOfTwo = {"log_sum_exp", "beale", "booth", "matyas", "branin", "michalewicz"};

std::vector<std::string> all_functions() {
    std::vector<std::string> all = kScalable;
    all.insert(all.end(), kOfTwo.begin(), kOfTwo.end());
    return all;
}

OptionText of(const std::string& function, OptionText more = {}) {
    more.insert({"function", function});
    more.insert({"n", std::ranges::count(kOfTwo, function) > 0 ? "2" : "4"});
    return more;
}

double value_at(const std::string& function, const std::vector<double>& x) {
    ProblemLab lab({.optimizee = "black_box",
                    .options = {{"function", function}, {"n", std::to_string(x.size())}},
                    .instances = 1});
    set_values(lab.x()[0], x);
    return lab.objective()[0];
}

}  // namespace

TEST_CASE("black_box: the functions have the values of their formulas") {
    const auto is = [](double value) { return doctest::Approx(value).epsilon(1e-12); };
    CHECK(value_at("sphere", {1, 2, 3}) == is(14));
    CHECK(value_at("ellipsoid", {1, 2, 3}) == is(1 + 4e3 + 9e6));
    CHECK(value_at("ellipsoid", {2}) == is(4));
    CHECK(value_at("rosenbrock", {-1, 2, 0}) == is(100 + 4 + 1600 + 1));
    CHECK(value_at("ackley", {3, 4}) == is(20 - 20 * std::exp(-0.2 * std::sqrt(12.5))));
    CHECK(value_at("ackley", {0, 0}) == 0);
    // cos(pi) cos(sqrt 2 pi / sqrt 2) = 1
    CHECK(value_at("griewank", {std::numbers::pi, std::numbers::sqrt2 * std::numbers::pi}) ==
          is(3 * std::numbers::pi * std::numbers::pi / 4000));
    CHECK(value_at("schwefel", {std::numbers::pi * std::numbers::pi / 4, 0}) ==
          is(2 * 418.98288727243374 - std::numbers::pi * std::numbers::pi / 4));
    CHECK(value_at("styblinski_tang", {1, -1}) == is(80 - 5 - 10));
    CHECK(value_at("levy", {3, 1}) ==
          is(1 + 0.25 * (1 + 10 * std::pow(std::sin(1.5 * std::numbers::pi + 1), 2))));
    CHECK(value_at("rastrigin", {1, 0.5}) == is(1 + 0.25 + 20));
    CHECK(value_at("log_sum_exp", {0, 0}) == is(std::log(3 * std::exp(-0.1) + 1)));
    CHECK(value_at("beale", {1, 1}) == is(1.5 * 1.5 + 2.25 * 2.25 + 2.625 * 2.625));
    CHECK(value_at("beale", {1, 2}) == is(2.5 * 2.5 + 5.25 * 5.25 + 9.625 * 9.625));
    CHECK(value_at("booth", {0, 0}) == is(74));
    CHECK(value_at("booth", {1, 0}) == is(36 + 9));
    CHECK(value_at("matyas", {1, 2}) == is(1.3 - 0.96));
    CHECK(value_at("branin", {0, 0}) == is(36 + 20 - 10 / (8 * std::numbers::pi)));
    CHECK(value_at("michalewicz", {0, std::numbers::pi / 2}) == is(1));
}

TEST_CASE("black_box: x_star has the value f_star, no slope, and nothing below it anywhere") {
    for (const std::string& function : all_functions())
        for (const OptionText& variant :
             {OptionText{}, OptionText{{"shift", "true"}, {"rotate", "true"}, {"half_width", "3"}}}) {
            CAPTURE(function);
            CAPTURE(variant.size());
            ProblemLab lab({.optimizee = "black_box", .options = of(function, variant), .instances = 8});
            const std::vector<double> f_star = values(lab.data("f_star")),
                                      x_star = values(lab.data("x_star"));
            const std::vector<double> start = values(lab.x()[0]);
            for (double scale = 1024; scale > 1e-9; scale /= 4) {
                std::vector<double> x = x_star;
                for (std::size_t i = 0; i < x.size(); ++i)
                    x[i] += scale * std::sin(1 + 7. * double(i) + scale);
                set_values(lab.x()[0], x);
                const std::vector<double> f = lab.objective();
                for (std::size_t row = 0; row < 8; ++row) CHECK(f[row] >= f_star[row] - 1e-11);
            }
            set_values(lab.x()[0], x_star);
            const std::vector<double> f = lab.objective(), g = lab.gradient()[0], gap = lab.metric("gap");
            for (std::size_t row = 0; row < 8; ++row) {
                CHECK(std::abs(f[row] - f_star[row]) < 1e-8);
                CHECK(std::abs(gap[row]) < 1e-8);
            }
            // Ackley's function has a tip there, of slope 4.
            if (function != "ackley")
                for (const double slope : g) CHECK(std::abs(slope) < 1e-6);
        }
}

TEST_CASE("black_box: gradients agree with central differences to 1e-6, shifted, rotated and scaled") {
    for (const std::string& function : all_functions())
        for (const OptionText& variant : {OptionText{},
                                          OptionText{{"shift", "true"}},
                                          OptionText{{"rotate", "true"}, {"half_width", "2"}},
                                          OptionText{{"shift", "true"}, {"rotate", "true"}}}) {
            CAPTURE(function);
            CAPTURE(variant.size());
            // Griewank's function is about 200 where its slope is 0.3: its differences are coarse.
            const double bar = function == "griewank" ? 1e-5 : 1e-6;
            CHECK(ProblemLab({.optimizee = "black_box", .options = of(function, variant)}).gradient_error() <=
                  bar);
        }
    CHECK(ProblemLab({.optimizee = "black_box"}).gradient_error() <= 1e-6);
}

TEST_CASE("black_box: where schwefel and michalewicz end, a penalty rises from the value of the edge") {
    const double edge = value_at("schwefel", {500, 0});
    CHECK(value_at("schwefel", {750, 0}) == doctest::Approx(edge + 100 * 0.25).epsilon(1e-12));
    CHECK(value_at("michalewicz", {0, std::numbers::pi * 1.5}) ==
          doctest::Approx(value_at("michalewicz", {0, std::numbers::pi}) + 100).epsilon(1e-12));
    ProblemLab lab({.optimizee = "black_box", .options = of("schwefel"), .instances = 1});
    set_values(lab.x()[0], {750, -600, 100, 0});
    CHECK(lab.gradient()[0][0] == doctest::Approx(200 * 0.5 / 500));
    CHECK(lab.gradient()[0][1] == doctest::Approx(-200 * 0.2 / 500));
}

TEST_CASE("black_box: shift moves the minimum of every instance, uniformly in the inner 80 % of the domain") {
    ProblemLab lab({.optimizee = "black_box",
                    .options = {{"function", "rosenbrock"}, {"n", "2"}, {"shift", "true"}},
                    .instances = 2000});
    double sum = 0, squares = 0;
    for (const double x : values(lab.data("x_star"))) {
        CHECK(std::abs(x - 2.5) <= 6);
        sum += (x - 2.5) / 6;
        squares += (x - 2.5) * (x - 2.5) / 36;
    }
    CHECK(std::abs(sum / 4000) < 0.04);
    CHECK(squares / 4000 == doctest::Approx(1. / 3).epsilon(0.05));
}

TEST_CASE("black_box: a rotation changes the ellipsoid and leaves the sphere as it is") {
    const auto values_of = [](const char* function, const char* rotate) {
        ProblemLab lab({.optimizee = "black_box",
                        .options = {{"function", function}, {"shift", "true"}, {"rotate", rotate}}});
        return lab.objective();
    };
    CHECK(relative_error(values_of("sphere", "true"), values_of("sphere", "false")) < 1e-13);
    CHECK(relative_error(values_of("ellipsoid", "true"), values_of("ellipsoid", "false")) > 0.1);
}

TEST_CASE("black_box: with half_width the domain is a cube about 0, and the function the same on it") {
    ProblemLab lab(
        {.optimizee = "black_box", .options = of("branin", {{"half_width", "1"}}), .instances = 500});
    for (const double x : values(lab.x()[0])) CHECK(std::abs(x) <= 1);
    std::vector<double> x = values(lab.x()[0]);
    x[0] = -1, x[1] = 1;
    set_values(lab.x()[0], x);
    CHECK(lab.objective()[0] == doctest::Approx(value_at("branin", {-5, 15})).epsilon(1e-12));
}

TEST_CASE("black_box: starts are uniform in the usual domain, those of log_sum_exp N(0, I)") {
    const auto starts = [](const char* function) {
        ProblemLab lab({.optimizee = "black_box", .options = of(function), .instances = 2000});
        return values(lab.x()[0]);
    };
    double sum = 0, squares = 0;
    for (const double x : starts("griewank")) {
        CHECK(std::abs(x) <= 600);
        squares += x * x / 360000;
    }
    CHECK(squares / 8000 == doctest::Approx(1. / 3).epsilon(0.05));
    squares = 0;
    for (const double x : starts("log_sum_exp")) sum += x, squares += x * x;
    CHECK(std::abs(sum / 4000) < 0.06);
    CHECK(squares / 4000 == doctest::Approx(1).epsilon(0.07));
}

TEST_CASE("black_box: bounds are those of the domain") {
    const auto block = [](OptionText options) {
        options["bounds"] = "true";
        const ProblemLab lab({.optimizee = "black_box", .options = options});
        const l2o_spec& spec = *lab.optimizee().blocks()[0];
        REQUIRE(has(spec, L2O_SPEC_BOUNDED));
        return std::pair{spec.lower, spec.upper};
    };
    CHECK(block({}) == std::pair{-5., 5.});
    CHECK(block({{"function", "rosenbrock"}}) == std::pair{-5., 10.});
    CHECK(block({{"function", "michalewicz"}, {"n", "2"}}) == std::pair{0., std::numbers::pi});
    CHECK(block({{"function", "branin"}, {"n", "2"}, {"half_width", "4"}}) == std::pair{-4., 4.});
}

TEST_CASE("black_box: a mix has each of the nine scalable functions, about as often") {
    ProblemLab lab({.optimizee = "black_box", .instances = 1800});
    std::map<double, int> counts;
    for (const double number : values(lab.data("function"))) ++counts[number];
    CHECK(counts.size() == 9);
    CHECK(counts.begin()->first == 1);
    CHECK(counts.rbegin()->first == 9);
    for (const auto& [number, count] : counts) CHECK(std::abs(count - 200) < 60);
    // Each row is that of its function.
    for (std::size_t row = 0; row < 20; ++row) {
        const auto number = static_cast<std::size_t>(values(lab.data("function"))[row]);
        const std::vector<double> all = values(lab.x()[0]);
        ProblemLab alone({.optimizee = "black_box",
                          .options = {{"function", kScalable[number - 1]}, {"half_width", "5"}},
                          .instances = 1});
        set_values(alone.x()[0],
                   {all.begin() + 10 * std::ptrdiff_t(row), all.begin() + 10 * std::ptrdiff_t(row + 1)});
        CHECK(lab.objective()[row] == alone.objective()[0]);
    }
}

TEST_CASE("black_box: with values_only it answers nothing but values") {
    const ProblemLab lab({.optimizee = "black_box", .options = {{"values_only", "true"}}});
    CHECK(lab.optimizee().info().answers == L2O_ORACLE_VALUE);
}

TEST_CASE("black_box: what does not go together is refused in a sentence") {
    const auto refusal = [](const OptionText& options, const char* text) {
        CHECK_THROWS_WITH_AS(
            ProblemLab({.optimizee = "black_box", .options = options}), doctest::Contains(text), Error);
    };
    refusal({{"function", "beale"}}, "'beale' is a function of 2 variables, and n is 10; set n to 2");
    refusal({{"function", "rosenbrock"}, {"n", "1"}}, "'rosenbrock' is a function of at least 2 variables");
    refusal({{"n", "1"}}, "function mix has functions of at least 2 variables, and n is 1");
    refusal({{"function", "branin"}, {"n", "2"}, {"bounds", "true"}}, "set half_width to have bounds");
    ProblemLab lab({.optimizee = "black_box"});
    lab.data("function").values<std::int32_t>()[0] = 16;
    CHECK_THROWS_WITH_AS(
        lab.objective(), doctest::Contains("tensor 'function' has 16; expected 1 to 15"), Error);
}
